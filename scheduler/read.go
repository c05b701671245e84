package scheduler

import (
	"slices"
	"time"

	"hookwheel/webhook"
)

// These functions read the store for a lane, without the lock; lane.reading keeps it out of the
// queue meanwhile.

// readFailed lets a lane whose store failed rest for a while.
func (s *Scheduler) readFailed(l *lane, what string, err error) {
	s.log.Error("reading "+what+" failed", "endpoint", l.endpoint.ID.Text(webhook.KindEndpoint), "error", err)
	l.reading = false
	l.rest(s.clock().Add(readPatience))
}

// readWindow reads the log for a lane that lags.
func (s *Scheduler) readWindow(l *lane) {
	l.reading = true
	before, app, from := l.tail.before, l.endpoint.App, l.log.read
	s.mu.Unlock()
	window, err := s.backlog.Window(app, from, windowSize)
	s.mu.Lock()
	if err != nil {
		s.readFailed(l, "the log", err)
		return
	}
	l.reading = false
	l.log.receive(window, before)
}

// readRetries reads the next part of a lane's retry set.
func (s *Scheduler) readRetries(l *lane) {
	l.reading, l.retries.reading = true, true
	endpoint, from := l.endpoint.ID, l.retries.from
	s.mu.Unlock()
	list, err := s.backlog.Retries(endpoint, from, maxLoaded+1)
	s.mu.Lock()
	if err != nil {
		l.retries.endReading() // what came meanwhile is read the next time
		s.readFailed(l, "the retry set", err)
		return
	}
	l.reading = false
	if l.removed {
		return
	}
	for _, line := range l.retries.received(list) {
		s.plan(l, line)
	}
	if l.retries.hasty {
		s.hasten(l)
	}
}

// readUnsure looks which of the lines that a manual attempt may have made are there.
func (s *Scheduler) readUnsure(l *lane) {
	l.reading = true
	endpoint, unsure := l.endpoint.ID, l.retries.unsure
	l.retries.unsure = nil
	s.mu.Unlock()
	var found []webhook.Retry
	var failed error
	for _, line := range unsure {
		list, err := s.backlog.Retries(endpoint, line, 1)
		if err != nil {
			failed = err
			break
		}
		i := slices.IndexFunc(list, func(r webhook.Retry) bool { return r.Message == line.Message && r.Due.Equal(line.Due) })
		if i >= 0 {
			found = append(found, list[i])
		}
	}
	s.mu.Lock()
	if failed != nil {
		l.retries.unsure = append(l.retries.unsure, unsure...)
		s.readFailed(l, "the retry set", failed)
		return
	}
	l.reading = false
	for _, line := range found {
		if !l.removed {
			s.plan(l, line)
		}
	}
	if i := slices.IndexFunc(unsure, func(r webhook.Retry) bool { return r.Message == l.manual.replayed }); i >= 0 &&
		!slices.ContainsFunc(found, func(r webhook.Retry) bool { return r.Message == l.manual.replayed }) {
		l.manual.replayed = webhook.ID{} // it has made no line, and nothing follows
	}
}

// readManual reads the first part of a lane's manual set; tasks, whether that of tasks too.
func (s *Scheduler) readManual(l *lane, tasks bool) {
	l.reading = true
	endpoint, limit := l.endpoint.ID, maxManual+len(l.manual.out)
	l.manual.more = false // what comes meanwhile says so again
	s.mu.Unlock()
	list, err := s.backlog.Manual(endpoint, tasks, limit)
	s.mu.Lock()
	if err != nil {
		l.manual.more = true
		s.readFailed(l, "the manual set", err)
		return
	}
	l.reading = false
	l.manual.receive(list, tasks, limit)
}

// maxLate is how many lines are held at a time because an endpoint begins to keep an order.
const maxLate = 1000

// readOrder finds the keys that are blocked, and those whose messages are held. Should several
// messages of a key have failed, because the endpoint kept no order then, all but the oldest are
// held first, and it is looked again.
func (s *Scheduler) readOrder(l *lane) {
	l.reading = true
	endpoint, now := l.endpoint, s.clock() // may be replaced while the lock is released
	s.mu.Unlock()
	found, late, err := s.scanOrder(endpoint, now)
	s.mu.Lock()
	if err != nil {
		s.readFailed(l, "what keeps an endpoint in order", err)
		return
	}
	l.reading = false
	if l.removed {
		return
	}
	l.order = found
	l.order.scanned = len(late) == 0
	s.planBlocker(l)
	for _, line := range late {
		s.forget(l, line.Message)
		mark(&l.retries.out, line.Message)
		s.hold(l, &webhook.Delivery{ID: line.Message, Source: webhook.SourceRetry, Due: line.Due}, line.Key)
	}
}

