package scheduler

import (
	"time"

	"hookwheel/webhook"
)

// flying is a delivery under way.
type flying struct {
	since    time.Time
	full     bool      // the lane's limit was reached with it
	share    *share    // that has the worker
	class    class     // as which it has it
	load     int       // bytes that it takes in memory, if many
	key      uint64    // its key in the store, see order.go
	due      time.Time // its line in the retry set, into which it was put meanwhile; zero: it was not
	early    bool      // it went before its time
	settled  bool      // another attempt at the message succeeded meanwhile
	expunged bool      // the payload was, meanwhile
}

// Next waits for something to send, and hands it out; false: the scheduler is closed. The caller
// must call Done.
func (s *Scheduler) Next() (webhook.Delivery, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		l := s.awaitLane()
		if l == nil {
			return webhook.Delivery{}, false
		}
		share, class := l.tail.share, l.class()
		s.workers.begin(share, class)
		s.wakeWorker()
		d, found := s.turn(l)
		if !found {
			s.workers.end(share, class)
			s.enqueue(l)
			continue
		}
		f := l.flying[flight{d.Source, d.ID}]
		f.share, f.class, f.load = share, class, load(d.Message, d.Endpoint)
		s.workers.reserve(share, f.load)
		l.flying[flight{d.Source, d.ID}] = f
		l.deficit -= cost(d.Message)
		share.lines[class].deficit -= len(d.Message.Payload)
		s.again(l)
		return d, true
	}
}

// awaitLane waits for the next lane that may have a turn; nil: the scheduler is closed.
func (s *Scheduler) awaitLane() *lane {
	for !s.closed {
		if l := s.workers.pop(); l != nil {
			return l
		}
		s.idle++
		s.work.Wait()
		s.idle--
	}
	return nil
}

// again gives a lane the rest of its turn, if it has one and may use it now.
func (s *Scheduler) again(l *lane) {
	if l.deficit > 0 && !l.queued && !l.stalled && !l.awaitingMemory && !s.closed && len(s.decided) < maxDecided {
		if ok, _ := s.mayTurn(l); ok {
			s.workers.putBack(l)
			s.wakeWorker()
			return
		}
	}
	s.enqueue(l)
}

// turn takes one delivery from a lane. It may have to read the store for that, and then finds
// nothing yet.
func (s *Scheduler) turn(l *lane) (d webhook.Delivery, found bool) {
	now := s.clock()
	if ok, _ := s.mayTurn(l); !ok || s.readFor(l, now) {
		return d, false
	}
	if l.early.once && !l.breaker.health.Parked && l.probeLine(now) == nil {
		l.early.once = false // nothing waits
	}
	for _, source := range l.sources(now) {
		switch source {
		case webhook.SourceManual:
			if i := l.manual.next(l.takesTasks(now)); i >= 0 {
				return s.turnManual(l, i)
			}
		case webhook.SourceRetry:
			if line := l.dueLine(now); line != nil {
				return s.turnRetry(l, line)
			}
		case webhook.SourceHeld:
			if l.wantsHeld() {
				if key := l.order.take(); key != 0 {
					return s.turnHeld(l, key)
				}
			}
		case webhook.SourceLog:
			if l.wantsLog() {
				return s.turnLog(l)
			}
		}
	}
	return d, false
}

// maxProbeHolds is how many messages are held behind others of their keys until a probe is found
// for an endpoint that keeps an order per key. Probing is to cost little, however much waits.
const maxProbeHolds = 64

// sources are the records of a lane in the order in which they are looked at: they take turns, with
// probes too, and when the endpoint has just come back: or a message that it always refuses would
// keep it parked, though it takes others. But what has waited longest comes first to one that is
// parked and ordered as a whole, and what a user sends to one that waits for its next probe.
func (l *lane) sources(now time.Time) [4]webhook.Source {
	all := [4]webhook.Source{webhook.SourceManual, webhook.SourceRetry, webhook.SourceHeld, webhook.SourceLog}
	h := &l.breaker.health
	oldestFirst := h.NextProbe.After(now) || l.order.ordering == webhook.OrderingEndpoint || l.holds >= maxProbeHolds
	if h.Parked && oldestFirst {
		return all
	}
	var turned [4]webhook.Source
	at := 0
	for all[at] != l.last {
		at++
	}
	for i := range all {
		turned[i] = all[(at+1+i)%len(all)]
	}
	return turned
}

// readFor reads what the lane must know before it can send. The lock is let go meanwhile.
func (s *Scheduler) readFor(l *lane, now time.Time) (read bool) {
	switch {
	case !l.order.scanned:
		s.readOrder(l)
	case l.manual.wantsLines(l.takesTasks(now)):
		s.readManual(l, l.takesTasks(now) && l.manual.replayed.IsZero())
	case l.retries.wantsLines():
		s.readRetries(l)
	case len(l.retries.unsure) > 0:
		s.readUnsure(l)
	default:
		return false
	}
	return true
}

