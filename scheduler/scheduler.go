package scheduler

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"hookwheel/webhook"
)

// Backlog is what the scheduler reads of the store. Each call sees at least what was committed before it.
type Backlog interface {
	// Place is where an endpoint stands in its log.
	Place(endpoint webhook.ID) Place
	// Window reads an application's log after that place, about most messages; an empty one is the end.
	Window(app, after webhook.ID, most int) ([]*webhook.Message, error)
	// MessageByID reads one message.
	MessageByID(app, id webhook.ID) (*webhook.Message, error)
	// Retries reads an endpoint's retry set in order of due time, from that time on, about most lines: all of a
	// millisecond, and fewer than most only if there are no more.
	Retries(endpoint webhook.ID, from time.Time, most int) ([]webhook.Retry, error)
}

// Place is where an endpoint stands: all up to Position is settled, put off or filtered out, and so is what Done holds, in log
// order, of what comes after. It is an alias of a plain struct so that the store, which has the same one, fits without being known.
type Place = struct {
	Position webhook.ID
	Done     []webhook.ID
	Health   webhook.Health
}

// readPatience is how long a lane waits after the store failed to answer.
const readPatience = time.Second

// Scheduler says what may be sent now. Its methods may be called from any goroutine.
type Scheduler struct {
	backlog     Backlog
	perEndpoint int
	log         *slog.Logger
	alarm       chan struct{} // wakes Run when the wheel has something earlier

	mu      sync.Mutex
	work    sync.Cond // there is a ready lane, or closed
	lanes   map[webhook.ID]*lane
	tails   tails
	ready   []*lane
	moved   map[*lane]struct{} // lanes whose cursor has moved since it was recorded
	wheel   *wheel[*retry]
	wakeAt  time.Time // when Run will look at the wheel
	closed  bool
	waiting int // lines of retry sets in memory
	flying  int // deliveries handed out and not back
}

// New makes a scheduler that has seen the log up to the entry at index: what comes after is offered. At most perEndpoint
// deliveries are under way to one endpoint.
func New(backlog Backlog, index uint64, perEndpoint int, log *slog.Logger) *Scheduler {
	s := &Scheduler{
		backlog: backlog, perEndpoint: perEndpoint, log: log,
		alarm: make(chan struct{}, 1),
		lanes: make(map[webhook.ID]*lane),
		tails: tails{offered: index, byApp: make(map[webhook.ID]*tail)},
		moved: make(map[*lane]struct{}),
		wheel: newWheel[*retry](time.Now()),
	}
	s.work.L = &s.mu
	return s
}

// Add makes a lane for an endpoint that goes on where the store says, or takes over a change of an endpoint.
func (s *Scheduler) Add(endpoint *webhook.Endpoint) {
	place := s.backlog.Place(endpoint.ID)
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.lanes[endpoint.ID]; l != nil {
		l.endpoint = endpoint
		return
	}
	t := s.tails.of(endpoint.App)
	l := newLane(endpoint, t, place.Position, place.Done)
	t.lanes = append(t.lanes, l)
	s.lanes[endpoint.ID] = l
	s.enqueue(l)
}

// Remove ends a lane. What it has in flight comes to its end.
func (s *Scheduler) Remove(endpoint webhook.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[endpoint]
	if l == nil {
		return
	}
	l.removed = true // its timers find that out
	s.waiting -= len(l.loaded)
	delete(s.lanes, endpoint)
	delete(s.moved, l)
	kept := l.tail.lanes[:0]
	for _, other := range l.tail.lanes {
		if other != l {
			kept = append(kept, other)
		}
	}
	clear(l.tail.lanes[len(kept):])
	l.tail.lanes = kept
}

// Offer tells of messages that have just been committed, in log order. It never blocks.
func (s *Scheduler) Offer(messages []*webhook.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range s.tails.add(messages) {
		for _, l := range t.lanes {
			s.enqueue(l)
		}
	}
}

// enqueue gives a lane a place in the queue if it has none and a turn may bring something.
func (s *Scheduler) enqueue(l *lane) {
	if l.queued || !l.ready(s.perEndpoint) {
		return
	}
	l.queued = true
	s.ready = append(s.ready, l)
	s.work.Signal()
}

