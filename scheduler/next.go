package scheduler

import (
	"time"

	"hookwheel/webhook"
)

// Next waits for something to send, and hands it out; false: the scheduler is closed. The caller
// must call Done.
func (s *Scheduler) Next() (webhook.Delivery, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		l := s.workers.await()
		if l == nil {
			return webhook.Delivery{}, false
		}
		share, class := l.tail.share, l.class()
		s.workers.begin(share, class)
		s.workers.wake()
		d, found := s.takeTurn(l)
		if found {
			name := flight{d.Source, d.ID}
			f := l.flying[name]
			f.share, f.class, f.load, f.tick = share, class, load(d.Message, d.Endpoint), s.workers.starts.begin()
			l.flying[name] = f
			s.workers.reserve(share, f.load)
			l.deficit -= cost(d.Message)
			share.lines[class].deficit -= len(d.Message.Payload)
		} else {
			s.workers.end(share, class)
		}
		s.endTurn(l, found)
		if found {
			return d, true
		}
	}
}

// mayTurn reports whether a lane wants a turn and may have one now, and if not, from when on; a
// zero time means not until something happens.
func (s *Scheduler) mayTurn(l *lane) (ok bool, at time.Time) {
	now := s.clock()
	l.scanAgain(now)
	if l.wants(now) {
		ok, at = l.isReady(now)
	} else if len(l.retries.loaded) > 0 && !l.breaker.health.FailingSince.IsZero() && l.early.next.After(now) {
		at = l.early.next
	}
	if !ok {
		if at.IsZero() && l.order.waitsForKeys() {
			at = now.Add(keyPause)
		}
		l.tail.leaveLine(l)
		return false, at
	}
	return l.tail.hasTurn(l, now)
}

// landOrphan counts a delivery that is back, if its lane is gone.
func (s *Scheduler) landOrphan(d *webhook.Delivery) (f flying, known bool) {
	name := orphan{d.Endpoint.ID, flight{d.Source, d.ID}}
	if f, known = s.orphans[name]; known {
		delete(s.orphans, name)
		s.workers.land(f)
		s.tails.forget(d.Endpoint.App)
	}
	return f, known
}
