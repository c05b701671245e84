package scheduler

import (
	"slices"
	"time"

	"hookwheel/webhook"
)

const (
	windowSize = 64   // messages that a lagging lane reads from the store at a time, or a few more
	maxAhead   = 1024 // messages that a lane may take beyond the first that is not settled
	maxLoaded  = 1024 // lines of a retry set in memory, about
	maxSkips   = 1024 // messages that a lane may look at in vain in one turn
)

// forever is a horizon behind which there is nothing.
var forever = time.UnixMilli(1<<62 - 1)

// lane is one endpoint. The scheduler's lock guards it.
type lane struct {
	endpoint *webhook.Endpoint
	tail     *tail
	queued   bool // stands in the ready queue
	reading  bool // a worker is reading the store for it
	removed  bool
	inFlight int

	// The log. read is the place up to which the lane has looked at messages; the next one stands in the window if that is
	// not empty, else in the tail at number if caughtUp, else in the store.
	read     webhook.ID
	window   []*webhook.Message
	caughtUp bool
	number   int
	done     map[webhook.ID]struct{} // settled beyond the cursor by the leader before
	taken    []taken                 // not settled or behind such a one, in log order
	recorded webhook.ID              // the cursor as the store has it

	// The retry set. All its lines up to horizon are in memory, in loaded: on the wheel or in due.
	loaded  map[webhook.ID]struct{}
	due     []*retry
	horizon time.Time
	latest  time.Time // due time of the last line in memory
	retried bool      // the last turn was a retry's, so the next is the log's
}

// taken is a message on its way, or behind one.
type taken struct {
	id      webhook.ID
	before  webhook.ID // the place in the log before it: where the cursor stands while it is under way
	settled bool
}

// retry is a line of the retry set in memory.
type retry struct {
	lane *lane
	webhook.Retry
}

func newLane(endpoint *webhook.Endpoint, t *tail, position webhook.ID, done []webhook.ID) *lane {
	l := &lane{endpoint: endpoint, tail: t, read: position, recorded: position,
		loaded: make(map[webhook.ID]struct{}), horizon: time.UnixMilli(-1)}
	if len(done) > 0 {
		l.done = make(map[webhook.ID]struct{}, len(done))
		for _, id := range done {
			l.done[id] = struct{}{}
		}
	}
	return l
}

// ready tells whether a turn of this lane may bring something to send.
func (l *lane) ready(perEndpoint int) bool {
	return !l.removed && !l.reading && l.inFlight < perEndpoint && (len(l.due) > 0 || l.wantsRetries() || l.wantsLog())
}

// wantsRetries tells whether there may be lines of the retry set that are not in memory but soon should be.
func (l *lane) wantsRetries() bool { return len(l.loaded) == 0 && l.horizon.Before(forever) }

// wantsLog tells whether the lane may take messages from the log and knows of some, or does not know that there are none.
func (l *lane) wantsLog() bool {
	return len(l.taken) < maxAhead && (len(l.window) > 0 || !l.caughtUp || l.tail.at(l.number) != nil)
}

// nextFromLog takes the next message that the endpoint wants. With none, starved says whether the store must be read.
func (l *lane) nextFromLog() (m *webhook.Message, starved bool) {
	for range maxSkips {
		if m, starved = l.peek(); m == nil {
			return nil, starved
		}
		before := l.read
		l.read = m.ID
		if _, settled := l.done[m.ID]; settled {
			delete(l.done, m.ID)
			continue
		}
		if !l.endpoint.Wants(m) {
			continue
		}
		l.taken = append(l.taken, taken{id: m.ID, before: before})
		return m, false
	}
	return nil, false
}

// peek steps to the next message after read.
func (l *lane) peek() (m *webhook.Message, starved bool) {
	if len(l.window) > 0 {
		m, l.window = l.window[0], l.window[1:]
		return m, false
	}
	if l.caughtUp && l.number < l.tail.first { // what was to come next has left the memory
		l.caughtUp = false
	}
	if !l.caughtUp {
		return nil, true
	}
	for {
		if m = l.tail.at(l.number); m == nil {
			return nil, false
		}
		l.number++
		if m.ID.After(l.read) {
			return m, false
		}
	}
}

// receive takes what the store has after read. What stands in memory as well is left to the tail; if nothing else came,
// the lane is caught up. before is where the tail began when the store was asked: had anything left the tail since, the
// store's answer might not have it yet.
func (l *lane) receive(window []*webhook.Message, before uint64) {
	inMemory := slices.IndexFunc(window, func(m *webhook.Message) bool { return m.ID.Index() > l.tail.before })
	if inMemory >= 0 {
		window = window[:inMemory]
	}
	l.window = window
	if len(window) == 0 && l.tail.before == before {
		l.caughtUp, l.number = true, l.tail.first
	}
}

// settle marks a message from the log as attempted.
func (l *lane) settle(id webhook.ID) {
	i, found := slices.BinarySearchFunc(l.taken, id, func(t taken, id webhook.ID) int { return t.id.Compare(id) })
	if found {
		l.taken[i].settled = true
	}
	settled := 0
	for settled < len(l.taken) && l.taken[settled].settled {
		settled++
	}
	l.taken = l.taken[settled:]
}

// cursor is the place up to which all is attempted or filtered out.
func (l *lane) cursor() webhook.ID {
	if len(l.taken) > 0 {
		return l.taken[0].before
	}
	return l.read
}

// wants tells whether a line of the retry set belongs in memory now.
func (l *lane) wants(r webhook.Retry) bool {
	if _, loaded := l.loaded[r.Message]; loaded {
		return false
	}
	if len(l.loaded) >= maxLoaded && l.horizon.Equal(forever) {
		l.horizon = l.latest
	}
	return !r.Due.After(l.horizon)
}

func (l *lane) load(r webhook.Retry) *retry {
	l.loaded[r.Message] = struct{}{}
	if r.Due.After(l.latest) {
		l.latest = r.Due
	}
	return &retry{l, r}
}
