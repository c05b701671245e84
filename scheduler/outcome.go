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
		judge(&f, &a, v)
		return o
	}
	l := s.lanes[d.Endpoint.ID]
	if l == nil {
		return o
	}
	name := flight{d.Source, d.ID}
	f, known := l.flying[name]
	if known {
		l.flying.land(name)
		s.workers.land(f)
		judge(&f, &a, v)
	}
	if f.early {
		l.early.flying = false
	}
	if f.settled {
		v.GiveUp = true
	}
	if !f.due.IsZero() { // it may have been put into the retry set meanwhile
		o.Source, o.Due = webhook.SourceRetry, f.due
	}
	o.Key = f.key
	r := result{scheduler: s, lane: l, now: s.clock(), delivery: d, flying: f, verdict: v, outcome: o}
	if a.Status == webhook.StatusSuccess {
		r.succeeded()
	} else {
		r.failed()
	}
	l.enqueue()
	return r.outcome
}

// judge takes in what an attempt says about the endpoints of an application: those that hang keep
// workers from the others.
func judge(f *flying, a *webhook.Attempt, v Verdict) {
	switch {
	case a.Status == webhook.StatusSuccess && f.class != proven:
		f.share.succeeded()
	case v.Overload && a.Duration > soon:
		f.share.hung()
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
			l.flying.land(name)
			l.early.flying = l.early.flying && !f.early
			s.workers.land(f)
		}
	}
}

// result is an attempt that has come back, with what is made of it.
type result struct {
	scheduler *Scheduler
	lane      *lane
	now       time.Time
	delivery  webhook.Delivery
	flying    flying
	verdict   Verdict
	outcome   webhook.Outcome
}

func (r *result) succeeded() {
	s, l := r.scheduler, r.lane
	latency := r.outcome.Attempt.Duration
	if l.breaker.health.Parked {
		l.limit.restart()
		s.log.Info("an endpoint that was parked answers again", "endpoint", l.endpoint.ID.Text(webhook.KindEndpoint))
	}
	switch failing := !l.breaker.health.FailingSince.IsZero(); {
	case l.breaker.health.Parked || r.flying.early:
		retrySource{l}.hasten()
	case failing:
		l.early.once = true
	}
	l.early.next, l.early.failed = time.Time{}, 0
	l.breaker.success(r.now, &s.config.Breaker)
	l.limit.success(latency, r.flying.full)
	l.proven = latency <= soon
	l.flying.delivered(r.delivery.ID)
	if r.delivery.Source == webhook.SourceManual {
		retrySource{l}.forget(r.delivery.ID)
		mark(&l.retries.moot, r.delivery.ID)
	}
	if r.verdict.Disable {
		r.disableSoon(r.flying.since)
	}
}

func (r *result) failed() {
	if r.verdict.Revoked {
		r.plan(r.next())
		return
	}
	s, l, v, now := r.scheduler, r.lane, &r.verdict, r.now
	policy := &s.config.Breaker
	l.proven = false
	parked := l.breaker.health.Parked
	l.retries.hasty = false
	early := r.flying.early && !parked && r.delivery.Due.After(now) // its own time has not come yet
	if early {
		l.early.fail(now, policy)
	} else {
		l.breaker.failure(now, policy, v.Text, r.delivery.Probe && parked)
		l.early.plan(now, policy)
	}
	if v.SenderFault {
		l.breaker.restart(now)
	}
	if !parked && l.breaker.health.Parked {
		s.log.Warn("an endpoint keeps failing and is parked", "endpoint", l.endpoint.ID.Text(webhook.KindEndpoint), "failure", v.Text)
	}
	if v.Overload {
		l.limit.overload(r.flying.since, now)
	}
	if v.RetryAfter > 0 {
		l.breaker.rest(now.Add(v.RetryAfter))
		l.rest(l.breaker.health.Rests)
	}
	if v.Disable || !v.SenderFault && l.breaker.isExhausted(now, policy) {
		r.disableSoon(l.breaker.health.FailingSince)
	}
	if !early && !v.SenderFault && (!r.delivery.Probe || r.flying.early && !parked) {
		r.outcome.Spent++
	}
	if early && !v.GiveUp {
		r.plan(r.delivery.Due)
	} else {
		r.plan(r.next())
	}
}

// plan sets the time of the next attempt; zero: there is none. No other attempt at the message that
// is in flight has a line of that time: each would take the other's for its own.
func (r *result) plan(next time.Time) {
	if next.IsZero() {
		return
	}
	next = next.Truncate(time.Millisecond).UTC()
	for r.lane.flying.hasLine(r.delivery.ID, next) {
		next = next.Add(time.Millisecond)
	}
	r.outcome.Attempt.Next = next
}

// next returns when a message whose attempt failed is to be tried again; zero: not any more.
func (r *result) next() (next time.Time) {
	s, l, v, d := r.scheduler, r.lane, &r.verdict, &r.delivery
	unmade := v.SenderFault || v.Revoked
	if v.GiveUp || d.Source == webhook.SourceManual && !d.Retry && !unmade {
		return next
	}
	if v.Revoked {
		return r.now
	}
	if d.Probe && l.breaker.health.Parked {
		return l.breaker.health.NextProbe
	}
	if v.SenderFault {
		return r.now.Add(senderFaultDelay)
	}
	delay, again := s.config.Retry.Delay(r.outcome.Spent, rand.Float64())
	if !again && l.order.ordering != webhook.OrderingNone && l.endpoint.OnExhausted == webhook.OnExhaustedBlock {
		delay, again = s.config.Retry.Delay(uint32(len(s.config.Retry.Delays)), rand.Float64())
	}
	if !again {
		return next
	}
	return r.now.Add(max(delay, v.RetryAfter))
}
