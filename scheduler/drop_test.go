package scheduler

import (
	"log/slog"
	"testing"
	"time"

	"hookwheel/webhook"
)

// A lane that is replaced leaves no timers behind: an endpoint may be moved again and again while
// thousands of its messages wait for a time far off.
func TestDroppedLanesLeaveNoTimers(t *testing.T) {
	w := newMemoryWorld(1, 1, 0)
	config := testConfig(1)
	config.Clock = func() time.Time { return time.UnixMilli(1_790_000_000_100) }
	s := New(w.shelf, 2, config, slog.New(slog.DiscardHandler))
	e := w.endpoints[0]
	for i := range 50 {
		w.shelf.retries[e.ID] = append(w.shelf.retries[e.ID], webhook.Retry{Message: testMessage(10+i, 0).ID, Due: config.Clock().Add(24 * time.Hour)})
	}
	s.Apply(webhook.Changes{Endpoints: w.endpoints})
	for range 10 {
		s.mu.Lock()
		retrySource{s.lanes[e.ID]}.readLines()
		if n := len(s.lanes[e.ID].retries.loaded); n != 50 {
			t.Fatalf("%d lines are in memory", n)
		}
		if n := s.alarms.wheel.count; n > 51 {
			t.Fatalf("%d timers wait for 50 lines", n)
		}
		s.mu.Unlock()
		s.Apply(webhook.Changes{Moved: ids(w.endpoints)})
	}
}
