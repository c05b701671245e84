package scheduler

import (
	"math/rand/v2"
	"time"

	"hookwheel/webhook"
)

// Verdict is what an attempt means beside success or failure.
type Verdict struct {
	Overload    bool          // a time-out, a connection that failed, a 429 or a 5xx: the endpoint may have too much to do
	RetryAfter  time.Duration // for how long the endpoint asks to be left alone
	Disable     bool          // the endpoint wants nothing any more
	GiveUp      bool          // the endpoint does not want this message again
	SenderFault bool          // nothing was sent, for a reason that only our operator can end: no attempt is used up
	Revoked     bool          // it was broken off because the endpoint or the message has changed: no attempt is used up
	Text        string        // of a failure, in few words
}

// stuckAfter is how long a message may be under way before the lane goes on beyond maxAhead without
// it.
const stuckAfter = time.Second

// senderFaultDelay is until what failed for a reason of ours is tried again.
const senderFaultDelay = 30 * time.Second

// Done takes back a delivery, and says what to record of it. The attempt lacks Next, which is
// decided here.
func (s *Scheduler) Done(d webhook.Delivery, a webhook.Attempt, v Verdict) webhook.Outcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := webhook.Outcome{Source: d.Source, Due: d.Due, Attempt: a, Spent: d.Spent}
	if d.Message != nil {
		o.Scheduled = d.Message.DeliverAt
	}
	if f, known := s.landOrphan(&d); known {
		s.judge(&f, a.Status == webhook.StatusSuccess, v)
		return o
	}
	l := s.lanes[d.Endpoint.ID]
	if l == nil {
		return o
	}
	name := flight{d.Source, d.ID}
	f, known := l.flying[name]
	if known {
		l.land(name)
		s.land(f)
		s.judge(&f, a.Status == webhook.StatusSuccess, v)
	}
	if f.early {
		l.early.flying = false
	}
	if f.settled {
		v.GiveUp = true
	}
	if !f.due.IsZero() { // it was put into the retry set meanwhile
		o.Source, o.Due = webhook.SourceRetry, f.due
	}
	o.Key = l.order.recordedKey(d.Message)
	now := s.clock()
	if a.Status == webhook.StatusSuccess {
		s.succeeded(l, now, a.Duration, f.full, f.early)
		l.settleFlying(d.ID)
		if v.Disable {
			s.disable = append(s.disable, Disable{l.endpoint, f.since})
		}
	} else {
		s.failed(l, now, &d, &f, &o, v)
	}
	s.enqueue(l)
	return o
}

// judge takes in what an attempt says about the endpoints of an application: those that hang keep
// workers from the others.
func (s *Scheduler) judge(f *flying, success bool, v Verdict) {
	switch {
	case success && f.class != proven:
		f.share.succeeded()
	case v.Overload && s.clock().Sub(f.since) > soon:
		f.share.hung()
	}
}

// settleFlying notes that a message was delivered, so that it is not retried if another attempt in
// flight fails.
func (l *lane) settleFlying(message webhook.ID) {
	for _, source := range [...]webhook.Source{webhook.SourceLog, webhook.SourceRetry, webhook.SourceHeld} {
		name := flight{source, message}
		if f, underWay := l.flying[name]; underWay {
			f.settled = true
			l.flying[name] = f
		}
	}
}

// Abandon takes back a delivery of which nothing is to be recorded: the next leader makes it again.
func (s *Scheduler) Abandon(d webhook.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.landOrphan(&d); known {
		return
	}
	if l := s.lanes[d.Endpoint.ID]; l != nil {
		name := flight{d.Source, d.ID}
		if f, known := l.flying[name]; known {
			l.land(name)
			l.early.flying = l.early.flying && !f.early
			s.land(f)
		}
	}
}

