package delivery

import (
	"context"
	"log/slog"
	"math"
	"slices"
	"time"

	"hookwheel/webhook"
)

const (
	replayInterval = 50 * time.Millisecond // between checks of running tasks
	replayPatience = time.Second           // after a step that failed
)

// Replays is the part of the store that a Replayer reads.
type Replays interface {
	// RunningTasks returns the tasks to be moved, the oldest first.
	RunningTasks() []*webhook.Task
	// NextStep returns which messages, at most limit, a task takes next. Each call does a bounded
	// amount of work.
	NextStep(task *webhook.Task, limit int) (webhook.TaskStep, error)
}

// Stepper writes steps of tasks into the replicated log, during one term of this node as the
// leader. It returns a *webhook.Error if the task was moved or changed in the meantime, or if the
// term is over.
type Stepper interface {
	StepTask(ctx context.Context, step *webhook.TaskStep) error
}

// Replayer moves tasks while this node leads: it searches their logs and puts the messages that
// they take into manual sets, at their rate and never many at once. Applications take turns, each
// with a step of one of its tasks, so that an application with many replays over long logs does not
// delay the others. All durable state is in the store, so the next leader continues where this one
// stopped.
type Replayer struct {
	replays Replays
	stepper Stepper
	log     *slog.Logger
	wake    chan struct{}
	paces   map[webhook.ID]*pace
	latest  map[webhook.ID]webhook.ID // by application: the task that had the last turn
}

// NewReplayer returns a Replayer for the leader of a term.
func NewReplayer(replays Replays, stepper Stepper, log *slog.Logger) *Replayer {
	return &Replayer{replays: replays, stepper: stepper, log: log, wake: make(chan struct{}, 1),
		paces: make(map[webhook.ID]*pace), latest: make(map[webhook.ID]webhook.ID)}
}

// Wake notifies the Replayer that a task was created or changed. It never blocks.
func (r *Replayer) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run moves tasks until ctx ends. Without tasks it sleeps until Wake.
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

// forget drops the paces of tasks that no longer run, and applications without running tasks.
func (r *Replayer) forget(running []*webhook.Task) {
	paces := make(map[webhook.ID]*pace, len(running))
	latest := make(map[webhook.ID]webhook.ID)
	for _, t := range running {
		if p := r.paces[t.ID]; p != nil {
			paces[t.ID] = p
		}
		if id, found := r.latest[t.App]; found {
			latest[t.App] = id
		}
	}
	r.paces, r.latest = paces, latest
}

// move takes one step for each application with a task that is ready, and returns how long to wait
// before the next round.
func (r *Replayer) move(ctx context.Context, running []*webhook.Task) time.Duration {
	wait := replayInterval
	for _, tasks := range r.turns(running) {
		for _, t := range tasks {
			limit := r.allowance(t, time.Now())
			if limit == 0 {
				continue
			}
			r.latest[t.App] = t.ID
			more := r.step(ctx, t, limit)
			if ctx.Err() != nil {
				return 0
			}
			if more || len(tasks) > 1 {
				wait = 0
			}
			break
		}
	}
	return wait
}

// turns returns the unfinished tasks, by application. Within an application, the tasks after the
// one that had the last turn come first.
func (r *Replayer) turns(running []*webhook.Task) (list [][]*webhook.Task) {
	places := make(map[webhook.ID]int)
	for _, t := range running {
		if !t.End().After(t.Position) {
			continue
		}
		i, found := places[t.App]
		if !found {
			i = len(list)
			places[t.App] = i
			list = append(list, nil)
		}
		list[i] = append(list[i], t)
	}
	for i, tasks := range list {
		latest := r.latest[tasks[0].App]
		first := slices.IndexFunc(tasks, func(t *webhook.Task) bool { return t.ID.After(latest) })
		if first > 0 {
			list[i] = slices.Concat(tasks[first:], tasks[:first])
		}
	}
	return list
}

// step moves a task and reports whether the next step should follow at once.
func (r *Replayer) step(ctx context.Context, t *webhook.Task, limit int) (more bool) {
	p := r.paces[t.ID]
	step, err := r.replays.NextStep(t, limit)
	if err == nil {
		err = r.stepper.StepTask(ctx, &step)
	}
	switch {
	case ctx.Err() != nil:
	case webhook.ErrorCode(err) == webhook.CodeConflict, webhook.ErrorCode(err) == webhook.CodeNotFound: // it was changed in the meantime
		p.rest = time.Now().Add(replayInterval)
	case err != nil:
		r.log.Warn("could not advance a replay; it is tried again", "task", t.ID.Text(webhook.KindTask), "error", err)
		p.rest = time.Now().Add(replayPatience)
	default:
		p.spend(len(step.Messages))
		return step.To != t.End()
	}
	return false
}

// allowance returns how many messages a task may take now. Without a rate, steps take many
// messages: each step is an entry in the replicated log.
func (r *Replayer) allowance(t *webhook.Task, now time.Time) int {
	p := r.paces[t.ID]
	if p == nil {
		p = &pace{at: now}
		r.paces[t.ID] = p
	}
	if now.Before(p.rest) {
		return 0
	}
	room := int(t.Room())
	if t.Rate == 0 && room < webhook.MaxTaskStep {
		return 0
	}
	return max(0, min(room, p.tokens(float64(t.Rate), now)))
}

// pace is a token bucket that holds the tokens of a fifth of a second, but at least one.
type pace struct {
	filled float64
	at     time.Time
	rest   time.Time // no step before this time
}

// tokens returns how many messages may be taken, at most MaxTaskStep; rate is per second, 0 for no
// limit.
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
