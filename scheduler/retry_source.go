package scheduler

import (
	"slices"
	"time"

	"hookwheel/webhook"
)

// retrySource takes messages that are due for another attempt, or for their first one.
type retrySource struct{ lane *lane }

func (s retrySource) wants(now time.Time) bool {
	r := &s.lane.retries
	return s.ready(now) || r.wantsLines() || len(r.unsure) > 0
}

func (s retrySource) ready(now time.Time) bool {
	l := s.lane
	due := len(l.retries.due) > 0
	if blocker, blocked := l.order.blocker(); blocked {
		due = l.retries.isDue(blocker)
	}
	return due || s.probeLine(now) != nil
}

func (s retrySource) load(time.Time) bool {
	switch r := &s.lane.retries; {
	case r.wantsLines():
		s.readLines()
	case len(r.unsure) > 0:
		s.readUnsure()
	default:
		return false
	}
	return true
}

// readLines reads the next part of the set.
func (s retrySource) readLines() {
	l, r := s.lane, &s.lane.retries
	endpoint, from, limit := l.endpoint.ID, r.beginReading(), l.scheduler.linesPerLane()
	var list []webhook.Retry
	ok := l.outside("the retry set", func() (err error) {
		list, err = l.scheduler.backlog.Retries(endpoint, from, limit+1)
		return err
	})
	if !ok {
		r.endReading() // what came meanwhile is read the next time
		return
	}
	for _, line := range r.received(list, limit) {
		s.plan(line)
	}
	if r.hasty {
		s.hasten()
	}
}

// readUnsure looks which of the lines that a manual attempt may have made exist.
func (s retrySource) readUnsure() {
	l, r := s.lane, &s.lane.retries
	endpoint, unsure := l.endpoint.ID, r.unsure
	r.unsure = nil
	var found []webhook.Retry
	ok := l.outside("the retry set", func() error {
		for _, line := range unsure {
			list, err := l.scheduler.backlog.Retries(endpoint, line, 1)
			if err != nil {
				return err
			}
			i := slices.IndexFunc(list, func(r webhook.Retry) bool { return r.Message == line.Message && r.Due.Equal(line.Due) })
			if i >= 0 {
				found = append(found, list[i])
			}
		}
		return nil
	})
	if !ok {
		r.unsure = append(r.unsure, unsure...)
		return
	}
	for _, line := range found {
		s.plan(line)
	}
	isReplayed := func(r webhook.Retry) bool { return r.Message == l.manual.replayed }
	if slices.ContainsFunc(unsure, isReplayed) && !slices.ContainsFunc(found, isReplayed) {
		l.manual.replayed = webhook.ID{} // it has made no line, and nothing follows
	}
}

// next takes the line that may be sent now. Of an endpoint that is ordered as a whole it is the one
// that blocks the others, if one does.
func (s retrySource) next(now time.Time) (c candidate, found bool) {
	l := s.lane
	if blocker, blocked := l.order.blocker(); blocked {
		c.line = l.retries.takeMessage(blocker)
	} else {
		c.line = l.retries.take()
	}
	if c.line == nil {
		if c.line = s.probeLine(now); c.line == nil {
			return c, false
		}
	}
	if l.flying.isRetrying(c.line.Message) { // the line came after that
		c.line.due = false
		l.scheduler.alarms.set(&c.line.timer, now.Add(readPatience))
		return c, false
	}
	early := !c.line.due && !l.breaker.health.Parked
	if early {
		l.early.once = false
	}
	s.forget(c.line.Message)
	l.retries.handOut(c.line)
	c.key = c.line.Key
	c.Delivery = webhook.Delivery{ID: c.line.Message, Endpoint: l.endpoint, Source: webhook.SourceRetry, Due: c.line.Due,
		Number: c.line.Made + 1, Spent: c.line.Spent, Probe: early}
	return c, true
}

// giveBack returns a line to the set. If its message could not be read, it goes after the others;
// if there was no room for the request, it stays the first.
func (s retrySource) giveBack(c candidate) {
	l, line := s.lane, c.line
	due := line.due
	l.scheduler.waiting++
	l.retries.unmark(line.Message)
	l.retries.keep(line)
	line.due, line.gone = false, false
	switch {
	case c.Message == nil:
		l.scheduler.alarms.set(&line.timer, l.scheduler.clock().Add(readPatience))
	case due:
		l.retries.fireFirst(line)
	default:
		l.early.once = l.early.once || c.Probe
		l.scheduler.alarms.set(&line.timer, l.scheduler.due(&line.Retry))
	}
}

func (s retrySource) leaves(c candidate, sent bool) {
	if o := &s.lane.order; sent {
		o.send(o.keyOf(c.Message), c.ID)
	}
}

// plan puts a line on the wheel, unless it is on it or too far off to be in memory.
func (s retrySource) plan(line webhook.Retry) {
	r, scheduler := &s.lane.retries, s.lane.scheduler
	if !r.belongs(&line) {
		if r.reading != nil {
			r.reading.came = append(r.reading.came, line)
		}
		return
	}
	scheduler.waiting++
	scheduler.alarms.set(&r.load(line).timer, scheduler.due(&line))
	for _, far := range r.shed(scheduler.linesPerLane()) {
		scheduler.alarms.cancel(&far.timer)
		scheduler.waiting--
	}
}

// forget drops the line of a message from memory, if it is there.
func (s retrySource) forget(message webhook.ID) {
	if line := s.lane.retries.drop(message); line != nil {
		s.lane.scheduler.alarms.cancel(&line.timer)
		s.lane.scheduler.waiting--
	}
}

// hasten makes the lines due that wait for another attempt, because the endpoint responds.
func (s retrySource) hasten() {
	s.lane.retries.hasten(func(line *retry) bool { return s.lane.scheduler.alarms.cancel(&line.timer) })
}

// planBlocker plans the line that an endpoint that is ordered as a whole waits for next.
func (s retrySource) planBlocker() {
	if line, blocks := s.lane.order.next(); blocks {
		s.plan(line)
	}
}

// probeLine returns the message that an endpoint is probed with, due or not: the oldest one that
// has failed, or the one that others wait behind. It returns nil before the next probe is due, and
// if the endpoint has no such message.
func (s retrySource) probeLine(now time.Time) *retry {
	l := s.lane
	h := &l.breaker.health
	if !h.Parked && !l.early.isReady(now, !h.FailingSince.IsZero()) {
		return nil
	}
	if blocker, blocked := l.order.blocker(); blocked {
		if line := l.retries.line(blocker); line != nil && line.Made > 0 && !l.flying.isRetrying(blocker) {
			return line
		}
		return nil
	}
	if line := l.retries.oldest(); line != nil && !l.flying.isRetrying(line.Message) {
		return line
	}
	return nil
}