func (s *Scheduler) succeeded(l *lane, now time.Time, latency time.Duration, full, early bool) {
	if l.breaker.health.Parked {
		l.limit.restart()
		s.log.Info("an endpoint that was parked answers again", "endpoint", l.endpoint.ID.Text(webhook.KindEndpoint))
	}
	switch failing := !l.breaker.health.FailingSince.IsZero(); {
	case l.breaker.health.Parked || early:
		s.hasten(l)
	case failing:
		l.early.once = true
	}
	l.early.next, l.early.failed = time.Time{}, 0
	l.breaker.success(now, &s.config.Breaker)
	l.limit.success(latency, full)
	l.proven = latency <= soon
}

// hasten has what waits for another attempt go now: the endpoint answers.
func (s *Scheduler) hasten(l *lane) {
	l.retries.hasten(func(line *retry) bool { return s.wheel.cancel(&line.timer) })
}

func (s *Scheduler) failed(l *lane, now time.Time, d *webhook.Delivery, f *flying, o *webhook.Outcome, v Verdict) {
	if v.Revoked {
		if next := s.nextAttempt(l, now, d, o, v); !next.IsZero() {
			o.Attempt.Next = next.Truncate(time.Millisecond).UTC()
		}
		return
	}
	l.proven = false
	parked := l.breaker.health.Parked
	l.retries.hasty = false
	early := f.early && !parked && d.Due.After(now) // its own time has not come yet
	if early {
		l.early.fail(now, &s.config.Breaker)
	} else {
		l.breaker.failure(now, &s.config.Breaker, v.Text, d.Probe && parked)
		l.early.plan(now, &s.config.Breaker)
	}
	if v.SenderFault {
		l.breaker.restart(now)
	}
	if !parked && l.breaker.health.Parked {
		s.log.Warn("an endpoint keeps failing and is parked", "endpoint", l.endpoint.ID.Text(webhook.KindEndpoint), "failure", v.Text)
	}
	if v.Overload {
		l.limit.overload(f.since, now)
	}
	if v.RetryAfter > 0 {
		l.breaker.rest(now.Add(v.RetryAfter))
		l.rest(l.breaker.health.Rests)
	}
	if v.Disable || !v.SenderFault && l.breaker.isExhausted(now, &s.config.Breaker) {
		s.disable = append(s.disable, Disable{l.endpoint, l.breaker.health.FailingSince})
	}
	if !early && !v.SenderFault && (!d.Probe || f.early && !parked) {
		o.Spent++
	}
	next := d.Due
	if !early || v.GiveUp {
		next = s.nextAttempt(l, now, d, o, v)
	}
	if !next.IsZero() {
		o.Attempt.Next = next.Truncate(time.Millisecond).UTC()
	}
}

// nextAttempt is when a message that failed is to be tried again; zero: not any more.
func (s *Scheduler) nextAttempt(l *lane, now time.Time, d *webhook.Delivery, o *webhook.Outcome, v Verdict) (next time.Time) {
	unmade := v.SenderFault || v.Revoked
	if v.GiveUp || d.Source == webhook.SourceManual && !d.Retry && !unmade {
		return next
	}
	if v.Revoked {
		return now
	}
	if d.Probe && l.breaker.health.Parked {
		return l.breaker.health.NextProbe
	}
	if v.SenderFault {
		return now.Add(senderFaultDelay)
	}
	delay, again := s.config.Retry.Delay(o.Spent, rand.Float64())
	if !again && l.order.ordering != webhook.OrderingNone && l.endpoint.OnExhausted == webhook.OnExhaustedBlock {
		delay, again = s.config.Retry.Delay(uint32(len(s.config.Retry.Delays)), rand.Float64())
	}
	if !again {
		return next
	}
	return now.Add(max(delay, v.RetryAfter))
}

// Decided receives a value when there is something to record that no delivery has caused.
func (s *Scheduler) Decided() <-chan struct{} { return s.notify }

// Disabled are the endpoints that are to be disabled since it was last asked.
func (s *Scheduler) Disabled() []Disable {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.disable
	s.disable = nil
	return list
}

