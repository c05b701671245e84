package scheduler

import (
	"time"

	"hookwheel/webhook"
)

const (
	// maxLag is how many messages of its log a lane that keeps up may have before it when the
	// machine is short of CPU: about as many as share an entry.
	maxLag = 128

	// maxDelay is how long a producer waits at most.
	maxDelay = 100 * time.Millisecond
)

// Throttle returns for how long whoever has posted a message to an application should wait before
// it posts the next one, because the machine is short of CPU: until each endpoint that keeps up is
// at most maxLag messages behind. Without that, producers would take the CPU that deliveries lack.
//
// An endpoint that was not caught up, answers slowly, or is limited by a rate, an order or its
// health, makes nobody wait.
func (s *Scheduler) Throttle(app webhook.ID) (delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tails.byApp[app]
	if t == nil || len(t.recent) <= maxLag || t.rate.interval > 0 {
		return 0
	}
	for _, l := range t.lanes {
		if lag := l.log.lag() - maxLag; lag > 0 && l.isSwift() {
			delay = max(delay, time.Duration(float64(lag)*float64(l.limit.usual)/l.limit.limit))
		}
	}
	return min(delay, maxDelay)
}

// isSwift reports whether nothing but the number of deliveries in flight limits a lane, and these
// are soon over.
func (l *lane) isSwift() bool {
	return l.proven && l.limit.usual <= easyDelay && l.order.ordering == webhook.OrderingNone &&
		l.rate.interval == 0 && l.ramp.interval == 0 && !l.isStopped() && !l.restsUntil.After(l.scheduler.clock())
}

// lag returns how many messages there are after the position of a lane that has caught up; 0 for
// others.
func (r *logReader) lag() int {
	if !r.caughtUp || r.fellBehind() {
		return 0
	}
	return r.tail.first + len(r.tail.recent) - r.number
}
