package scheduler

import (
	"time"

	"hookwheel/webhook"
)

// longestRest is the longest time for which an endpoint may ask for no requests.
const longestRest = time.Hour

// due returns when to fire the timer of a line: when the line is due, but no later than its
// attempts can have asked for, in case the clock was wrong then.
func (s *Scheduler) due(line *webhook.Retry) time.Time {
	if !wasTried(line) {
		return line.Due // scheduled by the producer
	}
	delays := s.config.Retry.Delays
	longest := max(longestRest, s.config.Breaker.MaxProbe, 2*s.config.Timeout)
	if n := min(int(line.Spent), len(delays)); n > 0 {
		longest = max(longest, 2*delays[n-1]) // with all jitter
	}
	if latest := s.clock().Add(longest); line.Due.After(latest) {
		return latest
	}
	return line.Due
}

// turnBack handles a clock that was ahead and has been corrected. Lines that became due too early
// are no longer due, and delays that began in the future begin now.
func (s *Scheduler) turnBack(now time.Time) {
	s.log.Warn("the clock has gone back", "by", s.alarms.latest.Sub(now).Round(time.Millisecond))
	before := s.alarms.wheel
	s.alarms.wheel = newWheel[alarm](now)
	for _, l := range s.lanes {
		before.cancel(&l.wakeup)
		l.turnBack(now, &s.config.Breaker)
		for _, line := range l.retries.loaded {
			waits := before.cancel(&line.timer)
			if line.due && !line.hasty && line.Due.After(now) {
				waits, line.due = true, false
			}
			if waits {
				s.alarms.wheel.add(&line.timer, s.due(&line.Retry))
			}
		}
		l.retries.notDue()
		l.enqueue()
	}
}

// turnBack bounds the times that a lane took from a clock that was ahead.
func (l *lane) turnBack(now time.Time, p *BreakerPolicy) {
	for _, b := range []*bucket{&l.rate, &l.tail.rate} {
		notAfter(&b.next, now.Add(b.interval))
	}
	notAfter(&l.restsUntil, now.Add(longestRest))
	notAfter(&l.early.next, now.Add(p.MaxProbe))
	notAfter(&l.limit.cutAt, now)
	notAfter(&l.outrun, now)
	l.rescan, l.tail.rescan = 0, 0
	b := &l.breaker
	notAfter(&b.health.NextProbe, now.Add(p.MaxProbe).Truncate(time.Millisecond).UTC())
	notAfter(&b.health.Rests, now.Add(longestRest).Truncate(time.Millisecond).UTC())
	for _, t := range []*time.Time{&b.health.FailingSince, &b.health.Since} {
		notAfter(t, now.Truncate(time.Millisecond).UTC())
	}
	for _, t := range []*time.Time{&b.windowStart, &b.closedAt} {
		notAfter(t, now)
	}
	for name, f := range l.flying {
		notAfter(&f.since, now)
		l.flying[name] = f
	}
}

func notAfter(t *time.Time, latest time.Time) {
	if t.After(latest) {
		*t = latest
	}
}
