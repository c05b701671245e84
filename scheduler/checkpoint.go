package scheduler

import (
	"time"

	"hookwheel/webhook"
)

// stuckAfter is how long a message may be under way before the lane goes on beyond maxAhead without
// it.
const stuckAfter = time.Second

// Decided receives a value when there is something to record that no delivery has caused.
func (s *Scheduler) Decided() <-chan struct{} { return s.unrecorded.notify }

// Disabling receives a value when there may be an endpoint that is to be disabled.
func (s *Scheduler) Disabling() <-chan struct{} { return s.unrecorded.disabling }

// NextDisabled takes an endpoint that is to be disabled, if there is one: not if a user has changed
// it since, which may be what it lacked.
func (s *Scheduler) NextDisabled() (d Disable, found bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, d := range s.unrecorded.disable {
		delete(s.unrecorded.disable, id)
		if l := s.lanes[id]; l != nil && l.latest() == d.Endpoint {
			return d, true
		}
	}
	return d, false
}

// Checkpoint says what to record: these outcomes and what was decided without a delivery, at most
// about that many, and how far the cursors are with them. Without any it is for the cursors that
// moved over messages nobody wanted. What it returns must be recorded before it is called again.
func (s *Scheduler) Checkpoint(outcomes []webhook.Outcome, limit int) []webhook.Progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := report{scheduler: s, byEndpoint: make(map[webhook.ID]int)}
	decided := s.unrecorded.take(limit - len(outcomes))
	for i := range decided { // first: what was put off may have come back since
		r.add(&decided[i])
	}
	for i := range outcomes {
		r.add(&outcomes[i])
	}
	if len(r.list) == 0 {
		for l := range s.unrecorded.moved {
			if len(r.list) >= limit {
				s.unrecorded.signal()
				break
			}
			r.at(l.endpoint.ID)
		}
	}
	for i := range r.list {
		if l := s.lanes[r.list[i].Endpoint]; l != nil {
			l.complete(&r.list[i])
			l.enqueue() // it may have been too far ahead
		}
	}
	s.unrecorded.admit()
	return r.list
}

// complete adds what is to be recorded of a lane beside outcomes.
func (l *lane) complete(p *webhook.Progress) {
	p.Cursor = l.log.cursor()
	l.log.recorded = p.Cursor
	if health, sum := l.breaker.health, sumOf(l.breaker.health); sum != l.recorded {
		p.Health, l.recorded = &health, sum
	}
	delete(l.scheduler.unrecorded.moved, l)
	l.unstick()
}

// report is being put together.
type report struct {
	scheduler  *Scheduler
	list       []webhook.Progress
	byEndpoint map[webhook.ID]int
}

// at is the part of one endpoint.
func (r *report) at(endpoint webhook.ID) *webhook.Progress {
	i, known := r.byEndpoint[endpoint]
	if !known {
		i = len(r.list)
		r.byEndpoint[endpoint] = i
		r.list = append(r.list, webhook.Progress{Endpoint: endpoint})
	}
	return &r.list[i]
}

func (r *report) add(o *webhook.Outcome) {
	p := r.at(o.Attempt.Endpoint)
	p.Outcomes = append(p.Outcomes, *o)
	if l := r.scheduler.lanes[p.Endpoint]; l != nil && o.Source == webhook.SourceLog {
		l.log.settle(o.Attempt.Message)
	}
}

// unstick puts the first message of a lane that can't go further ahead into the retry set, if it is
// under way for long: its outcome will settle it there. One endpoint's slow answer must not hold up
// the others that it would give at once.
func (l *lane) unstick() {
	id, stuck := l.log.stuck()
	if !stuck {
		return
	}
	name := flight{webhook.SourceLog, id}
	f, underWay := l.flying[name]
	if !underWay || !f.due.IsZero() {
		return
	}
	s := l.scheduler
	now := s.clock()
	if age := now.Sub(f.since); age < stuckAfter {
		l.wake(f.since.Add(stuckAfter))
		return
	}
	f.due = now.Add(2 * s.config.Timeout).Truncate(time.Millisecond).UTC()
	l.flying[name] = f
	l.decide(webhook.Outcome{Source: webhook.SourceLog, Key: f.key, Attempt: webhook.Attempt{Message: id, Endpoint: l.endpoint.ID, Next: f.due}})
}

// Settle says that progress is recorded, and plans what follows from it.
func (s *Scheduler) Settle(list []webhook.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range list {
		l := s.lanes[list[i].Endpoint]
		if l == nil {
			continue
		}
		for j := range list[i].Outcomes {
			l.settle(&list[i].Outcomes[j])
		}
		if l.pending -= int32(len(list[i].Outcomes)); l.pending == 0 && l.successor != nil {
			s.replace(l.successor)
			continue
		}
		l.enqueue()
	}
}

func (l *lane) settle(o *webhook.Outcome) {
	a := &o.Attempt
	manual := o.Source == webhook.SourceManual
	if manual {
		l.manual.settle(a.Message)
	}
	switch {
	case o.Source == webhook.SourceRetry:
		if line := l.retries.line(a.Message); line != nil && line.Due.Equal(o.Due) {
			retrySource{l}.forget(a.Message)
		}
		l.retries.settle(a.Message, o.Due)
	case manual && a.Status == webhook.StatusSuccess:
		retrySource{l}.forget(a.Message)
		l.retries.settleAll(a.Message)
	}
	if a.Next.IsZero() && a.Message == l.manual.replayed {
		l.manual.replayed = webhook.ID{}
	}
	switch {
	case o.Hold:
		l.order.recordedHold(o.Key, a.Message)
	case a.Next.IsZero():
		l.settleOrder(o)
	case manual: // it has made a line, unless the message had one
		l.retries.unsure = append(l.retries.unsure, webhook.Retry{Message: a.Message, Due: a.Next})
	default:
		l.order.failed(o.Key, a.Message)
		retrySource{l}.plan(webhook.Retry{Message: a.Message, Made: a.Number, Spent: o.Spent, Key: o.Key, Due: a.Next})
	}
}

// settleOrder says that the last outcome of an attempt is recorded, to what may wait for the
// message.
func (l *lane) settleOrder(o *webhook.Outcome) {
	switch a := &o.Attempt; {
	case o.Source != webhook.SourceManual:
		key := o.Key
		if key == 0 && a.Status == webhook.StatusCanceled { // its line may be from when the endpoint kept no order
			key = l.order.blockedBy(a.Message)
		}
		l.order.unblock(key, a.Message)
	case a.Status == webhook.StatusSuccess:
		l.order.delivered(o.Key, a.Message)
	default:
		return
	}
	retrySource{l}.planBlocker()
}
