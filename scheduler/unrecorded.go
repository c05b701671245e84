package scheduler

import (
	"time"

	"hookwheel/webhook"
)

// maxDecided is how many outcomes without a delivery may wait to be recorded.
const maxDecided = 4096

// Disable is an endpoint that is to be disabled.
type Disable struct {
	Endpoint     *webhook.Endpoint // as it was when it was sent what leads to this
	FailingSince time.Time         // or when it took a message and said that it wants no more
}

// unrecorded is what is to be recorded besides the outcomes of attempts.
type unrecorded struct {
	decided   []webhook.Outcome      // without a delivery
	moved     map[*lane]struct{}     // lanes whose cursor or health is to be recorded, though no outcome is
	disable   map[webhook.ID]Disable // each endpoint once, however many attempts ask for it
	disabling chan struct{}          // there may be something to disable
	stalled   []*lane                // until some of it is recorded
	notify    chan struct{}          // something is decided
}

func newUnrecorded() unrecorded {
	return unrecorded{moved: make(map[*lane]struct{}), disable: make(map[webhook.ID]Disable),
		disabling: make(chan struct{}, 1), notify: make(chan struct{}, 1)}
}

// isFull reports whether no more is to be decided until some of it is recorded.
func (u *unrecorded) isFull() bool { return len(u.decided) >= maxDecided }

func (u *unrecorded) decide(o webhook.Outcome) {
	u.decided = append(u.decided, o)
	u.signal()
}

func (u *unrecorded) signal() {
	select {
	case u.notify <- struct{}{}:
	default:
	}
}

// disableSoon has the endpoint of an attempt disabled. What was sent before a user changed,
// enabled or resumed the endpoint says nothing about it as it is now.
func (r *result) disableSoon(failingSince time.Time) {
	endpoint, u := r.delivery.Endpoint, &r.scheduler.unrecorded
	if endpoint != r.lane.latest() {
		return
	}
	u.disable[endpoint.ID] = Disable{endpoint, failingSince}
	select {
	case u.disabling <- struct{}{}:
	default:
	}
}

// take returns the first outcomes that were decided, up to limit.
func (u *unrecorded) take(limit int) (list []webhook.Outcome) {
	limit = min(len(u.decided), max(0, limit))
	list, u.decided = u.decided[:limit:limit], u.decided[limit:]
	if len(u.decided) == 0 {
		u.decided = nil
	} else {
		u.signal()
	}
	return list
}

// admit enqueues the lanes that waited until something was recorded.
func (u *unrecorded) admit() {
	waiting := u.stalled
	u.stalled = nil
	for _, l := range waiting {
		l.become(idle)
		l.enqueue()
	}
}