// turnLog takes the next message from the log.
func (s *Scheduler) turnLog(l *lane) (d webhook.Delivery, found bool) {
	m, starved := l.log.next(l.endpoint)
	if starved {
		s.readWindow(l)
		return d, false
	}
	if l.log.cursor() != l.log.recorded {
		s.moved[l] = struct{}{}
	}
	if m == nil {
		return d, false
	}
	d = webhook.Delivery{Message: m, ID: m.ID, Endpoint: l.endpoint, Source: webhook.SourceLog, Number: 1}
	if s.backlog.MayHaveLeft(m.ID) { // should the store fail, what is in memory is sent
		if s.fetch(l, &d); l.removed {
			return d, false
		}
	}
	key := l.order.keyOf(m)
	switch now := s.clock(); {
	case missing(d.Message) != "":
		s.cancel(l, &d, 0, missing(d.Message))
		return d, false
	case m.DeliverAt.After(now):
		s.decide(l, webhook.Outcome{Source: d.Source, Attempt: webhook.Attempt{Message: m.ID, Endpoint: l.endpoint.ID, Next: m.DeliverAt}})
		return d, false
	case key != 0 && l.order.isBlocked(key):
		s.hold(l, &d, key)
		return d, false
	}
	if !s.hasRoom(l, d.Message) {
		l.log.giveBack()
		return d, false
	}
	l.order.block(key, m.ID)
	return s.depart(l, d), true
}

// dueLine is the line of the retry set that may go now; nil: none. Of an endpoint that is ordered
// as a whole it is the one that blocks the others, if one does.
func (l *lane) dueLine(now time.Time) (line *retry) {
	if blocker, blocked := l.order.blocker(); blocked {
		line = l.retries.takeMessage(blocker)
	} else {
		line = l.retries.take()
	}
	if line == nil {
		line = l.probeLine(now)
	}
	return line
}

// probeLine returns the message that an endpoint is probed with, due or not: the oldest one that
// has failed, or the one that others wait behind. It returns nil before the next probe is due, and
// if the endpoint has no such message.
func (l *lane) probeLine(now time.Time) *retry {
	h := &l.breaker.health
	if !h.Parked && !l.early.isReady(now, !h.FailingSince.IsZero()) {
		return nil
	}
	if blocker, blocked := l.order.blocker(); blocked {
		if line := l.retries.loaded[blocker]; line != nil && line.Made > 0 {
			return line
		}
		return nil
	}
	return l.retries.oldest()
}

// turnRetry takes a line of the retry set that is due.
func (s *Scheduler) turnRetry(l *lane, line *retry) (d webhook.Delivery, found bool) {
	due := line.due
	early := !due && !l.breaker.health.Parked
	if early {
		l.early.once = false
	}
	s.forget(l, line.Message)
	mark(&l.retries.out, line.Message)
	d = webhook.Delivery{ID: line.Message, Endpoint: l.endpoint, Source: webhook.SourceRetry, Due: line.Due, Number: line.Made + 1, Spent: line.Spent, Probe: early}
	if ok := s.fetch(l, &d); !ok {
		if !l.removed {
			s.retryLater(l, line)
			s.set(&line.timer, s.clock().Add(readPatience))
		}
		return d, false
	}
	if !s.hasRoom(l, d.Message) {
		l.early.once = l.early.once || early
		s.retryLater(l, line)
		if due {
			l.retries.fireFirst(line)
		} else {
			s.set(&line.timer, s.due(&line.Retry))
		}
		return d, false
	}
	if why := l.refusal(d.Message); why != "" {
		s.cancel(l, &d, line.Key, why)
		return d, false
	}
	key := l.order.keyOf(d.Message)
	if k := l.order.keys[key]; key != 0 && l.order.isBlocked(key) && k.blocker != d.ID {
		if l.order.ordering == webhook.OrderingKey {
			s.hold(l, &d, key)
			return d, false
		}
	}
	l.order.block(key, d.ID)
	return s.depart(l, d), true
}

// retryLater puts a line back whose message can't be sent now.
func (s *Scheduler) retryLater(l *lane, line *retry) {
	s.waiting++
	delete(l.retries.out, line.Message)
	l.retries.keep(line)
	line.due, line.gone = false, false
}

// turnManual takes what a user or a task asked for.
func (s *Scheduler) turnManual(l *lane, i int) (d webhook.Delivery, found bool) {
	line := l.manual.take(i)
	if !line.Task.IsZero() && !s.backlog.TaskRuns(line.Task) { // the line has left the set with it, or is read when the task goes on
		l.manual.settle(line.Message, false)
		return d, false
	}
	d = webhook.Delivery{ID: line.Message, Endpoint: l.endpoint, Source: webhook.SourceManual, Number: line.Number, Task: line.Task, Retry: line.Retry}
	if ok := s.fetch(l, &d); !ok || !s.hasRoom(l, d.Message) {
		l.manual.giveBack(d.ID)
		return d, false
	}
	if why := missing(d.Message); why != "" { // filters are not asked: somebody wants it
		s.cancel(l, &d, 0, why)
		return d, false
	}
	if !line.Task.IsZero() && l.order.ordering != webhook.OrderingNone {
		l.manual.replayed = d.ID
	}
	return s.depart(l, d), true
}

