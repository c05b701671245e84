package scheduler

import (
	"slices"

	"hookwheel/webhook"
)

const (
	maxAhead = 1024 // messages that a lane may take beyond the first unsettled one
	maxSkips = 1024 // messages that a lane may skip in one turn
)

// logReader is a lane's position in its log. All messages up to read have been looked at. The next
// one is in the window unless that is empty, else in the tail at number if caughtUp, else in the
// store.
type logReader struct {
	tail     *tail
	window   []*webhook.Message
	number   int
	done     map[webhook.ID]struct{} // messages beyond the cursor that the previous leader settled
	taken    []taken                 // messages that are unsettled, or behind an unsettled one, in log order
	read     webhook.ID
	recorded webhook.ID // the cursor in the store
	caughtUp bool
}

// taken is a message in flight, or behind one.
type taken struct {
	id      webhook.ID
	before  webhook.ID // the position before it, where the cursor stays while the message is in flight
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

// wants reports whether there may be messages to take.
func (r *logReader) wants() bool {
	return len(r.taken) < maxAhead && (len(r.window) > 0 || !r.caughtUp || r.fellBehind() || r.tail.at(r.number) != nil)
}

// next takes the next message that is wanted. If it finds none, starved reports whether the store
// must be read.
func (r *logReader) next(isWanted func(*webhook.Message) bool) (m *webhook.Message, starved bool) {
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
		if !isWanted(m) {
			continue
		}
		r.taken = append(r.taken, taken{id: m.ID, before: before})
		return m, false
	}
	return nil, false
}

// giveBack returns the message that was taken last, which will be the next one again. It forgets
// the window.
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

// fellBehind reports whether the next message was evicted from memory before the lane could take
// it.
func (r *logReader) fellBehind() bool { return r.caughtUp && r.number < r.tail.first }

// hasPassed reports whether the log was read up to a message.
func (r *logReader) hasPassed(id webhook.ID) bool {
	return !id.After(r.read) || r.caughtUp && len(r.window) == 0 && !r.fellBehind() && r.tail.at(r.number) == nil
}

// peek returns the first message after read.
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

// receive takes the messages that the store has after read. It leaves those that are also in memory
// to the tail; if nothing else came, the lane has caught up. before is the value of tail.before
// when the store was asked: if the tail has evicted messages since, the store's reply may lack
// them.
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

// settle marks a message from the log as attempted or postponed.
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

// cursor returns the position up to which all messages were attempted, postponed or filtered out.
func (r *logReader) cursor() webhook.ID {
	if len(r.taken) > 0 {
		return r.taken[0].before
	}
	return r.read
}

// stuck returns the message that keeps the lane from taking more, if one does.
func (r *logReader) stuck() (id webhook.ID, stuck bool) {
	if len(r.taken) < maxAhead {
		return id, false
	}
	return r.taken[0].id, true
}