// Next waits for something to send, and hands it out; false: the scheduler is closed. The caller must call Sent.
func (s *Scheduler) Next() (webhook.Delivery, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for len(s.ready) == 0 && !s.closed {
			s.work.Wait()
		}
		if s.closed {
			return webhook.Delivery{}, false
		}
		l := s.ready[0]
		s.ready[0] = nil
		s.ready = s.ready[1:]
		l.queued = false
		d, found := s.turn(l)
		s.enqueue(l)
		if found {
			return d, true
		}
	}
}

// turn takes one delivery from a lane: a retry that is due and a message from the log take turns.
func (s *Scheduler) turn(l *lane) (d webhook.Delivery, found bool) {
	if !l.ready(s.perEndpoint) {
		return d, false
	}
	if l.wantsRetries() {
		s.loadRetries(l)
		if l.removed || l.reading {
			return d, false
		}
	}
	if len(l.due) > 0 && !(l.retried && l.wantsLog()) {
		l.retried = true
		return s.turnRetry(l)
	}
	l.retried = false
	if !l.wantsLog() {
		return d, false
	}
	m, starved := l.nextFromLog()
	if starved {
		s.readWindow(l)
		return d, false
	}
	if l.cursor() != l.recorded {
		s.moved[l] = struct{}{}
	}
	if m == nil {
		return d, false
	}
	l.inFlight++
	s.flying++
	return webhook.Delivery{Message: m, ID: m.ID, Endpoint: l.endpoint, Number: 1}, true
}

// turnRetry takes the retry that has been due longest.
func (s *Scheduler) turnRetry(l *lane) (d webhook.Delivery, found bool) {
	r := l.due[0]
	l.due[0] = nil
	l.due = l.due[1:]
	l.inFlight++
	s.flying++
	s.mu.Unlock()
	m, err := s.backlog.MessageByID(l.endpoint.App, r.Message)
	s.mu.Lock()
	if err != nil || l.removed {
		l.inFlight--
		s.flying--
		if !l.removed {
			s.log.Error("reading a message that is due failed; it stays in the retry set", "endpoint", l.endpoint.ID.Text(webhook.KindEndpoint),
				"message", r.Message.Text(webhook.KindMessage), "error", err)
			s.wake(r, time.Now().Add(readPatience))
		}
		return d, false
	}
	if _, loaded := l.loaded[r.Message]; loaded {
		delete(l.loaded, r.Message)
		s.waiting--
	}
	return webhook.Delivery{Message: m, ID: m.ID, Endpoint: l.endpoint, Source: webhook.SourceRetry, Number: r.Made + 1, Spent: r.Spent, Due: r.Due}, true
}

// readWindow reads the store for a lane that lags. The lock is let go meanwhile.
func (s *Scheduler) readWindow(l *lane) {
	l.reading = true
	before := l.tail.before
	s.mu.Unlock()
	window, err := s.backlog.Window(l.endpoint.App, l.read, windowSize)
	s.mu.Lock()
	if err != nil {
		s.log.Error("reading the log failed", "endpoint", l.endpoint.ID.Text(webhook.KindEndpoint), "error", err)
		s.pauseReading(l)
		return
	}
	l.reading = false
	l.receive(window, before)
}

// loadRetries reads the next part of a lane's retry set. The lock is let go meanwhile.
func (s *Scheduler) loadRetries(l *lane) {
	l.reading = true
	s.mu.Unlock()
	list, err := s.backlog.Retries(l.endpoint.ID, l.horizon.Add(time.Millisecond), maxLoaded)
	s.mu.Lock()
	if err != nil {
		s.log.Error("reading the retry set failed", "endpoint", l.endpoint.ID.Text(webhook.KindEndpoint), "error", err)
		s.pauseReading(l)
		return
	}
	l.reading = false
	if l.removed {
		return
	}
	if len(list) < maxLoaded {
		l.horizon = forever
	} else {
		l.horizon = list[len(list)-1].Due
	}
	for _, r := range list {
		s.plan(l, r)
	}
}

// pauseReading lets a lane whose store failed rest for a while.
func (s *Scheduler) pauseReading(l *lane) {
	time.AfterFunc(readPatience, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		l.reading = false
		if !s.closed {
			s.enqueue(l)
		}
	})
}

