package httpapi

import (
	"math"
	"testing"
	"time"

	"hookwheel/webhook"
)

// TestCountTaskIsCut: counting ends at its deadline, and then the count says up to when it is
// complete.
func TestCountTaskIsCut(t *testing.T) {
	now := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	task := webhook.Task{Since: now.Add(-24 * time.Hour)}
	steps := 0
	next := func(task *webhook.Task, limit int) (webhook.TaskStep, error) { // an hour a step
		steps++
		to := webhook.NewID(task.Position.Time().Add(time.Hour).UnixMilli(), 0, 0)
		if to.After(task.End()) {
			to = task.End()
		}
		if limit != math.MaxInt {
			t.Errorf("the limit is %d", limit)
		}
		return webhook.TaskStep{From: task.Position, To: to, Looked: 3, Messages: make([]webhook.ID, 2)}, nil
	}
	count, err := countTask(task, now, time.Now(), next)
	if err != nil || count.exact || count.total != 2 || count.looked != 3 || steps != 1 || !count.position.Equal(now.Add(-23*time.Hour)) {
		t.Errorf("%+v after %d steps, %v", count, steps, err)
	}
	count, err = countTask(task, now, time.Now().Add(time.Hour), next)
	if err != nil || !count.exact || count.total < 48 || count.looked != count.total/2*3 {
		t.Errorf("without haste: %+v, %v", count, err)
	}
}
