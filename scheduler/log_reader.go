package scheduler

import (
	"slices"

	"hookwheel/webhook"
)

const (
	windowSize = 64   // messages that a lagging lane reads from the store at a time, or a few more
	maxAhead   = 1024 // messages that a lane may take beyond the first that is not settled
	maxSkips   = 1024 // messages that a lane may look at in vain in one turn
)

// logReader is a lane's place in its log. read is the place up to which it has looked at messages; the next one stands in the window
// if that is not empty, else in the tail at number if caughtUp, else in the store.
type logReader struct {
	tail     *tail
	read     webhook.ID
	window   []*webhook.Message
	caughtUp bool
	number   int
	done     map[webhook.ID]struct{} // settled beyond the cursor by the leader before
	taken    []taken                 // not settled or behind such a one, in log order
	recorded webhook.ID              // the cursor as the store has it
}

// taken is a message on its way, or behind one.
type taken struct {
	id      webhook.ID
	before  webhook.ID // the place in the log before it: where the cursor stands while it is under way
	settled bool
}

func newLogReader(t *tail, place Place) logReader {
	r := logReader{tail: t, read: place.Position, recorded: place.Position}
	if len(place.Done) > 0 {
		r.done = make(map[webhook.ID]struct{}, len(place.Done))
		for _, id := range place.Done {
			r.done[id] = struct{}{}
		}
	}
	return r
}

// wants tells whether there may be messages to take.
func (r *logReader) wants() bool {
	return len(r.taken) < maxAhead && (len(r.window) > 0 || !r.caughtUp || r.fellBehind() || r.tail.at(r.number) != nil)
}

// next takes the next message that the endpoint wants. With none, starved says whether the store must be read.
func (r *logReader) next(endpoint *webhook.Endpoint) (m *webhook.Message, starved bool) {
	for range maxSkips {
		if m, starved = r.peek(); m == nil {
			return nil, starved
		}
		before := r.read
		r.read = m.ID
		if _, settled := r.done[m.ID]; settled {
			delete(r.done, m.ID)
			continue
		}
		if !endpoint.Wants(m) {
			continue
		}
		r.taken = append(r.taken, taken{id: m.ID, before: before})
		return m, false
	}
	return nil, false
}

// giveBack returns the message that was taken last: it comes first again. What was read of the store is forgotten meanwhile.
func (r *logReader) giveBack() {
	last := len(r.taken) - 1
	id := r.taken[last].id
	r.read = r.taken[last].before
	if r.taken = r.taken[:last]; last == 0 {
		r.taken = nil
	}
	r.window = nil
	if r.caughtUp && r.number > r.tail.first && r.tail.at(r.number-1).ID == id {
		r.number--
	} else {
		r.caughtUp = false
	}
}

// left tells whether what was to come next has left the memory, while the lane could not take it.
func (r *logReader) fellBehind() bool { return r.caughtUp && r.number < r.tail.first }

// passed reports whether the log was read up to a message.
func (r *logReader) passed(id webhook.ID) bool {
	return !id.After(r.read) || r.caughtUp && len(r.window) == 0 && !r.fellBehind() && r.tail.at(r.number) == nil
}

// peek steps to the next message after read.
func (r *logReader) peek() (m *webhook.Message, starved bool) {
	if len(r.window) > 0 {
		m, r.window[0] = r.window[0], nil
		if r.window = r.window[1:]; len(r.window) == 0 {
			r.window = nil
		}
		return m, false
	}
	if r.fellBehind() {
		r.caughtUp = false
	}
	if !r.caughtUp {
		return nil, true
	}
	for {
		if m = r.tail.at(r.number); m == nil {
			return nil, false
		}
		r.number++
		if m.ID.After(r.read) {
			return m, false
		}
	}
}

// receive takes what the store has after read. What stands in memory as well is left to the tail; if nothing else came, the lane is
// caught up. before is where the tail began when the store was asked: had anything left the tail since, the store's answer might not
// have it yet.
func (r *logReader) receive(window []*webhook.Message, before uint64) {
	inMemory := slices.IndexFunc(window, func(m *webhook.Message) bool { return m.ID.Index() > r.tail.before })
	if inMemory >= 0 {
		window = window[:inMemory]
	}
	if r.window = window; len(window) == 0 {
		r.window = nil // with the array behind it
	}
	if len(window) == 0 && r.tail.before == before {
		r.caughtUp, r.number = true, r.tail.first
	}
}

// settle marks a message from the log as attempted or put off.
func (r *logReader) settle(id webhook.ID) {
	i, found := slices.BinarySearchFunc(r.taken, id, func(t taken, id webhook.ID) int { return t.id.Compare(id) })
	if found {
		r.taken[i].settled = true
	}
	settled := 0
	for settled < len(r.taken) && r.taken[settled].settled {
		settled++
	}
	if r.taken = r.taken[settled:]; len(r.taken) == 0 {
		r.taken = nil
	}
}

// cursor is the place up to which all is attempted, put off or filtered out.
func (r *logReader) cursor() webhook.ID {
	if len(r.taken) > 0 {
		return r.taken[0].before
	}
	return r.read
}

// stuck is the message that keeps the lane from taking more; false: none does.
func (r *logReader) stuck() (id webhook.ID, stuck bool) {
	if len(r.taken) < maxAhead {
		return id, false
	}
	return r.taken[0].id, true
}
