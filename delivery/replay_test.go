package delivery

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hookwheel/webhook"
)

const stepTime = 20 * time.Millisecond

// longReplays is a store with replays over a log that does not end. Each step takes stepTime.
type longReplays struct {
	mu     sync.Mutex
	tasks  []*webhook.Task
	fails  webhook.ID // steps of this application
	steps  []*webhook.Task
	onStep func(n int)
}

func (s *longReplays) RunningTasks() []*webhook.Task {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.tasks)
}

func (s *longReplays) NextStep(t *webhook.Task, limit int) (webhook.TaskStep, error) {
	time.Sleep(stepTime)
	s.mu.Lock()
	s.steps = append(s.steps, t)
	n := len(s.steps)
	s.mu.Unlock()
	if s.onStep != nil {
		s.onStep(n)
	}
	if t.App == s.fails {
		return webhook.TaskStep{}, errors.New("no such luck")
	}
	return webhook.TaskStep{Task: t.ID, From: t.Position, To: t.Position}, nil
}

func (s *longReplays) StepTask(context.Context, *webhook.TaskStep) error { return nil }

func (s *longReplays) add(app webhook.ID, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		s.tasks = append(s.tasks, &webhook.Task{ID: webhook.NewID(1<<40, 0, uint32(len(s.tasks))), App: app, Status: webhook.TaskRunning, Until: time.Now()})
	}
}

// run moves the tasks for a time.
func (s *longReplays) run(t *testing.T, d time.Duration, meanwhile func(*Replayer)) {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	r := NewReplayer(s, s, slog.New(slog.DiscardHandler))
	go meanwhile(r)
	r.Run(ctx)
}

// TestReplaysTakeTurns begins a replay beside the 100 of another application, which find work
// without an end.
func TestReplaysTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		large, small := webhook.NewID(1, 0, 1), webhook.NewID(1, 0, 2)
		s := new(longReplays)
		s.add(large, 100)
		var asked time.Time
		var began []time.Duration
		s.onStep = func(n int) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.steps[n-1].App == small {
				began = append(began, time.Since(asked))
			}
		}
		s.run(t, 20*time.Second, func(r *Replayer) {
			time.Sleep(5*time.Second + stepTime/2)
			asked = time.Now()
			s.add(small, 1)
			r.Wake()
		})
		if len(began) == 0 || began[0] > 3*stepTime {
			t.Fatalf("the new replay made its first steps after %v", began[:min(len(began), 3)])
		}
		if steps := int(20 * time.Second / stepTime); len(began) < steps/4 {
			t.Errorf("the only replay of an application made %d of about %d steps", len(began), steps)
		}
		turns := make(map[webhook.ID]int)
		for _, task := range s.steps {
			turns[task.ID]++
		}
		for _, task := range s.tasks {
			if n := turns[task.ID]; task.App == large && (n < 4 || n > 8) {
				t.Errorf("task %x of 100 made %d steps", task.ID, n)
			}
		}
	})
}

// TestFailingReplaysDelayNoOthers lets all steps of one application fail.
func TestFailingReplaysDelayNoOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad, good := webhook.NewID(1, 0, 1), webhook.NewID(1, 0, 2)
		s := &longReplays{fails: bad}
		s.add(bad, 3)
		s.add(good, 1)
		s.run(t, 10*time.Second, func(*Replayer) {})
		steps := make(map[webhook.ID]int)
		for _, task := range s.steps {
			steps[task.App]++
		}
		if steps[bad] > 30 {
			t.Errorf("three replays whose steps fail were tried %d times in 10 seconds", steps[bad])
		}
		if limit := int(10*time.Second/stepTime) - steps[bad]; steps[good] < limit-2 {
			t.Errorf("the other replay made %d of %d steps", steps[good], limit)
		}
	})
}
