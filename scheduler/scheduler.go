package scheduler

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"hookwheel/webhook"
)

// Backlog is what the scheduler reads of the store. Each call sees at least what was committed
// before it.
type Backlog interface {
	// Place returns the position of an endpoint in its log.
	Place(endpoint webhook.ID) Place
	// Window reads an application's log after that place, about limit messages; an empty one is the
	// end.
	Window(app, after webhook.ID, limit int) ([]*webhook.Message, error)
	// MessageByID reads one message. The error is a *webhook.Error if it has left the log.
	MessageByID(app, id webhook.ID) (*webhook.Message, error)
	// Retries reads an endpoint's retry set in order of due time and message: the first limit lines
	// from that one on.
	Retries(endpoint webhook.ID, from webhook.Retry, limit int) ([]webhook.Retry, error)
	// Manual reads an endpoint's manual set in log order: the first limit lines, with tasks those
	// of tasks too, but of none that is paused.
	Manual(endpoint webhook.ID, tasks bool, limit int) ([]webhook.Manual, error)
	// Held reads an endpoint's held set in order of key and message: the first limit lines after
	// that one.
	Held(endpoint webhook.ID, after webhook.Held, limit int) ([]webhook.Held, error)
	// HeldFirst is the first message that is held behind others of a key.
	HeldFirst(endpoint webhook.ID, key uint64) (message webhook.ID, found bool, err error)
	// MayHaveLeft reports whether a message may have left the log already; if not, what is in
	// memory of it is current.
	MayHaveLeft(message webhook.ID) bool
	// TaskRuns reports whether what a task asked for may be sent: the task is neither paused nor
	// over.
	TaskRuns(task webhook.ID) bool
}

// Place is an endpoint's position in the log: everything up to Position is settled, put off or
// filtered out, and so are the later messages in Done, which are in log order. It is an alias of an
// unnamed struct, so that the store can return it without importing this package.
type Place = struct {
	Position webhook.ID
	Done     []webhook.ID
	Health   webhook.Health
}

// Config says what may be under way, and what becomes of what fails.
type Config struct {
	Workers     int              // deliveries under way, all endpoints together
	PerEndpoint int              // to one endpoint, at most
	Timeout     time.Duration    // of one attempt
	Clock       func() time.Time // the only one there is; nil: time.Now
	Retry       webhook.RetryPolicy
	Breaker     BreakerPolicy
}

const (
	readPatience = time.Second // how long a lane waits after the store failed to answer
	maxDecided   = 4096        // outcomes without a delivery that wait to be recorded
	soon         = time.Second // a success that takes longer proves nothing
)

// Scheduler says what may be sent now. Its methods may be called from any goroutine.
type Scheduler struct {
	backlog Backlog
	config  Config
	log     *slog.Logger
	clock   func() time.Time
	wakeup  chan struct{} // wakes Run when the wheel has something earlier
	notify  chan struct{} // something is decided

	mu      sync.Mutex
	work    sync.Cond // there is a ready lane, or closed
	lanes   map[webhook.ID]*lane
	tails   tails
	workers workers
	idle    int                // workers that wait for a lane
	moved   map[*lane]struct{} // lanes whose cursor or health is to be recorded, though no outcome is
	wheel   *wheel[alarm]
	wakeAt  time.Time // when Run will look at the wheel
	latest  time.Time // at the wheel's last advance
	closed  bool
	decided []webhook.Outcome // without a delivery
	stalled []*lane           // until some of these are recorded
	disable []Disable
	waiting int // lines of retry sets in memory
	flying  int // deliveries handed out and not back
	orphans map[orphan]flying
}

// orphan is a delivery under way whose lane is gone: its worker is still busy.
type orphan struct {
	endpoint webhook.ID
	flight
}

// alarm is a timer's content: a line of a lane's retry set that is due then, or a lane that may
// send again.
type alarm struct {
	lane  *lane
	retry *retry // nil: the lane itself
}

// Disable is an endpoint that is to be disabled.
type Disable struct {
	Endpoint     *webhook.Endpoint
	FailingSince time.Time // or when it took a message and said that it wants no more
}

