package scheduler

import (
	"math"
	"time"

	"hookwheel/webhook"
)

// BreakerPolicy defines when an endpoint is parked and how it is probed.
type BreakerPolicy struct {
	Window      time.Duration // the time over which failures are counted
	MinAttempts int           // needed in the window, or without a success for longer than that, before the breaker opens
	FailureRate float64       // of the attempts in the window, 0 to 1, at which the breaker opens
	Probe       time.Duration // delay of the first probe; doubles with each further one
	MaxProbe    time.Duration // limit of that delay
	Disable     time.Duration // time without a success after which a failing endpoint is disabled; 0: never
}

// DefaultBreakerPolicy returns the policy that opens the breaker when half of 10 or more attempts
// within a minute have failed, or all of 10 or more over a longer time. It probes after 5 s to 5
// min, and disables the endpoint after 5 days, as Svix does.
func DefaultBreakerPolicy() BreakerPolicy {
	return BreakerPolicy{Window: time.Minute, MinAttempts: 10, FailureRate: 0.5, Probe: 5 * time.Second, MaxProbe: 5 * time.Minute, Disable: 5 * 24 * time.Hour}
}

// For rampTime a recovered endpoint gets fewer messages than it could take: rampFirst in the
// first second, and twice as many in each further one.
const (
	rampTime  = 10 * time.Second
	rampFirst = 10.0
)

// maxFailureText is the number of bytes kept of the text of the last failure.
const maxFailureText = 200

// breaker reduces the deliveries to a failing endpoint to probes. Its decisions are in health; the
// other fields only count.
type breaker struct {
	health      webhook.Health
	windowStart time.Time // start of the half of the window that is being counted; zero: nothing was counted under this leader
	counts      [2]attemptCount
	failed      int       // failed attempts since the last success
	closedAt    time.Time // when the breaker last closed; zero: long ago
}

type attemptCount struct{ attempts, failures uint32 }

// success counts a successful attempt and closes the breaker.
func (b *breaker) success(now time.Time, p *BreakerPolicy) {
	rests := b.health.Rests // an attempt sent before the request to wait may succeed after it
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

// rest notes that the endpoint asked for no requests before until.
func (b *breaker) rest(until time.Time) {
	if until = until.Truncate(time.Millisecond).UTC(); until.After(b.health.Rests) {
		b.health.Rests = until
	}
}

// failure counts a failed attempt; probe reports whether it was a probe.
func (b *breaker) failure(now time.Time, p *BreakerPolicy, text string, probe bool) {
	h := &b.health
	if h.FailingSince.IsZero() || b.isSilent(now, p) {
		b.restart(now)
	}
	h.LastFailure = text[:min(len(text), maxFailureText)]
	b.count(now, p, 1)
	b.failed++
	switch {
	case h.Parked && probe:
		h.Probes++
		h.NextProbe = now.Add(p.delay(h.Probes)).Truncate(time.Millisecond).UTC()
	case !h.Parked && b.opens(now, p):
		h.Parked, h.Since = true, now.Truncate(time.Millisecond).UTC()
		h.NextProbe = now.Add(p.delay(0)).Truncate(time.Millisecond).UTC()
	}
}

// retry forgets how long the endpoint has failed, because a user says that it works again. If it is
// parked it stays so, and is probed now: should the user be wrong, no message uses up an attempt.
// Otherwise it gets the rate of a recovered endpoint.
func (b *breaker) retry(now time.Time) {
	h := b.health
	if !h.Parked {
		*b = breaker{closedAt: now}
		return
	}
	*b = breaker{health: webhook.Health{Parked: true, Since: h.Since, LastFailure: h.LastFailure}}
	b.probeNow(now)
}

// probeNow makes the next probe of a parked endpoint due.
func (b *breaker) probeNow(now time.Time) {
	if b.health.Parked {
		b.health.NextProbe = now.Truncate(time.Millisecond).UTC()
	}
}

// delay returns the time before the next probe, after the given number of failed ones.
func (p *BreakerPolicy) delay(probes uint32) time.Duration {
	delay := float64(p.Probe) * math.Exp2(float64(min(probes, 40)))
	return time.Duration(min(delay, float64(p.MaxProbe)))
}

// count counts an attempt, after moving the window, which consists of two halves.
func (b *breaker) count(now time.Time, p *BreakerPolicy, failures uint32) {
	half := p.Window / 2
	switch age := now.Sub(b.windowStart); {
	case age < half:
	case age < 2*half:
		b.counts[0], b.counts[1] = b.counts[1], attemptCount{}
		b.windowStart = b.windowStart.Add(half)
	default:
		clear(b.counts[:])
		b.windowStart = now
	}
	b.counts[1].attempts++
	b.counts[1].failures += failures
}

// opens reports whether enough attempts have failed: the configured rate of the recent ones, or all
// of them for longer than the window. The second condition parks an endpoint with little traffic
// before its messages have used up their attempts.
func (b *breaker) opens(now time.Time, p *BreakerPolicy) bool {
	if b.failed >= p.MinAttempts && now.Sub(b.health.FailingSince) >= p.Window {
		return true
	}
	attempts, failures := b.counts[0].attempts+b.counts[1].attempts, b.counts[0].failures+b.counts[1].failures
	return int(attempts) >= p.MinAttempts && float64(failures) >= p.FailureRate*float64(attempts)
}

// restart makes now the start of the time for which the endpoint has failed.
func (b *breaker) restart(now time.Time) {
	b.health.FailingSince = now.Truncate(time.Millisecond).UTC()
}

// isSilent reports whether there were so few attempts recently that earlier failures say nothing
// about the time since. A parked endpoint is never silent: every leader keeps probing it. The
// latest attempt was up to half a window after windowStart.
func (b *breaker) isSilent(now time.Time, p *BreakerPolicy) bool {
	if b.windowStart.IsZero() {
		return !b.health.Parked
	}
	return now.Sub(b.windowStart) > max(p.Disable/2, 2*p.MaxProbe)+p.Window/2
}

// isExhausted reports whether the endpoint has failed for so long that it must be disabled.
func (b *breaker) isExhausted(now time.Time, p *BreakerPolicy) bool {
	return p.Disable > 0 && !b.health.FailingSince.IsZero() && now.Sub(b.health.FailingSince) >= p.Disable
}

// pace returns the number of messages per second that an endpoint gets while it recovers; 0: no
// limit.
func (b *breaker) pace(now time.Time) float64 {
	since := now.Sub(b.closedAt)
	if b.closedAt.IsZero() || since >= rampTime {
		return 0
	}
	return rampFirst * math.Exp2(since.Seconds())
}
