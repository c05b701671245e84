package scheduler

import (
	"slices"
	"time"

	"hookwheel/webhook"
)

// maxTailBytes is how much of the logs' ends is kept in memory, for all applications together.
const maxTailBytes = 32 << 20

// tail is the end of one application's log: all messages of the entries after index before.
type tail struct {
	before uint64 // Raft index
	recent []*webhook.Message
	first  int // number of recent[0], counted from the first message that was offered
	lanes  []*lane
	rate   bucket  // of the application
	line   []*lane // that wait for it, in the order in which they take turns
	share  *share  // of the workers
	excess excess  // see throttle.go
	keys   keyCount
	rescan uint32 // Unix time from which on scanAgain has one of the lanes scanned again
	// expunged is how many messages of the application were expunged so far. What was being read of
	// the store then may be what they were before, and is read again.
	expunged uint64
}

// hasTurn reports whether the application's rate lets a lane send now. If not, the lane is in line;
// only the first one gets a time.
func (t *tail) hasTurn(l *lane, now time.Time) (ok bool, at time.Time) {
	ok, at = t.rate.isReady(now)
	if ok && (len(t.line) == 0 || t.line[0] == l) {
		return true, now
	}
	if !l.inLine {
		t.line, l.inLine = append(t.line, l), true
	}
	if t.line[0] != l {
		at = time.Time{}
	}
	return false, at
}

// leaveLine is for a lane that has had its turn, or can't take it. Who is the first then is looked
// at.
func (t *tail) leaveLine(l *lane) {
	if !l.inLine {
		return
	}
	i := slices.Index(t.line, l)
	t.line, l.inLine = without(t.line, i), false
	if i == 0 && len(t.line) > 0 {
		t.line[0].enqueue()
	}
}

// at returns the message of that number, which has not left the memory; nil: it has not been
// offered yet.
func (t *tail) at(number int) *webhook.Message {
	if number-t.first >= len(t.recent) {
		return nil
	}
	return t.recent[number-t.first]
}

// replace puts a message in the place of itself as it was before.
func replace(list []*webhook.Message, m *webhook.Message) {
	i, found := slices.BinarySearchFunc(list, m.ID, func(m *webhook.Message, id webhook.ID) int { return m.ID.Compare(id) })
	if found {
		list[i] = m
	}
}

// tails bounds the memory that all tails take.
type tails struct {
	offered uint64 // Raft index of the last messages offered
	byApp   map[webhook.ID]*tail
	bytes   int
	parts   []part    // in log order, the oldest first
	keys    *keyCount // of all
}

func newTails(index uint64) tails {
	return tails{offered: index, byApp: make(map[webhook.ID]*tail), keys: new(keyCount)}
}

// part is what one entry added to one tail.
type part struct {
	tail  *tail
	index uint64
	count int
	bytes int
}

// of returns the tail of an application, made if need be.
func (t *tails) of(app webhook.ID) *tail {
	tail := t.byApp[app]
	if tail == nil {
		tail = newTail(t.offered)
		tail.keys.all = t.keys
		t.byApp[app] = tail
	}
	return tail
}

// setRate limits the messages per second to all endpoints of an application; 0: no limit.
func (t *tails) setRate(app webhook.ID, perSecond uint16) {
	if perSecond == 0 && t.byApp[app] == nil {
		return // nothing is sent to it, and so nothing need be kept
	}
	tail := t.of(app)
	tail.rate.setRate(float64(perSecond))
	for _, l := range tail.line {
		l.inLine = false
	}
	tail.line = nil
	for _, l := range tail.lanes {
		l.enqueue()
	}
}

// forget drops the tail of an application without endpoints. What says how its endpoints have
// behaved stays while they have workers, and a rate as long as it is set.
func (t *tails) forget(app webhook.ID) {
	tail := t.byApp[app]
	if tail != nil && len(tail.lanes) == 0 && tail.share.total() == 0 && tail.rate.interval == 0 {
		delete(t.byApp, app)
	}
}

func newTail(before uint64) *tail { return &tail{before: before, share: newShare()} }

// add appends messages in log order and returns the tails that have grown. Applications without
// endpoints have none.
func (t *tails) add(messages []*webhook.Message) (grown []*tail) {
	for _, m := range messages {
		t.offered = m.ID.Index()
		tail := t.byApp[m.App]
		if tail == nil {
			continue
		}
		size := len(m.Payload) + 256
		tail.recent = append(tail.recent, m)
		t.bytes += size
		if last := len(t.parts) - 1; last >= 0 && t.parts[last].tail == tail && t.parts[last].index == t.offered {
			t.parts[last].count++
			t.parts[last].bytes += size
			continue
		}
		t.parts = append(t.parts, part{tail, t.offered, 1, size})
		grown = append(grown, tail)
	}
	t.evict()
	return grown
}

// evict forgets the oldest parts until the bound is kept; lanes that still want them read them from
// the store. The parts of one entry go together, so that before says exactly where memory begins.
func (t *tails) evict() {
	for t.bytes > maxTailBytes && len(t.parts) > 1 {
		index := t.parts[0].index
		for len(t.parts) > 0 && t.parts[0].index == index {
			p := t.parts[0]
			t.parts = t.parts[1:]
			t.bytes -= p.bytes
			clear(p.tail.recent[:p.count])
			if p.tail.recent = p.tail.recent[p.count:]; len(p.tail.recent) == 0 {
				p.tail.recent = nil // with the array behind it
			}
			p.tail.first += p.count
			p.tail.before = p.index
		}
	}
}
