package scheduler

import "time"

// bucketSlack is how early a message may be sent: the wheel is no more precise than that.
const bucketSlack = 2 * wheelTick

// bucket spreads messages evenly over time. It is the generic cell rate algorithm, a token bucket
// that needs one number (ITU-T I.371). In no second does it admit more messages than the rate plus
// what fits into the slack. The zero bucket admits everything.
type bucket struct {
	interval time.Duration // between two messages; 0: no limit
	next     time.Time     // when the next message is due
}

// setRate sets the rate in messages per second; 0: no limit.
func (b *bucket) setRate(perSecond float64) {
	b.interval = 0
	if perSecond > 0 {
		b.interval = time.Duration(float64(time.Second) / perSecond)
	}
}

// lower returns the lower of two rates, of which 0 is no limit.
func lower(a, b float64) float64 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// isReady reports whether a message may be sent now and, if not, when.
func (b *bucket) isReady(now time.Time) (ok bool, at time.Time) {
	if b.interval == 0 || !b.next.Add(-bucketSlack).After(now) {
		return true, now
	}
	return false, b.next.Add(-bucketSlack)
}

// take counts a message that is sent now.
func (b *bucket) take(now time.Time) {
	if b.interval == 0 {
		return
	}
	if b.next.Before(now) {
		b.next = now
	}
	b.next = b.next.Add(b.interval)
}
