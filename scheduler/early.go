package scheduler

import "time"

// early plans probes of an endpoint that is failing but not parked: attempts at its oldest retrying
// message before that message is due, which use up none of its attempts. An endpoint that gets few
// messages, or one at a time, never collects enough failures to be parked. So while nothing
// succeeds, it is probed as often as a parked one, and once more when it may have recovered.
type early struct {
	next   time.Time // time of the next probe while the endpoint fails
	failed uint32    // probes that failed in a row
	once   bool      // probe now, because something succeeded or the endpoint was changed
	flying bool      // a probe is in flight
}

// isReady reports whether a probe may be sent now.
func (e *early) isReady(now time.Time, failing bool) bool {
	return !e.flying && (e.once || failing && !e.next.IsZero() && !e.next.After(now))
}

// depart notes that a probe is sent.
func (e *early) depart() { e.once, e.flying = false, true }

// plan sets the time of the next probe after an attempt has failed, unless one is planned.
func (e *early) plan(now time.Time, p *BreakerPolicy) {
	if !e.next.After(now) {
		e.next = now.Add(p.delay(e.failed))
	}
}

// fail counts a failed probe, which delays the next one.
func (e *early) fail(now time.Time, p *BreakerPolicy) {
	e.failed++
	e.next = now.Add(p.delay(e.failed))
}