// takesTasks reports whether messages of tasks may be sent now. A parked endpoint gets them only
// with the next probe.
func (l *lane) takesTasks(now time.Time) bool {
	return !l.breaker.health.Parked || !l.breaker.health.NextProbe.After(now)
}

// turnHeld takes the first message of a key that nothing blocks any more.
func (s *Scheduler) turnHeld(l *lane, key uint64) (d webhook.Delivery, found bool) {
	l.reading = true
	endpoint := l.endpoint.ID
	s.mu.Unlock()
	message, exists, err := s.backlog.HeldFirst(endpoint, key)
	s.mu.Lock()
	if err != nil {
		l.order.free = append(l.order.free, key)
		s.readFailed(l, "the held set", err)
		return d, false
	}
	l.reading = false
	if !exists {
		l.order.lost(key)
	}
	if l.removed || !exists {
		return d, false
	}
	d = webhook.Delivery{ID: message, Endpoint: l.endpoint, Source: webhook.SourceHeld, Number: 1}
	if ok := s.fetch(l, &d); !ok || !s.hasRoom(l, d.Message) {
		l.order.free = append(l.order.free, key)
		return d, false
	}
	l.order.took(key, message)
	if why := l.refusal(d.Message); why != "" {
		s.cancel(l, &d, key, why)
		return d, false
	}
	return s.depart(l, d), true
}

// fetch reads the message of a delivery; nil: it has left the log. False: it can't be read now, or
// the lane is gone. The lock is let go meanwhile.
func (s *Scheduler) fetch(l *lane, d *webhook.Delivery) (ok bool) {
	l.reading = true
	app := l.endpoint.App
	s.mu.Unlock()
	m, err := s.backlog.MessageByID(app, d.ID)
	s.mu.Lock()
	if err != nil && webhook.ErrorCode(err) != webhook.CodeNotFound {
		s.readFailed(l, "a message", err)
		return false
	}
	l.reading = false
	d.Message, d.Endpoint = m, l.endpoint // which may have changed
	return !l.removed
}

// depart hands a delivery out.
func (s *Scheduler) depart(l *lane, d webhook.Delivery) webhook.Delivery {
	now := s.clock()
	early := d.Probe
	if early {
		l.early.depart()
	}
	d.Probe = early || l.breaker.health.Parked
	f := flying{since: now, early: early, key: l.order.recordedKey(d.Message)}
	l.depart(flight{d.Source, d.ID}, &f, now)
	s.leaveLine(l)
	s.flying++
	return d
}

// land counts a delivery that is back.
func (s *Scheduler) land(f flying) {
	s.flying--
	s.workers.end(f.share, f.class)
	s.release(f.share, f.load)
	s.wakeWorker()
}

// landOrphan counts a delivery that is back, if its lane is gone.
func (s *Scheduler) landOrphan(d *webhook.Delivery) (f flying, known bool) {
	name := orphan{d.Endpoint.ID, flight{d.Source, d.ID}}
	if f, known = s.orphans[name]; known {
		delete(s.orphans, name)
		s.land(f)
	}
	return f, known
}

// decide records an outcome that is not the result of an attempt.
func (s *Scheduler) decide(l *lane, o webhook.Outcome) {
	l.pending++
	s.decided = append(s.decided, o)
	s.notifyDecided()
}

// hold puts a message behind another of its key.
func (s *Scheduler) hold(l *lane, d *webhook.Delivery, key uint64) {
	l.order.hold(key, d.ID)
	l.holds++
	s.decide(l, webhook.Outcome{Source: d.Source, Due: d.Due, Hold: true, Key: key, Attempt: webhook.Attempt{Message: d.ID, Endpoint: l.endpoint.ID}})
}

const (
	whyExpired  = "the message has expired"
	whyExpunged = "the payload was expunged before it was sent"
)

// missing says why there is nothing of a message to send; empty: there is.
func missing(m *webhook.Message) (why string) {
	switch {
	case m == nil:
		return whyExpired
	case m.Expunged:
		return whyExpunged
	default:
		return ""
	}
}

// refusal says why a message is not sent that the endpoint once wanted; empty: it is.
func (l *lane) refusal(m *webhook.Message) (why string) {
	if why = missing(m); why == "" && !l.endpoint.Wants(m) {
		why = "it no longer matches the endpoint's filters (" + string(l.endpoint.Filter(m)) + ")"
	}
	return why
}

// cancel records that a message is not sent any more, and why; its key, if it stood in the store
// with one, goes on.
func (s *Scheduler) cancel(l *lane, d *webhook.Delivery, key uint64, why string) {
	a := webhook.Attempt{Message: d.ID, Endpoint: l.endpoint.ID, URL: l.endpoint.URL, Number: d.Number, Status: webhook.StatusCanceled,
		Start: s.clock().Truncate(time.Millisecond).UTC(), Response: []byte("not sent: " + why), Task: d.Task}
	if d.Source == webhook.SourceManual {
		a.Trigger = webhook.TriggerManual
	}
	s.decide(l, webhook.Outcome{Source: d.Source, Due: d.Due, Spent: d.Spent, Key: key, Attempt: a})
}
