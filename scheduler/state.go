package scheduler

import "hookwheel/webhook"

// state is what a lane does, or what it waits for.
type state uint8

const (
	idle           state = iota // until an event, or its alarm
	queued                      // in the queue of its application, for a worker
	turning                     // a worker takes a delivery from it, and may be reading the store
	stalled                     // until some of the outcomes that were decided are recorded
	awaitingMemory              // until there is room for a large request, see request_memory.go
	gone                        // dropped: what still refers to the lane skips it
)

// follows lists the states that may follow each state.
var follows = [...][]state{
	idle:           {queued, stalled, gone},
	queued:         {turning, gone},
	turning:        {idle, awaitingMemory, gone},
	stalled:        {idle, gone},
	awaitingMemory: {idle, gone},
	gone:           {},
}

// become changes the state of a lane. It returns false, and changes nothing, if the new state can't
// follow the present one.
func (l *lane) become(next state) bool {
	for _, s := range follows[l.state] {
		if s == next {
			l.state = next
			return true
		}
	}
	return false
}

// enqueue gives an idle lane a place in the queue if a turn may bring something, or else makes sure
// that it is looked at again when one may.
func (l *lane) enqueue() {
	s := l.scheduler
	if l.state != idle || s.workers.closed {
		return
	}
	if ok, at := s.mayTurn(l); !ok {
		if !at.IsZero() {
			l.wake(at)
		}
		return
	}
	if s.unrecorded.isFull() {
		l.become(stalled)
		s.unrecorded.stalled = append(s.unrecorded.stalled, l)
		return
	}
	l.become(queued)
	s.workers.push(l)
	if !s.workers.allows(l.tail.share, l.class()) {
		l.tail.leaveLine(l)
	}
	s.workers.wake()
}

// endTurn ends the turn of a lane. If it has sent something and has some of the turn left that it
// may use now, it continues.
func (s *Scheduler) endTurn(l *lane, sent bool) {
	if l.state != turning {
		return
	}
	l.become(idle)
	if sent && l.deficit > 0 && !s.workers.closed && !s.unrecorded.isFull() {
		if ok, _ := s.mayTurn(l); ok {
			l.become(queued)
			s.workers.putBack(l)
			s.workers.wake()
			return
		}
	}
	l.enqueue()
}

// outside calls read, which reads what a lane must know from the store, without the lock. It
// returns false if read failed, and then lets the lane rest for a while, or if the lane was dropped
// meanwhile.
func (l *lane) outside(what string, read func() error) (ok bool) {
	s := l.scheduler
	s.mu.Unlock()
	err := read()
	s.mu.Lock()
	if err != nil {
		s.log.Error("reading "+what+" failed", "endpoint", l.endpoint.ID.Text(webhook.KindEndpoint), "error", err)
		l.rest(s.clock().Add(readPatience))
	}
	return err == nil && l.state != gone
}
