package delivery

import (
	"context"
	"log/slog"
	"math"
	"time"

	"hookwheel/webhook"
)

const (
	replayInterval = 50 * time.Millisecond // between two looks at running tasks
	replayPatience = time.Second           // after a step that failed
)

// Replays is what the replayer reads of the store.
type Replays interface {
	// RunningTasks are those to be moved, the oldest first.
	RunningTasks() []*webhook.Task
	// NextStep says which messages, at most most, a task takes next.
	NextStep(task *webhook.Task, most int) (webhook.TaskStep, error)
}

// Stepper has steps of tasks written into the replicated log. It refuses, with a *webhook.Error, a step of a task that was moved or
// changed meanwhile, and any when the term is over.
type Stepper interface {
	StepTask(ctx context.Context, term uint64, step *webhook.TaskStep) error
}

// Replayer moves tasks on while this node leads: it looks through their logs and puts what they take into manual sets, at their
// rate and never much at once. All that must last stands in the store, so the next leader goes on where this one stood.
type Replayer struct {
	replays Replays
	stepper Stepper
	term    uint64
	log     *slog.Logger
	wake    chan struct{}
	paces   map[webhook.ID]*pace
}

// NewReplayer makes one for a leader of that term.
func NewReplayer(replays Replays, stepper Stepper, term uint64, log *slog.Logger) *Replayer {
	return &Replayer{replays: replays, stepper: stepper, term: term, log: log, wake: make(chan struct{}, 1), paces: make(map[webhook.ID]*pace)}
}

// Wake says that a task was made or changed. It never blocks.
func (r *Replayer) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run moves tasks until ctx ends. Without any it sleeps until Wake.
func (r *Replayer) Run(ctx context.Context) {
	for {
		running := r.replays.RunningTasks()
		r.forget(running)
		var again <-chan time.Time
		if len(running) > 0 {
			again = time.After(r.move(ctx, running))
		}
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case <-again:
		}
	}
}

// forget lets go of the paces of tasks that do not run any more.
func (r *Replayer) forget(running []*webhook.Task) {
	kept := make(map[webhook.ID]*pace, len(running))
	for _, t := range running {
		if p := r.paces[t.ID]; p != nil {
			kept[t.ID] = p
		}
	}
	r.paces = kept
}

// move lets each task make a step if it may, and says how long to wait before the next round.
func (r *Replayer) move(ctx context.Context, running []*webhook.Task) time.Duration {
	wait := replayInterval
	for _, t := range running {
		most := r.allowance(t, time.Now())
		if most == 0 || !t.End().After(t.Position) {
			continue
		}
		step, err := r.replays.NextStep(t, most)
		if err == nil {
			err = r.stepper.StepTask(ctx, r.term, &step)
		}
		switch {
		case ctx.Err() != nil:
			return 0
		case webhook.ErrorCode(err) == webhook.CodeConflict, webhook.ErrorCode(err) == webhook.CodeNotFound: // it was changed meanwhile
			continue
		case err != nil:
			r.log.Warn("a replay could not be moved on; it is tried again", "task", t.ID.Text(webhook.KindTask), "error", err)
			wait = replayPatience
			continue
		}
		r.paces[t.ID].spend(len(step.Messages))
		if step.To != t.End() && wait == replayInterval {
			wait = 0
		}
	}
	return wait
}

// allowance is how many messages a task may take now. Steps are made of many, if no rate is to be kept: each is an entry in the
// replicated log.
func (r *Replayer) allowance(t *webhook.Task, now time.Time) int {
	p := r.paces[t.ID]
	if p == nil {
		p = &pace{at: now}
		r.paces[t.ID] = p
	}
	room := int(t.Room())
	if t.Rate == 0 && room < webhook.MaxTaskStep {
		return 0
	}
	return max(0, min(room, p.tokens(float64(t.Rate), now)))
}

// pace is a token bucket that holds what a fifth of a second brings, or one.
type pace struct {
	filled float64
	at     time.Time
}

// tokens is how many messages may be taken, MaxTaskStep at most; rate is per second, 0 without bound.
func (p *pace) tokens(rate float64, now time.Time) int {
	if rate == 0 {
		p.filled = 0
		return webhook.MaxTaskStep
	}
	p.filled = min(p.filled+rate*now.Sub(p.at).Seconds(), max(1, rate/5))
	p.at = now
	return int(min(math.Floor(p.filled), webhook.MaxTaskStep))
}

func (p *pace) spend(messages int) { p.filled -= float64(messages) }
