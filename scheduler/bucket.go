package scheduler

import "time"

// bucketSlack is by how much a message may come early: the wheel is no more exact than that.
const bucketSlack = 2 * wheelTick

// bucket spreads messages evenly over time: the generic cell rate algorithm, a token bucket that needs one number (ITU-T I.371). With
// so little slack no second holds more than the rate and what fits into the slack. The zero bucket lets everything through.
type bucket struct {
	interval time.Duration // between two messages; 0: no limit
	next     time.Time     // when one more fits in exactly
}

// setRate changes the rate, in messages per second; 0: no limit.
func (b *bucket) setRate(perSecond float64) {
	b.interval = 0
	if perSecond > 0 {
		b.interval = time.Duration(float64(time.Second) / perSecond)
	}
}

// ready tells whether a message may go now, and if not, when.
func (b *bucket) ready(now time.Time) (ok bool, at time.Time) {
	if b.interval == 0 || !b.next.Add(-bucketSlack).After(now) {
		return true, now
	}
	return false, b.next.Add(-bucketSlack)
}

// take counts a message that goes now.
func (b *bucket) take(now time.Time) {
	if b.interval == 0 {
		return
	}
	if b.next.Before(now) {
		b.next = now
	}
	b.next = b.next.Add(b.interval)
}
