package scheduler

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"hookwheel/webhook"
)

// maxLaneBytes is what an endpoint may cost beyond its own text.
const maxLaneBytes = 2 << 10

// An endpoint that has got what there is costs little memory, and so does one of which nothing is
// known yet.
func TestMemoryPerEndpoint(t *testing.T) {
	const count = 20_000
	heap := func() int64 {
		var stats runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return int64(stats.HeapAlloc)
	}
	endpoints := make([]*webhook.Endpoint, count)
	for i := range endpoints {
		endpoints[i] = testEndpoint(uint32(i))
	}
	b := newShelf()
	before := heap()
	s := New(b, 2, testConfig(64), slog.New(slog.DiscardHandler))
	for _, e := range endpoints {
		add(s, e)
	}
	added := (heap() - before) / count
	ctx, end := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx) })
	m := testMessage(10, 10)
	b.add(m)
	offer(s, []*webhook.Message{m})
	outcomes := make([]webhook.Outcome, 0, 64)
	for range count {
		d, _ := s.Next()
		o := s.Done(d, webhook.Attempt{Message: d.ID, Endpoint: d.Endpoint.ID, Number: 1, Duration: time.Millisecond}, Verdict{})
		if outcomes = append(outcomes, o); len(outcomes) == cap(outcomes) {
			s.Settle(s.Checkpoint(outcomes, 64))
			outcomes = outcomes[:0]
		}
	}
	s.Settle(s.Checkpoint(outcomes, 64))
	used := (heap() - before) / count
	end()
	wg.Wait()
	t.Logf("%d bytes for a new one, %d for one that has got a message", added, used)
	if added > maxLaneBytes || used > maxLaneBytes {
		t.Errorf("an endpoint costs %d bytes when it is new and %d when it has got a message", added, used)
	}
	runtime.KeepAlive(s)
	runtime.KeepAlive(endpoints)
}
