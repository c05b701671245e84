package scheduler

import (
	"time"

	"hookwheel/webhook"
)

// lane is one endpoint: where it stands in its log, what is under way to it, and what keeps it from getting more. The scheduler's
// lock guards it.
type lane struct {
	endpoint *webhook.Endpoint
	tail     *tail
	turn          // in the line of its application, see workers.go
	reading  bool // a worker is reading the store for it
	removed  bool
	pending  int // outcomes to come, and those that are not recorded yet
	// successor is the endpoint for which a new lane takes over when nothing is pending; nil: none.
	successor *webhook.Endpoint

	inLine         bool // for the rate of its application, see tail.go
	stalled        bool // until what was decided is recorded
	awaitingMemory bool // until there is room for a request of load bytes, see carry.go
	load           int
	wakesAt        time.Time // its alarm on the wheel; zero: none is set
	wakeup         timer[alarm]

	flying map[flight]flying

	log     logReader
	retries retrySet
	manual  manualSet
	order   order
	last    webhook.Source // the latest delivery came from there: sources take turns
	holds   int            // messages that were held since then

	limit      concurrency
	breaker    breaker
	early      early
	recorded   webhook.Health // as the store has it
	rate       bucket         // of the endpoint
	ramp       bucket
	restsUntil time.Time // the endpoint asked to be left alone until then
	proven     bool      // the latest attempt succeeded, and soon
}

// flight names a delivery under way.
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

// still tells whether nothing is sent, by a person's decision.
func (l *lane) isStopped() bool { return l.removed || l.successor != nil || isPaused(l.endpoint) }

func isPaused(endpoint *webhook.Endpoint) bool { return endpoint.Disabled || endpoint.Paused }

// wants tells whether a turn of this lane may bring something, as far as its records go.
func (l *lane) wants(now time.Time) bool {
	return l.manual.wants() || l.wantsRetry(now) || l.wantsHeld() || l.wantsLog()
}

// wantsRetry tells whether there is a line of the retry set that may go, or lines must be read.
func (l *lane) wantsRetry(now time.Time) bool {
	due := len(l.retries.due) > 0
	if blocker, blocked := l.order.blocker(); blocked {
		due = l.retries.isDue(blocker)
	}
	return due || l.retries.wantsLines() || len(l.retries.unsure) > 0 || l.probeLine(now) != nil
}

// wantsHeld reports whether a held message may go, or the order is not known yet.
func (l *lane) wantsHeld() bool {
	return !l.order.scanned || len(l.order.free) > 0 && l.log.passed(l.order.gate)
}

// wantsLog tells whether the lane may take messages from the log and knows of some, or does not know that there are none.
func (l *lane) wantsLog() bool { return !l.order.blocksLog() && l.log.wants() }

// may tells whether the lane may send now, and if not, from when on; a zero time: not until something happens.
func (l *lane) ready(now time.Time) (ok bool, at time.Time) {
	switch {
	case l.isStopped() || l.reading || !l.order.scanned && l.pending > 0: // what is pending changes what there is to scan
		return false, at
	case l.breaker.health.Parked:
		if len(l.flying) > 0 {
			return false, at
		}
		if probe := l.breaker.health.NextProbe; probe.After(now) && !l.manual.urgent() {
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
		if ok, at := b.ready(now); !ok {
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

// rest lets nothing more out until then.
func (l *lane) rest(until time.Time) {
	if until.After(l.restsUntil) {
		l.restsUntil = until
	}
}

// depart notes a delivery that goes out now.
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
