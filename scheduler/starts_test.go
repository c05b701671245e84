package scheduler

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hookwheel/webhook"
)

// TestStarts has more workers than may start at a time, for receivers that answer later: no
// millisecond has more starts than it may, and all workers get something soon.
func TestStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers = 300
		s, _ := newStartsScheduler(t, workers)
		limit := s.workers.starts.limit
		if limit >= workers/4 {
			t.Skipf("with %d processors so many may start at a time that this shows nothing", processors)
		}
		ctx, end := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		defer wg.Wait()
		defer end()
		wg.Go(func() { s.Run(ctx) })
		begun, started := time.Now(), make(chan time.Duration, workers)
		for range workers {
			wg.Go(func() {
				if _, ok := s.Next(); ok {
					started <- time.Since(begun)
				}
			})
		}
		perTick := make(map[time.Duration]int)
		var last time.Duration
		for range workers {
			last = <-started
			perTick[last/startTime]++
		}
		for tick, count := range perTick {
			if count > limit {
				t.Errorf("%d started in millisecond %d, and %d may", count, tick, limit)
			}
		}
		if longest := startTime * time.Duration(2*workers/limit+2); last > longest {
			t.Errorf("the last one started after %s, later than %s", last, longest)
		}
	})
}

// TestStartsMakeRoom has receivers that answer at once: nobody waits.
func TestStartsMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 1000
		s, endpoints := newStartsScheduler(t, count)
		begun := time.Now()
		for range count {
			d, _ := s.Next()
			o := s.Done(d, webhook.Attempt{Message: d.ID, Endpoint: d.Endpoint.ID, Number: 1}, Verdict{})
			s.Settle(s.Checkpoint([]webhook.Outcome{o}, 8))
		}
		if waited := time.Since(begun); waited > 0 {
			t.Errorf("%d deliveries to %d endpoints waited for %s", count, len(endpoints), waited)
		}
		if busy := s.workers.starts.latest + s.workers.starts.before; busy != 0 {
			t.Errorf("%d seem to start, after all are back", busy)
		}
	})
}

// Nothing is held up where nothing waits, though as many have started as may.
func TestStartsHoldNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newStartsScheduler(t, maxStarting*processors)
		for range maxStarting * processors {
			s.Next()
		}
		var wg sync.WaitGroup
		wg.Go(func() { s.Next() })
		synctest.Wait()
		if s.workers.starts.allows() || s.workers.starts.holds() {
			t.Errorf("more may start: %t; something is held: %t", s.workers.starts.allows(), s.workers.starts.holds())
		}
		s.mu.Lock()
		s.workers.close()
		s.mu.Unlock()
		wg.Wait()
	})
}

// newStartsScheduler returns a scheduler with an endpoint for each worker and one message for all.
func newStartsScheduler(t *testing.T, workers int) (*Scheduler, []*webhook.Endpoint) {
	t.Helper()
	b := newShelf()
	config := testConfig(1)
	config.Workers = 4 * workers // some of them are only for endpoints that have answered
	s := New(b, 2, config, slog.New(slog.DiscardHandler))
	var endpoints []*webhook.Endpoint
	for i := range workers {
		endpoints = append(endpoints, testEndpoint(uint32(i)))
		add(s, endpoints[i])
	}
	b.add(testMessage(10, 10))
	offer(s, b.log)
	return s, endpoints
}