// New makes a scheduler that has seen the log up to the entry at index: what comes after is
// offered.
func New(backlog Backlog, index uint64, config Config, log *slog.Logger) *Scheduler {
	s := &Scheduler{
		backlog: backlog, config: config, log: log, clock: config.Clock,
		wakeup: make(chan struct{}, 1), notify: make(chan struct{}, 1),
		lanes:   make(map[webhook.ID]*lane),
		tails:   newTails(index),
		moved:   make(map[*lane]struct{}),
		orphans: make(map[orphan]flying),
		workers: workers{total: config.Workers},
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	s.latest = s.clock()
	s.wheel = newWheel[alarm](s.latest)
	s.work.L = &s.mu
	return s
}

// enqueue gives a lane a place in the queue if it has none and a turn may bring something, or else
// sees to it that it is looked at again when it may.
func (s *Scheduler) enqueue(l *lane) {
	if l.queued || l.stalled || l.awaitingMemory || l.reading || s.closed {
		return
	}
	if ok, at := s.mayTurn(l); !ok {
		if !at.IsZero() {
			s.wakeLane(l, at)
		}
		return
	}
	if len(s.decided) >= maxDecided {
		l.stalled = true
		s.stalled = append(s.stalled, l)
		return
	}
	s.workers.push(l)
	if !s.workers.allows(l.tail.share, l.class()) {
		s.leaveLine(l)
	}
	s.wakeWorker()
}

// wakeWorker wakes a worker if there is a lane for it.
func (s *Scheduler) wakeWorker() {
	if s.idle > 0 && s.workers.hasWork() {
		s.work.Signal()
	}
}

// mayTurn reports whether a lane wants a turn and may have one now, and if not, from when on; a
// zero time means not until something happens.
func (s *Scheduler) mayTurn(l *lane) (ok bool, at time.Time) {
	now := s.clock()
	if l.wants(now) {
		ok, at = l.isReady(now)
	} else if len(l.retries.loaded) > 0 && !l.breaker.health.FailingSince.IsZero() && l.early.next.After(now) {
		at = l.early.next
	}
	if !ok {
		s.leaveLine(l)
		return false, at
	}
	return l.tail.hasTurn(l, now)
}

// admit goes on with the lanes that waited until something was recorded.
func (s *Scheduler) admit() {
	stalled := s.stalled
	s.stalled = nil
	for _, l := range stalled {
		l.stalled = false
		s.enqueue(l)
	}
}

// wakeLane schedules the next turn of a lane for that time, unless an earlier one is scheduled.
func (s *Scheduler) wakeLane(l *lane, at time.Time) {
	if !l.wakesAt.IsZero() && !at.Before(l.wakesAt) {
		return
	}
	l.wakesAt = at
	s.set(&l.wakeup, at)
}

func (s *Scheduler) set(t *timer[alarm], at time.Time) {
	s.wheel.add(t, at)
	if at.Before(s.wakeAt) {
		select {
		case s.wakeup <- struct{}{}:
		default:
		}
	}
}

// plan puts a line of the retry set on the wheel, unless it is on it or too far off to be in
// memory.
func (s *Scheduler) plan(l *lane, line webhook.Retry) {
	if !l.retries.belongs(&line) {
		if l.retries.reading {
			l.retries.came = append(l.retries.came, line)
		}
		return
	}
	s.waiting++
	s.set(&l.retries.load(line).timer, s.due(&line))
	for _, far := range l.retries.shed() {
		s.wheel.cancel(&far.timer)
		s.waiting--
	}
}

// forget drops a message's line from memory, if it is there.
func (s *Scheduler) forget(l *lane, message webhook.ID) {
	if line := l.retries.drop(message); line != nil {
		s.wheel.cancel(&line.timer)
		s.waiting--
	}
}

// Run turns the wheel until ctx ends, and then closes the scheduler: Next returns false from then
// on.
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
		case <-s.wakeup:
		}
		sleep.Reset(s.advance(s.clock()))
	}
}

// maxSleep bounds how long Run trusts the clock.
const maxSleep = time.Second

// advance wakes what is due and says for how long to sleep.
func (s *Scheduler) advance(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.latest.Add(-wheelTick)) {
		s.turnBack(now)
	}
	s.latest = now
	s.wheel.advance(now, func(t *timer[alarm]) {
		l, line := t.Value.lane, t.Value.retry
		switch {
		case l.removed:
			return
		case line == nil:
			l.wakesAt = time.Time{}
			s.unstick(l)
		default:
			l.retries.fire(line)
		}
		s.enqueue(l)
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
	Parked   int // lanes whose breaker is open
	Failing  int // lanes that are not parked, but whose last attempt failed
	InFlight int // attempts
	Retries  int // that wait in memory
	Tail     int // bytes of the logs' ends in memory
}

// Stats reports on the scheduler.
func (s *Scheduler) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	stats := Stats{Lanes: len(s.lanes), InFlight: s.flying, Retries: s.waiting, Tail: s.tails.bytes}
	for _, l := range s.lanes {
		switch h := &l.breaker.health; {
		case h.Parked:
			stats.Parked++
		case !h.FailingSince.IsZero():
			stats.Failing++
		}
	}
	return stats
}
