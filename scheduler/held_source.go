package scheduler

import (
	"time"

	"hookwheel/webhook"
)

// heldSource takes the first message of a key that nothing blocks any more.
type heldSource struct{ lane *lane }

func (s heldSource) wants(now time.Time) bool { return !s.lane.order.isScanned() || s.ready(now) }

func (s heldSource) ready(time.Time) bool {
	l := s.lane
	return l.order.isScanned() && len(l.order.free) > 0 && l.log.hasPassed(l.order.gate)
}

// load finds the keys that are blocked, and those whose messages are held. If several messages of a
// key have failed, because the endpoint kept no order then, all but the oldest are held first, and
// the store is read again.
func (s heldSource) load(now time.Time) bool {
	l := s.lane
	if l.order.isScanned() {
		return false
	}
	scan := newOrderScan(l, now)
	scan.took = len(l.order.keys) // others don't get the room of these: they are found again
	scan.left = scan.took
	l.order.forget()
	l.order.counts.add(scan.took)
	begun := time.Now() // by which a scan does not seem long because the clock was set
	ok := l.outside("what keeps an endpoint in order", scan.run)
	l.order.counts.add(-scan.took)         // the keys that were found count instead
	if !ok || l.scheduler.workers.closed { // then the scan may have ended early
		return true
	}
	l.order.become(scan.found)
	l.order.scanned = len(scan.late) == 0
	end := l.scheduler.clock()
	l.rescan, l.tail.rescan = uint32(end.Add(rescanPause).Unix()), uint32(end.Add(rescanShare*time.Since(begun)).Unix())
	retrySource{l}.planBlocker()
	for _, line := range scan.late {
		retrySource{l}.forget(line.Message)
		l.retries.handOut(&retry{Retry: line})
		l.hold(&webhook.Delivery{ID: line.Message, Source: webhook.SourceRetry, Due: line.Due}, line.Key)
	}
	return true
}

func (s heldSource) next(time.Time) (c candidate, found bool) {
	l := s.lane
	c.key = l.order.take()
	if c.key == 0 {
		return c, false
	}
	endpoint, exists, counted := l.endpoint.ID, false, l.order.key(c.key).held
	ok := l.outside("the held set", func() (err error) {
		c.ID, exists, err = l.scheduler.backlog.HeldFirst(endpoint, c.key)
		return err
	})
	switch {
	case !ok:
		s.giveBack(c)
		return c, false
	case !exists:
		l.order.lost(c.key, counted)
		return c, false
	}
	c.Endpoint, c.Source, c.Number = l.endpoint, webhook.SourceHeld, 1
	return c, true
}

func (s heldSource) giveBack(c candidate) { s.lane.order.giveBack(c.key) }

func (s heldSource) leaves(c candidate, sent bool) { s.lane.order.took(c.key, c.ID) }
