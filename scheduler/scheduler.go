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
	// Window reads an application's log after that place: up to limit messages, or as many as take
	// that many bytes; an empty one is the end.
	Window(app, after webhook.ID, limit, bytes int) ([]*webhook.Message, error)
	// MessageByID reads one message. The error is a *webhook.Error if it has left the log.
	MessageByID(app, id webhook.ID) (*webhook.Message, error)
	// OrderingKeys returns the webhook.OrderingKeyHash of messages; 0: it has left the log, or has
	// no ordering key.
	OrderingKeys(app webhook.ID, messages []webhook.ID) ([]uint64, error)
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
	soon         = time.Second // a success that takes longer proves nothing
)

// Scheduler says what may be sent now. Its methods may be called from any goroutine.
type Scheduler struct {
	backlog Backlog
	config  Config
	log     *slog.Logger
	clock   func() time.Time

	scans *scanTurns

	mu         sync.Mutex
	lanes      map[webhook.ID]*lane
	tails      tails
	windows    windows
	workers    workers
	alarms     alarms
	unrecorded unrecorded
	waiting    int // lines of retry sets in memory
	orphans    map[orphan]flying
}

// orphan is a delivery under way whose lane is gone: its worker is still busy.
type orphan struct {
	endpoint webhook.ID
	flight
}

// New makes a scheduler that has seen the log up to the entry at index: what comes after is
// offered.
func New(backlog Backlog, index uint64, config Config, log *slog.Logger) *Scheduler {
	s := &Scheduler{
		backlog: backlog, config: config, log: log, clock: config.Clock,
		lanes:      make(map[webhook.ID]*lane),
		tails:      newTails(index),
		windows:    windows{held: make(map[*lane]int)},
		unrecorded: newUnrecorded(),
		orphans:    make(map[orphan]flying),
		scans:      newScanTurns(),
		workers:    workers{total: config.Workers},
	}
	if s.clock == nil {
		s.clock = time.Now
	}
	s.alarms = newAlarms(s.clock())
	s.workers.work.L = &s.mu
	s.workers.starts.init()
	return s
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
			s.workers.close()
			s.mu.Unlock()
			return
		case <-sleep.C:
		case <-s.alarms.wakeup:
		}
		sleep.Reset(s.advance(s.clock()))
	}
}

// advance wakes what is due and returns for how long to sleep.
func (s *Scheduler) advance(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.alarms.latest.Add(-wheelTick)) {
		s.turnBack(now)
	}
	return s.alarms.advance(now, func(a alarm) {
		l := a.lane
		switch {
		case l.state == gone:
			return
		case a.retry == nil:
			l.unstick()
		default:
			l.retries.fire(a.retry)
		}
		l.enqueue()
	})
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
	stats := Stats{Lanes: len(s.lanes), InFlight: s.workers.flying, Retries: s.waiting, Tail: s.tails.bytes}
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
