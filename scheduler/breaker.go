package scheduler

import (
	"math"
	"time"

	"hookwheel/webhook"
)

// BreakerPolicy says when an endpoint is parked, and how it is probed.
type BreakerPolicy struct {
	Window      time.Duration // over which failures are counted
	MinAttempts int           // attempts in the window, or without any success for longer, at least, before it opens
	FailureRate float64       // of those in the window that fail, 0 to 1, from which on it opens
	Probe       time.Duration // until the first probe; each further one comes twice as late
	MaxProbe    time.Duration // but no later than that
	Disable     time.Duration // of failure without any success, after which the endpoint is disabled
}

// DefaultBreakerPolicy opens when half of 10 attempts or more in a minute have failed, or all of 10 or more in a longer time, probes after 5 s to 5 min, and gives up after 5
// days, as Svix does.
func DefaultBreakerPolicy() BreakerPolicy {
	return BreakerPolicy{Window: time.Minute, MinAttempts: 10, FailureRate: 0.5, Probe: 5 * time.Second, MaxProbe: 5 * time.Minute, Disable: 5 * 24 * time.Hour}
}

// rampTime is how long an endpoint that has come back gets less than it could take: rampFirst messages in the first second, and twice
// as many in each further one.
const (
	rampTime  = 10 * time.Second
	rampFirst = 10.0
)

// maxFailureText bounds what is kept of the last failure, in bytes.
const maxFailureText = 200

// breaker keeps the failures of one endpoint from costing more than probes. What it decides is health; the rest is only counted.
type breaker struct {
	health      webhook.Health
	windowStart time.Time // of the part of the window that is being counted
	counts      [2]struct{ attempts, failures int }
	failed      int       // attempts since the last success
	failedAt    time.Time // when an attempt failed; zero: under the leader before, or never
	closedAt    time.Time // when it closed; zero: long ago
}

// success takes a success in.
func (b *breaker) success(now time.Time, p *BreakerPolicy) {
	rests := b.health.Rests // one that was under way may succeed meanwhile
	if !rests.After(now) {
		rests = time.Time{}
	}
	if b.health.Parked {
		*b = breaker{closedAt: now}
	} else {
		b.count(now, p, 0)
		b.failed = 0
	}
	b.health = webhook.Health{Rests: rests}
}

// rest notes that the endpoint asked to be left alone until then.
func (b *breaker) rest(until time.Time) {
	if until = until.Truncate(time.Millisecond).UTC(); until.After(b.health.Rests) {
		b.health.Rests = until
	}
}

// failure takes a failure in; probe tells whether it was a probe.
func (b *breaker) failure(now time.Time, p *BreakerPolicy, text string, probe bool) {
	h := &b.health
	if h.FailingSince.IsZero() || b.silent(now, p) {
		b.restart(now)
	}
	h.LastFailure = text[:min(len(text), maxFailureText)]
	b.count(now, p, 1)
	b.failed++
	b.failedAt = now
	switch {
	case h.Parked && probe:
		h.Probes++
		h.NextProbe = now.Add(p.delay(h.Probes)).Truncate(time.Millisecond).UTC()
	case !h.Parked && b.opens(now, p):
		h.Parked, h.Since = true, now.Truncate(time.Millisecond).UTC()
		h.NextProbe = now.Add(p.delay(0)).Truncate(time.Millisecond).UTC()
	}
}

// retry forgets for how long it has failed, because a person says that it is well again: it begins like one that has come back, or with a
// probe if it was parked, for should the person be wrong, no message is to use up an attempt.
func (b *breaker) retry(now time.Time) {
	h := b.health
	if !h.Parked {
		*b = breaker{closedAt: now}
		return
	}
	*b = breaker{health: webhook.Health{Parked: true, Since: h.Since, LastFailure: h.LastFailure}}
	b.probeNow(now)
}

// hurry has the next probe go now, if the endpoint is parked.
func (b *breaker) probeNow(now time.Time) {
	if b.health.Parked {
		b.health.NextProbe = now.Truncate(time.Millisecond).UTC()
	}
}

// delay is how long to wait after so many probes have failed.
func (p *BreakerPolicy) delay(probes uint32) time.Duration {
	delay := float64(p.Probe) * math.Exp2(float64(min(probes, 40)))
	return time.Duration(min(delay, float64(p.MaxProbe)))
}

// count moves the window, which is two halves, and counts an attempt.
func (b *breaker) count(now time.Time, p *BreakerPolicy, failures int) {
	half := p.Window / 2
	switch age := now.Sub(b.windowStart); {
	case age < half:
	case age < 2*half:
		b.counts[0], b.counts[1] = b.counts[1], struct{ attempts, failures int }{}
		b.windowStart = b.windowStart.Add(half)
	default:
		clear(b.counts[:])
		b.windowStart = now
	}
	b.counts[1].attempts++
	b.counts[1].failures += failures
}

// opens tells whether enough has failed: most of what was tried of late, or all that was tried for longer than that. By the second an
// endpoint that gets little is parked too, before its messages have used up their attempts.
func (b *breaker) opens(now time.Time, p *BreakerPolicy) bool {
	if b.failed >= p.MinAttempts && now.Sub(b.health.FailingSince) >= p.Window {
		return true
	}
	attempts, failures := b.counts[0].attempts+b.counts[1].attempts, b.counts[0].failures+b.counts[1].failures
	return attempts >= p.MinAttempts && float64(failures) >= p.FailureRate*float64(attempts)
}

// restart has the time begin now for which the endpoint has failed.
func (b *breaker) restart(now time.Time) {
	b.health.FailingSince = now.Truncate(time.Millisecond).UTC()
}

// silent tells whether so little was tried of late that the failures of long ago say nothing about the time between. A parked endpoint is
// probed all the time, whoever leads.
func (b *breaker) silent(now time.Time, p *BreakerPolicy) bool {
	if b.failedAt.IsZero() {
		return !b.health.Parked
	}
	return now.Sub(b.failedAt) > max(p.Disable/2, 2*p.MaxProbe)
}

// exhausted tells whether the endpoint has failed for so long that it is to be disabled.
func (b *breaker) exhausted(now time.Time, p *BreakerPolicy) bool {
	return p.Disable > 0 && !b.health.FailingSince.IsZero() && now.Sub(b.health.FailingSince) >= p.Disable
}

// pace is how many messages a second may go while the endpoint gets used to them again; 0: no limit.
func (b *breaker) pace(now time.Time) float64 {
	since := now.Sub(b.closedAt)
	if b.closedAt.IsZero() || since >= rampTime {
		return 0
	}
	return rampFirst * math.Exp2(since.Seconds())
}
