package scheduler

import (
	"slices"
	"time"

	"hookwheel/webhook"
)

// Apply takes over the changes of one entry of the log. A new leader applies what exists first: the
// applications with a rate and all endpoints. It reads nothing from the disk.
func (s *Scheduler) Apply(c webhook.Changes) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, app := range c.Applications {
		s.tails.setRate(app.ID, app.RateLimit)
	}
	for _, endpoint := range c.Moved { // first: one that is resumed must not send what it is to skip
		s.move(endpoint)
	}
	for _, endpoint := range c.Endpoints {
		s.put(endpoint)
	}
	for _, endpoint := range c.Removed {
		if l := s.lanes[endpoint]; l != nil {
			s.drop(endpoint)
			s.tails.forget(l.endpoint.App)
		}
	}
	for _, endpoint := range c.Manual {
		s.wakeManual(endpoint)
	}
	s.offer(c.Messages)
	for _, m := range c.Expunged {
		s.expunge(m)
	}
}

// put makes a lane for an endpoint that goes on where the store says, or takes over a change of an
// endpoint.
func (s *Scheduler) put(endpoint *webhook.Endpoint) {
	l := s.lanes[endpoint.ID]
	switch {
	case l == nil || l.successor != nil || l.endpoint.Ordering != endpoint.Ordering:
		s.replace(endpoint)
	default:
		s.change(l, endpoint)
	}
}

// change takes over a change of an endpoint. One that was enabled or resumed is tried at once, and
// so is one that is parked or asked to be left alone, because the change may be what it lacked.
func (s *Scheduler) change(l *lane, endpoint *webhook.Endpoint) {
	wasStopped := l.isStopped()
	if l.endpoint.OnExhausted != endpoint.OnExhausted { // what blocks need not be waited for
		l.retries.hasten(func(line *retry) bool {
			return line.Spent > uint32(len(s.config.Retry.Delays)) && s.alarms.cancel(&line.timer)
		})
	}
	l.endpoint, l.types = endpoint, nil
	if wasStopped && !l.isStopped() {
		l.breaker.retry(s.clock())
		l.limit.restart()
		s.unrecorded.moved[l] = struct{}{}
	} else {
		l.breaker.probeNow(s.clock())
	}
	l.early.once = true
	l.restsUntil, l.breaker.health.Rests = time.Time{}, time.Time{}
	l.enqueue()
}

// move makes an endpoint continue at its position in the store, because a user moved its cursor.
func (s *Scheduler) move(endpoint webhook.ID) {
	switch l := s.lanes[endpoint]; {
	case l == nil:
	case l.successor != nil:
		s.replace(l.successor)
	default:
		s.replace(l.endpoint)
	}
}

// replace creates a new lane, once the outcomes pending in the previous one are recorded; otherwise
// they would be sent again.
func (s *Scheduler) replace(endpoint *webhook.Endpoint) {
	before := s.lanes[endpoint.ID]
	if before != nil && before.pending > 0 {
		before.successor = endpoint
		return
	}
	s.drop(endpoint.ID)
	l := newLane(s, endpoint, s.backlog.Place(endpoint.ID))
	if before != nil && isPaused(before.endpoint) && !isPaused(endpoint) {
		l.breaker.retry(s.clock())
		l.early.once = true
	}
	if len(l.tail.lanes) == 0 {
		s.workers.shares++
	}
	l.tail.lanes = append(l.tail.lanes, l)
	s.lanes[endpoint.ID] = l
	l.enqueue()
}

// drop ends a lane. What it has in flight comes to its end.
func (s *Scheduler) drop(endpoint webhook.ID) {
	l := s.lanes[endpoint]
	if l == nil {
		return
	}
	l.tail.leaveLine(l)
	l.order.become(order{})
	l.become(gone)
	s.waiting -= len(l.retries.loaded)
	for _, line := range l.retries.loaded { // their times may be far off
		s.alarms.cancel(&line.timer)
	}
	delete(s.lanes, endpoint)
	delete(s.unrecorded.moved, l)
	s.windows.release(l)
	s.alarms.cancel(&l.wakeup)
	l.tail.lanes = slices.DeleteFunc(l.tail.lanes, func(other *lane) bool { return other == l })
	if len(l.tail.lanes) == 0 {
		s.workers.shares--
	}
	for name, f := range l.flying {
		s.orphans[orphan{endpoint, name}] = f
	}
}

// offer adds messages that have just been committed, in log order. It never blocks.
func (s *Scheduler) offer(messages []*webhook.Message) {
	for _, t := range s.tails.add(messages) {
		for _, l := range t.lanes {
			l.enqueue()
		}
	}
}

// expunge removes a message whose payload was deleted: it is not sent from memory any more, and
// nothing waits for it.
func (s *Scheduler) expunge(m *webhook.Message) {
	t := s.tails.byApp[m.App]
	if t == nil {
		return
	}
	t.expunged++
	replace(t.recent, m)
	for _, l := range t.lanes {
		replace(l.log.window, m)
		l.flying.expunge(m.ID)
		if line := l.retries.line(m.ID); line != nil && s.alarms.cancel(&line.timer) {
			l.retries.fire(line)
			l.enqueue()
		}
	}
}

// wakeManual reports that an endpoint's manual set has grown.
func (s *Scheduler) wakeManual(endpoint webhook.ID) {
	if l := s.lanes[endpoint]; l != nil {
		l.manual.more = true
		l.enqueue()
	}
}
