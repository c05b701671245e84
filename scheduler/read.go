package scheduler

import (
	"slices"

	"hookwheel/webhook"
)

// What stands here reads the store for a lane, with the lock let go; reading keeps the lane out of the queue meanwhile.

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
}

// readManual reads the first part of a lane's manual set.
func (s *Scheduler) readManual(l *lane) {
	l.reading = true
	endpoint, most := l.endpoint.ID, maxManual+len(l.manual.out)
	l.manual.more = false // what comes meanwhile says so again
	s.mu.Unlock()
	list, err := s.backlog.Manual(endpoint, webhook.ID{}, most)
	s.mu.Lock()
	if err != nil {
		l.manual.more = true
		s.readFailed(l, "the manual set", err)
		return
	}
	l.reading = false
	l.manual.receive(list, most)
}

// readOrder finds the keys that are blocked, and those whose messages are held.
func (s *Scheduler) readOrder(l *lane) {
	l.reading = true
	endpoint := l.endpoint // another one may stand there once the lock is let go
	s.mu.Unlock()
	found, err := s.scanOrder(endpoint)
	s.mu.Lock()
	if err != nil {
		s.readFailed(l, "what keeps an endpoint in order", err)
		return
	}
	l.reading = false
	l.order = found
}

func (s *Scheduler) scanOrder(endpoint *webhook.Endpoint) (order, error) {
	found := newOrder(endpoint.Ordering)
	for from, more := (webhook.Retry{}), endpoint.Ordering != webhook.OrderingNone; more; {
		list, err := s.backlog.Retries(endpoint.ID, from, maxLoaded+1)
		if err != nil {
			return found, err
		}
		if more = len(list) > maxLoaded; more {
			from, list = list[maxLoaded], list[:maxLoaded]
		}
		for i := range list {
			found.block(found.keyOfLine(&list[i]), list[i].Message)
		}
	}
	for after := (webhook.Held{}); ; {
		list, err := s.backlog.Held(endpoint.ID, after, maxLoaded)
		if err != nil {
			return found, err
		}
		for _, line := range list {
			found.key(line.Key).held++
		}
		if len(list) < maxLoaded {
			break
		}
		after = list[len(list)-1]
	}
	for key, k := range found.keys {
		found.release(key, k)
	}
	found.scanned = true
	return found, nil
}
