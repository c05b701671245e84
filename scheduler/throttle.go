package scheduler

import (
	"time"

	"hookwheel/webhook"
)

const (
	// maxLag is how many messages of its log a lane that keeps up may have before it when the
	// machine is short of CPU: about as many as share an entry.
	maxLag = 128

	// maxDelay is how long a producer waits at most after a message, and maxBatchDelay after several
	// that it has posted together.
	maxDelay      = 100 * time.Millisecond
	maxBatchDelay = time.Second

	// lagTime is for how long what an application lacks is taken for the same.
	lagTime = 5 * time.Millisecond

	// outrunTime is for how long a lane counts as outrun after that was last seen.
	outrunTime = time.Second
)

// Throttle returns for how long whoever has posted messages to an application should wait before it
// posts the next ones, because the machine is short of CPU: until each endpoint that keeps up is
// at most maxLag messages behind. Without that, producers would take the CPU that deliveries lack.
//
// The machine is short of CPU if short is true. Otherwise, an endpoint lacks CPU if deliveries have
// had to wait before they could start, and it has less than half as many in flight as it may have.
// An endpoint that was not caught up, answers slowly, or is limited by a rate, an order or its
// health, makes nobody wait.
func (s *Scheduler) Throttle(app webhook.ID, messages int, short bool) (delay time.Duration) {
	if !short && !s.workers.starts.holds() {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tails.byApp[app]
	if t == nil || t.rate.interval > 0 {
		return 0
	}
	return min(t.excessAt(s.clock(), short), time.Duration(messages)*maxDelay, maxBatchDelay)
}

// excess is how long the slowest endpoint of an application that makes producers wait needs for
// what is too much.
type excess struct {
	time     time.Duration
	measured time.Time
}

// excessAt looks at all lanes, but not for each message.
func (t *tail) excessAt(now time.Time, short bool) time.Duration {
	e := &t.excess
	if age := now.Sub(e.measured); age < 0 || age >= lagTime {
		*e = excess{measured: now}
		for _, l := range t.lanes {
			e.time = max(e.time, l.excess(now, short))
		}
	}
	return e.time
}

// excess returns how long a lane needs for what is more than maxLag.
func (l *lane) excess(now time.Time, short bool) time.Duration {
	if !l.isSwift(now) {
		l.outrun = time.Time{}
		return 0
	}
	lag, known := l.log.lag()
	switch {
	case known && lag <= maxLag, !known && now.Sub(l.outrun) > outrunTime:
		l.outrun = time.Time{}
		return 0
	case !short && 2*len(l.flying) >= int(l.limit.limit):
		return 0
	}
	l.outrun = now
	if !known {
		return maxBatchDelay
	}
	return time.Duration(float64(lag-maxLag) * float64(l.limit.usual) / l.limit.limit)
}

// isSwift reports whether nothing but the number of deliveries in flight limits a lane, and these
// are soon over.
func (l *lane) isSwift(now time.Time) bool {
	return l.proven && l.limit.usual <= easyDelay && l.order.ordering == webhook.OrderingNone &&
		l.endpoint.RateLimit == 0 && l.rate.interval == 0 && !l.isStopped() && !l.restsUntil.After(now)
}

// lag returns how many messages there are after the position of a lane that has caught up; for
// others it is not known.
func (r *logReader) lag() (messages int, known bool) {
	if !r.caughtUp || r.fellBehind() {
		return 0, false
	}
	return r.tail.first + len(r.tail.recent) - r.number, true
}
