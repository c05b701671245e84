package scheduler

import (
	"time"

	"hookwheel/webhook"
)

// lane is the state of one endpoint: its cursor, its deliveries in flight, and what limits them.
// The scheduler's lock guards it.
//
// A lane is in at most one of four states, of which enqueue, turn and admit change one into
// another:
//   - queued: in the queue of its application, until a worker takes it out for a turn
//   - reading: a worker reads the store for it during its turn, with the lock released
//   - stalled: no turn until some of the outcomes that were decided are recorded
//   - awaitingMemory: no turn until there is room for a request of load bytes
//
// Otherwise it is having its turn or is idle, until an event or its alarm enqueues it. inLine,
// pending and proven are independent of the four. A lane with a successor has outcomes pending and
// sends nothing more. A removed lane is no longer in Scheduler.lanes; the queue, the wheel and the
// workers that still refer to it skip it.
type lane struct {
	endpoint *webhook.Endpoint
	tail     *tail
	turn     // in the queue of its application, see workers.go
	reading  bool
	removed  bool
	pending  int // deliveries in flight, and outcomes that are not recorded yet
	// successor is the endpoint of the lane that replaces this one when nothing is pending; nil:
	// none does.
	successor *webhook.Endpoint

	inLine         bool // waiting for the rate of its application, see tail.go
	stalled        bool
	awaitingMemory bool // see request_memory.go
	load           int
	wakesAt        time.Time // when its alarm on the wheel fires; zero: none is set
	wakeup         timer[alarm]

	flying map[flight]flying

	log     logReader
	retries retrySet
	manual  manualSet
	order   order
	last    webhook.Source // source of the latest delivery: sources take turns
	holds   int            // messages put into the held set since then

	limit      concurrency
	breaker    breaker
	early      early
	recorded   webhook.Health // health in the store
	rate       bucket         // rate limit of the endpoint
	ramp       bucket
	restsUntil time.Time // the endpoint asked for no requests before this time
	proven     bool      // the latest attempt succeeded within the time soon
}

// flight identifies a delivery in flight.
type flight struct {
	source  webhook.Source
	message webhook.ID
}

func newLane(endpoint *webhook.Endpoint, t *tail, place Place, maxConcurrent int) *lane {
	l := &lane{endpoint: endpoint, tail: t, manual: manualSet{more: true}, limit: newConcurrency(maxConcurrent),
		breaker: breaker{health: place.Health}, recorded: place.Health}
	l.wakeup.Value.lane = l
	l.restsUntil = place.Health.Rests
	l.early.once = !place.Health.FailingSince.IsZero()
	l.log = newLogReader(t, place)
	l.retries = newRetrySet(l)
	l.order = newOrder(endpoint.Ordering)
	l.rate.setRate(float64(endpoint.RateLimit))
	return l
}

// isStopped reports whether nothing may be sent because the endpoint was changed, deleted, disabled
// or paused.
func (l *lane) isStopped() bool { return l.removed || l.successor != nil || isPaused(l.endpoint) }

func isPaused(endpoint *webhook.Endpoint) bool { return endpoint.Disabled || endpoint.Paused }

// wants reports whether a turn of this lane may find something to send, as far as is known in
// memory.
func (l *lane) wants(now time.Time) bool {
	return l.manual.wants() || l.wantsRetry(now) || l.wantsHeld() || l.wantsLog()
}

// wantsRetry reports whether a line of the retry set may be sent, or lines must be read.
func (l *lane) wantsRetry(now time.Time) bool {
	due := len(l.retries.due) > 0
	if blocker, blocked := l.order.blocker(); blocked {
		due = l.retries.isDue(blocker)
	}
	return due || l.retries.wantsLines() || len(l.retries.unsure) > 0 || l.probeLine(now) != nil
}

// wantsHeld reports whether a held message may be sent, or the order is not known yet.
func (l *lane) wantsHeld() bool {
	return !l.order.scanned || len(l.order.free) > 0 && l.log.hasPassed(l.order.gate)
}

// wantsLog reports whether the lane may take messages from the log, and there are or may be some.
func (l *lane) wantsLog() bool { return !l.order.blocksLog() && l.log.wants() }

// isReady reports whether the lane may send now and, if not, when; a zero time: not until something
// happens.
func (l *lane) isReady(now time.Time) (ok bool, at time.Time) {
	switch {
	case l.isStopped() || l.reading || !l.order.scanned && l.pending > 0: // pending outcomes change what there is to scan
		return false, at
	case l.breaker.health.Parked:
		if len(l.flying) > 0 {
			return false, at
		}
		if probe := l.breaker.health.NextProbe; probe.After(now) && !l.manual.isUrgent() {
			return false, probe
		}
	case !l.limit.allows(len(l.flying)):
		return false, at
	}
	if l.restsUntil.After(now) {
		return false, l.restsUntil
	}
	l.ramp.setRate(l.breaker.pace(now))
	for _, b := range []*bucket{&l.ramp, &l.rate} {
		if ok, at := b.isReady(now); !ok {
			return false, at
		}
	}
	return true, now
}

// land takes back a delivery. An idle lane keeps no map.
func (l *lane) land(name flight) {
	if delete(l.flying, name); len(l.flying) == 0 {
		l.flying = nil
	}
}

// rest stops deliveries until the given time.
func (l *lane) rest(until time.Time) {
	if until.After(l.restsUntil) {
		l.restsUntil = until
	}
}

// depart counts a delivery that is sent now.
func (l *lane) depart(name flight, f *flying, now time.Time) {
	l.pending++
	f.full = !l.limit.allows(len(l.flying) + 1)
	if l.flying == nil {
		l.flying = make(map[flight]flying)
	}
	l.flying[name] = *f
	l.last, l.holds = name.source, 0
	for _, b := range []*bucket{&l.ramp, &l.rate, &l.tail.rate} {
		b.take(now)
	}
}
