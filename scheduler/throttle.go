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
)

// Throttle returns for how long whoever has posted messages to an application should wait before it
// posts the next ones, because the machine is short of CPU: until each endpoint that keeps up is
// at most maxLag messages behind. Without that, producers would take the CPU that deliveries lack.
//
// The machine is short of CPU if short is true, or if deliveries that could start have had to wait.
// An endpoint that was not caught up, answers slowly, or is limited by a rate, an order or its
// health, makes nobody wait.
func (s *Scheduler) Throttle(app webhook.ID, messages int, short bool) (delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tails.byApp[app]
	if !short && !s.workers.starts.holds() || t == nil || len(t.recent) <= maxLag || t.rate.interval > 0 {
		return 0
	}
	for _, l := range t.lanes {
		delay = max(delay, l.excess())
	}
	return min(delay, time.Duration(messages)*maxDelay, maxBatchDelay)
}

// excess returns how long a lane needs for what is more than maxLag.
func (l *lane) excess() time.Duration {
	if !l.isSwift() {
		l.outrun = false
		return 0
	}
	lag, known := l.log.lag()
	switch {
	case known:
		l.outrun = lag > maxLag
		return time.Duration(float64(max(0, lag-maxLag)) * float64(l.limit.usual) / l.limit.limit)
	case l.outrun:
		return maxBatchDelay
	default:
		return 0
	}
}

// isSwift reports whether nothing but the number of deliveries in flight limits a lane, and these
// are soon over.
func (l *lane) isSwift() bool {
	return l.proven && l.limit.usual <= easyDelay && l.order.ordering == webhook.OrderingNone &&
		l.rate.interval == 0 && l.ramp.interval == 0 && !l.isStopped() && !l.restsUntil.After(l.scheduler.clock())
}

// lag returns how many messages there are after the position of a lane that has caught up; for
// others it is not known.
func (r *logReader) lag() (messages int, known bool) {
	if !r.caughtUp || r.fellBehind() {
		return 0, false
	}
	return r.tail.first + len(r.tail.recent) - r.number, true
}
