package scheduler

import "time"

// early is when the oldest message that waits for another attempt is tried before its time, as a probe that uses up none of its
// attempts: while nothing succeeds, as often as a parked endpoint is probed, for an endpoint that gets little, or one message at a
// time, is never parked; and once when the endpoint may be well again.
type early struct {
	next   time.Time // while the endpoint fails
	failed uint32    // of them
	once   bool      // because something succeeded, or because somebody changed the endpoint
	flying bool
}

// may reports whether one may go now.
func (e *early) ready(now time.Time, failing bool) bool {
	return !e.flying && (e.once || failing && !e.next.IsZero() && !e.next.After(now))
}

// depart notes that one goes out.
func (e *early) depart() { e.once, e.flying = false, true }

// plan has the next one go once it is due, after an attempt has failed.
func (e *early) plan(now time.Time, p *BreakerPolicy) {
	if !e.next.After(now) {
		e.next = now.Add(p.delay(e.failed))
	}
}

// fail is for one that failed: the next one comes later.
func (e *early) fail(now time.Time, p *BreakerPolicy) {
	e.failed++
	e.next = now.Add(p.delay(e.failed))
}
