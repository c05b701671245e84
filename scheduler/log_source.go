package scheduler

import (
	"time"

	"hookwheel/webhook"
)

// logSource takes messages from the log.
type logSource struct{ lane *lane }

func (s logSource) wants(now time.Time) bool { return s.ready(now) }

// load reads nothing: windows of the log are read when it is the log's turn.
func (s logSource) load(time.Time) bool { return false }

// ready is true up to the gate however many keys are in memory: what is held waits until the log
// was read that far.
func (s logSource) ready(time.Time) bool {
	o, log := &s.lane.order, &s.lane.log
	return !o.blocksLog() && (!o.waitsForKeys() || !log.hasPassed(o.gate)) && log.wants()
}

// next takes from a window that it has just read in the same turn: where windows are large, other
// lanes need the memory before the next one.
func (s logSource) next(time.Time) (c candidate, found bool) {
	l := s.lane
	m, starved := l.log.next(l.isWanted)
	if starved {
		l.scheduler.windows.release(l)
		if s.readWindow(); len(l.log.window) == 0 || !s.mayStillSend() {
			return c, false
		}
		m, _ = l.log.next(l.isWanted)
	}
	if len(l.log.window) == 0 {
		l.scheduler.windows.release(l)
	}
	if l.log.cursor() != l.log.recorded {
		l.scheduler.unrecorded.moved[l] = struct{}{}
	}
	if m == nil {
		return c, false
	}
	c.Delivery = webhook.Delivery{Message: m, ID: m.ID, Endpoint: l.endpoint, Source: webhook.SourceLog, Number: 1}
	c.wanted = true
	return c, true
}

// readWindow reads the log for a lane that lags.
func (s logSource) readWindow() {
	l := s.lane
	before, app, from, expunged := l.tail.before, l.endpoint.App, l.log.read, l.tail.expunged
	limit, bytes := l.scheduler.windows.share(len(l.scheduler.lanes))
	var window []*webhook.Message
	ok := l.outside("the log", func() (err error) {
		window, err = l.scheduler.backlog.Window(app, from, limit, bytes)
		return err
	})
	if ok && l.tail.expunged == expunged {
		l.log.receive(window, before)
		l.scheduler.windows.hold(l)
	}
}

// mayStillSend reports whether the turn may go on after the log was read: what allowed it may have
// changed.
func (s logSource) mayStillSend() bool {
	ok, _ := s.lane.scheduler.mayTurn(s.lane)
	return ok && s.ready(s.lane.scheduler.clock())
}

func (s logSource) giveBack(candidate) {
	s.lane.log.giveBack()
	s.lane.scheduler.windows.release(s.lane)
}

func (s logSource) leaves(c candidate, sent bool) {
	if o := &s.lane.order; sent {
		o.send(o.keyOf(c.Message), c.ID)
	}
}