// plan puts a line of the retry set on the wheel, unless it stands there or is too far off to be in memory.
func (s *Scheduler) plan(l *lane, r webhook.Retry) {
	if l.wants(r) {
		s.waiting++
		s.wake(l.load(r), r.Due)
	}
}

func (s *Scheduler) wake(r *retry, at time.Time) {
	s.wheel.add(&timer[*retry]{Value: r}, at)
	if at.Before(s.wakeAt) {
		select {
		case s.alarm <- struct{}{}:
		default:
		}
	}
}

// Sent says that an attempt is over and its lane may send another.
func (s *Scheduler) Sent(d webhook.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flying--
	if l := s.lanes[d.Endpoint.ID]; l != nil {
		l.inFlight--
		s.enqueue(l)
	}
}

// Checkpoint says what to record of these outcomes: they themselves, and how far the cursors are with them. Without
// outcomes it is for the cursors that moved over messages nobody wanted. What it returns must be recorded before it is
// called again.
func (s *Scheduler) Checkpoint(outcomes []webhook.Outcome) []webhook.Progress {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []webhook.Progress
	byEndpoint := make(map[webhook.ID]int)
	at := func(endpoint webhook.ID) *webhook.Progress {
		i, known := byEndpoint[endpoint]
		if !known {
			i = len(list)
			byEndpoint[endpoint] = i
			list = append(list, webhook.Progress{Endpoint: endpoint})
		}
		return &list[i]
	}
	for i := range outcomes {
		o := &outcomes[i]
		p := at(o.Attempt.Endpoint)
		p.Outcomes = append(p.Outcomes, *o)
		if l := s.lanes[p.Endpoint]; l != nil && o.Source == webhook.SourceLog {
			l.settle(o.Attempt.Message)
		}
	}
	if len(outcomes) == 0 {
		for l := range s.moved {
			at(l.endpoint.ID)
		}
	}
	for i := range list {
		if l := s.lanes[list[i].Endpoint]; l != nil {
			list[i].Cursor = l.cursor()
			l.recorded = list[i].Cursor
			delete(s.moved, l)
			s.enqueue(l) // it may have been too far ahead
		}
	}
	return list
}

// Settle says that progress is recorded, and plans the retries.
func (s *Scheduler) Settle(list []webhook.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range list {
		l := s.lanes[list[i].Endpoint]
		if l == nil {
			continue
		}
		for j := range list[i].Outcomes {
			if a := &list[i].Outcomes[j].Attempt; !a.Next.IsZero() {
				s.plan(l, webhook.Retry{Message: a.Message, Made: a.Number, Spent: list[i].Outcomes[j].Spent, Due: a.Next})
			}
		}
		s.enqueue(l)
	}
}

// Run turns the wheel until ctx ends, and then closes the scheduler: Next returns false from then on.
func (s *Scheduler) Run(ctx context.Context) {
	sleep := time.NewTimer(0)
	defer sleep.Stop()
	for {
		select {
		case <-ctx.Done():
			s.mu.Lock()
			s.closed = true
			s.work.Broadcast()
			s.mu.Unlock()
			return
		case <-sleep.C:
		case <-s.alarm:
		}
		sleep.Reset(s.advance(time.Now()))
	}
}

// maxSleep bounds how long Run trusts the clock.
const maxSleep = time.Minute

// advance wakes what is due and says for how long to sleep.
func (s *Scheduler) advance(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wheel.advance(now, func(t *timer[*retry]) {
		if l := t.Value.lane; !l.removed {
			l.due = append(l.due, t.Value)
			s.enqueue(l)
		}
	})
	s.wakeAt = now.Add(maxSleep)
	if next, any := s.wheel.next(); any && next.Before(s.wakeAt) {
		s.wakeAt = next
	}
	return s.wakeAt.Sub(now)
}

// Stats counts what is under way and what waits.
type Stats struct {
	Lanes    int
	InFlight int // attempts
	Retries  int // that wait in memory
	Tail     int // bytes of the logs' ends in memory
}

// Stats reports on the scheduler.
func (s *Scheduler) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Lanes: len(s.lanes), InFlight: s.flying, Retries: s.waiting, Tail: s.tails.bytes}
}