// wasTried reports whether a line of a retry set is of a message that was under way before.
func wasTried(line *webhook.Retry) bool { return line.Made > 0 || line.Key != 0 }

// scanOrder reads what an endpoint waits for. A line without attempts is of a message that was not
// to be sent before, unless it has a key: then it was put there while it was in flight. If it was
// due, it may have been in flight too, so it keeps its place in the order.
func (s *Scheduler) scanOrder(endpoint *webhook.Endpoint, now time.Time) (found order, late []webhook.Retry, err error) {
	found = newOrder(endpoint.Ordering)
	scheduled := newOrder(endpoint.Ordering) // none of these was under way if another line was tried
	first := make(map[uint64]webhook.Retry)  // of each key, the oldest message that failed
	for from, more := (webhook.Retry{}), endpoint.Ordering != webhook.OrderingNone; more; {
		list, err := s.backlog.Retries(endpoint.ID, from, maxLoaded+1)
		if err != nil {
			return found, nil, err
		}
		if more = len(list) > maxLoaded; more {
			from, list = list[maxLoaded], list[:maxLoaded]
		}
		for _, line := range list {
			switch {
			case !wasTried(&line) && line.Due.After(now): // blocks nothing yet
			case endpoint.Ordering == webhook.OrderingEndpoint && !wasTried(&line):
				scheduled.queue(line, maxLoaded)
			case endpoint.Ordering == webhook.OrderingEndpoint:
				found.queue(line, maxLoaded)
			default:
				if late, err = s.scanLine(endpoint, line, first, late); err != nil {
					return found, nil, err
				}
			}
		}
	}
	if len(found.lineup) == 0 {
		found.lineup, found.more = scheduled.lineup, scheduled.more
	}
	late, err = s.scanHeld(endpoint, &found, first, late)
	for key, line := range first {
		found.block(key, line.Message)
	}
	for key, k := range found.keys {
		found.release(key, k)
	}
	return found, late, err
}

// scanLine looks which key a line blocks: one from when the endpoint kept no order has no key.
func (s *Scheduler) scanLine(endpoint *webhook.Endpoint, line webhook.Retry, first map[uint64]webhook.Retry, late []webhook.Retry) ([]webhook.Retry, error) {
	if line.Key == 0 {
		m, err := s.backlog.MessageByID(endpoint.App, line.Message)
		if err != nil && webhook.ErrorCode(err) != webhook.CodeNotFound {
			return nil, err
		}
		if m == nil || m.OrderingKey == "" {
			return late, nil
		}
		scheduled := !wasTried(&line)
		line.Key = webhook.OrderingKeyHash(m.OrderingKey)
		if scheduled {
			if len(late) < maxLate {
				late = append(late, line)
			}
			return late, nil
		}
	}
	older, known := first[line.Key]
	if known && older.Message.After(line.Message) {
		older, line = line, older
	}
	if !known {
		first[line.Key] = line
		return late, nil
	}
	first[line.Key] = older
	if len(late) < maxLate {
		late = append(late, line)
	}
	return late, nil
}

// scanHeld counts what is held. A line that failed is late if an older message of its key is held.
func (s *Scheduler) scanHeld(endpoint *webhook.Endpoint, found *order, first map[uint64]webhook.Retry, late []webhook.Retry) ([]webhook.Retry, error) {
	for after := (webhook.Held{}); ; {
		list, err := s.backlog.Held(endpoint.ID, after, maxLoaded)
		if err != nil {
			return nil, err
		}
		for _, line := range list {
			found.key(line.Key).held++
			if waitsForLog && endpoint.Ordering == webhook.OrderingKey && line.Message.After(found.gate) {
				found.gate = line.Message
			}
			if failed, known := first[line.Key]; known && failed.Message.After(line.Message) && len(late) < 2*maxLate {
				delete(first, line.Key)
				late = append(late, failed)
			}
		}
		if len(list) < maxLoaded {
			return late, nil
		}
		after = list[len(list)-1]
	}
}
