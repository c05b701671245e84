package scheduler

import (
	"hash/maphash"
	"time"

	"hookwheel/webhook"
)

// lane is the state of one endpoint: its cursor, its deliveries in flight, and what limits them.
// The scheduler's lock guards it.
//
// A lane with a successor has outcomes pending and sends nothing more. A lane may be in line for
// the rate of its application whatever its state is: it keeps its place until it has sent
// something, or can't.
type lane struct {
	scheduler *Scheduler
	endpoint  *webhook.Endpoint
	types     *typeIndex // of the endpoint, see filter.go; nil: not made yet
	tail      *tail
	turn      // see queue.go
	state     state
	inLine    bool           // waiting for the rate of its application, see tail.go
	proven    bool           // the latest attempt succeeded within the time soon
	last      webhook.Source // source of the latest delivery: sources take turns
	holds     uint32         // messages put into the held set since then
	pending   int32          // deliveries in flight, and outcomes that are not recorded yet
	rescan    uint32         // Unix time from which on scanAgain has the store scanned again
	outrun    time.Time      // when producers were last seen to be too far ahead of it, see throttle.go
	// successor is the endpoint of the lane that replaces this one when nothing is pending; nil:
	// none does.
	successor *webhook.Endpoint

	wakeup timer[alarm]

	flying flights

	log     logReader
	retries retrySet
	manual  manualSet
	order   order

	limit      concurrency
	breaker    breaker
	early      early
	recorded   healthSum // of the health in the store
	rate       bucket    // the rate limit of the endpoint, or a lower one while it recovers
	restsUntil time.Time // the endpoint asked for no requests before this time
}

func newLane(s *Scheduler, endpoint *webhook.Endpoint, place Place) *lane {
	l := &lane{scheduler: s, endpoint: endpoint, tail: s.tails.of(endpoint.App), manual: manualSet{more: true},
		limit: newConcurrency(s.config.PerEndpoint), breaker: breaker{health: place.Health}, recorded: sumOf(place.Health)}
	l.wakeup.Value.lane = l
	l.restsUntil = place.Health.Rests
	l.early.once = !place.Health.FailingSince.IsZero()
	l.log = newLogReader(l.tail, place)
	l.retries = newRetrySet(l)
	l.order = newOrder(endpoint.Ordering, &l.tail.keys)
	return l
}

// healthSum is a hash of a webhook.Health, which takes 8 bytes instead of 120.
type healthSum uint64

var healthSeed = maphash.MakeSeed()

func sumOf(h webhook.Health) healthSum { return healthSum(maphash.Comparable(healthSeed, h)) }

// isStopped reports whether nothing may be sent because the endpoint was changed, deleted, disabled
// or paused.
func (l *lane) isStopped() bool { return l.state == gone || l.successor != nil || isPaused(l.endpoint) }

// isOver reports whether nothing more is sent from the lane, as it was dropped or the scheduler is
// closed. The caller does not hold the scheduler's lock.
func (l *lane) isOver() bool {
	l.scheduler.mu.Lock()
	defer l.scheduler.mu.Unlock()
	return l.state == gone || l.scheduler.workers.closed
}

func isPaused(endpoint *webhook.Endpoint) bool { return endpoint.Disabled || endpoint.Paused }

// isReady reports whether the lane may send now and, if not, when; a zero time: not until something
// happens.
func (l *lane) isReady(now time.Time) (ok bool, at time.Time) {
	switch {
	case l.isStopped() || !l.order.isScanned() && l.pending > 0: // pending outcomes change what there is to scan
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
	l.rate.setRate(lower(float64(l.endpoint.RateLimit), l.breaker.pace(now)))
	return l.rate.isReady(now)
}

// wake sets the alarm of a lane to that time, unless it is set to an earlier one.
func (l *lane) wake(at time.Time) {
	if !l.wakeup.firesBy(at) {
		l.scheduler.alarms.set(&l.wakeup, at)
	}
}

// rest stops deliveries until the given time.
func (l *lane) rest(until time.Time) {
	if until.After(l.restsUntil) {
		l.restsUntil = until
	}
}

// depart hands out a delivery.
func (l *lane) depart(d *webhook.Delivery) webhook.Delivery {
	s, now := l.scheduler, l.scheduler.clock()
	early := d.Probe
	if early {
		l.early.depart()
	}
	d.Probe = early || l.breaker.health.Parked
	l.pending++
	f := flying{since: now, early: early, due: d.Due, key: l.order.recordedKey(d.Message), full: !l.limit.allows(len(l.flying) + 1)}
	l.flying.begin(flight{d.Source, d.ID}, f)
	l.last, l.holds = d.Source, 0
	l.rate.take(now)
	l.tail.rate.take(now)
	l.tail.leaveLine(l)
	s.workers.flying++
	return *d
}