// Checkpoint says what to record: these outcomes and what was decided without a delivery, at most
// about that many, and how far the cursors are with them. Without any it is for the cursors that
// moved over messages nobody wanted. What it returns must be recorded before it is called again.
func (s *Scheduler) Checkpoint(outcomes []webhook.Outcome, limit int) []webhook.Progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := report{scheduler: s, byEndpoint: make(map[webhook.ID]int)}
	decided := min(len(s.decided), max(0, limit-len(outcomes)))
	for i := range decided { // first: what was put off may have come back since
		r.add(&s.decided[i])
	}
	if s.decided = s.decided[decided:]; len(s.decided) > 0 {
		s.notifyDecided()
	} else {
		s.decided = nil
	}
	for i := range outcomes {
		r.add(&outcomes[i])
	}
	if len(r.list) == 0 {
		for l := range s.moved {
			if len(r.list) >= limit {
				s.notifyDecided()
				break
			}
			r.at(l.endpoint.ID)
		}
	}
	for i := range r.list {
		if l := s.lanes[r.list[i].Endpoint]; l != nil {
			s.complete(l, &r.list[i])
		}
	}
	s.admit()
	return r.list
}

func (s *Scheduler) notifyDecided() {
	select {
	case s.notify <- struct{}{}:
	default:
	}
}

// complete adds what is to be recorded of a lane beside outcomes.
func (s *Scheduler) complete(l *lane, p *webhook.Progress) {
	p.Cursor = l.log.cursor()
	l.log.recorded = p.Cursor
	if health := l.breaker.health; health != l.recorded {
		p.Health, l.recorded = &health, health
	}
	delete(s.moved, l)
	s.unstick(l)
	s.enqueue(l) // it may have been too far ahead
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
func (s *Scheduler) unstick(l *lane) {
	id, stuck := l.log.stuck()
	if !stuck {
		return
	}
	name := flight{webhook.SourceLog, id}
	f, underWay := l.flying[name]
	if !underWay || !f.due.IsZero() {
		return
	}
	now := s.clock()
	if age := now.Sub(f.since); age < stuckAfter {
		s.wakeLane(l, f.since.Add(stuckAfter))
		return
	}
	f.due = now.Add(2 * s.config.Timeout).Truncate(time.Millisecond).UTC()
	l.flying[name] = f
	s.decide(l, webhook.Outcome{Source: webhook.SourceLog, Key: f.key, Attempt: webhook.Attempt{Message: id, Endpoint: l.endpoint.ID, Next: f.due}})
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
			s.settle(l, &list[i].Outcomes[j])
		}
		if l.pending -= len(list[i].Outcomes); l.pending == 0 && l.successor != nil {
			s.replace(l.successor)
			continue
		}
		s.enqueue(l)
	}
}

// planBlocker plans the line that an endpoint that is ordered as a whole waits for next.
func (s *Scheduler) planBlocker(l *lane) {
	if line, blocks := l.order.next(); blocks {
		s.plan(l, line)
	}
}

func (s *Scheduler) settle(l *lane, o *webhook.Outcome) {
	a := &o.Attempt
	manual := o.Source == webhook.SourceManual
	if manual {
		l.manual.settle(a.Message, l.reading)
	}
	if o.Source == webhook.SourceRetry || manual && a.Status == webhook.StatusSuccess {
		s.forget(l, a.Message)
		l.retries.settle(a.Message)
	}
	if a.Next.IsZero() && a.Message == l.manual.replayed {
		l.manual.replayed = webhook.ID{}
	}
	switch {
	case o.Hold:
		l.order.recordedHold(o.Key, a.Message)
	case a.Next.IsZero():
		if !manual || a.Status == webhook.StatusSuccess {
			key := o.Key
			if key == 0 && a.Status == webhook.StatusCanceled { // its line may be from when the endpoint kept no order
				key = l.order.blockedBy(a.Message)
			}
			l.order.unblock(key, a.Message)
			s.planBlocker(l)
		}
	case manual: // it has made a line, unless the message had one
		l.retries.unsure = append(l.retries.unsure, webhook.Retry{Message: a.Message, Due: a.Next})
	default:
		s.plan(l, webhook.Retry{Message: a.Message, Made: a.Number, Spent: o.Spent, Key: o.Key, Due: a.Next})
	}
}
