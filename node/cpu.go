package node

import (
	"math"
	"runtime/metrics"
	"sync"
	"time"
)

// cpuLoad measures whether this process lacks CPU, which is when goroutines that could run have to
// wait.
type cpuLoad struct {
	mu      sync.Mutex
	next    time.Time // when to look again
	short   bool
	sample  []metrics.Sample
	started uint64 // goroutines, since the process began
	late    uint64 // those of them that had waited for longer than lateStart
}

const (
	cpuRefresh = 50 * time.Millisecond
	lateStart  = 500 * time.Microsecond
	lateShare  = 0.25 // of the goroutines started since the last look: with more, CPU is short
)

func newCPULoad() *cpuLoad {
	return &cpuLoad{sample: []metrics.Sample{{Name: "/sched/latencies:seconds"}}}
}

// isShort reports whether CPU was short between the last two looks.
func (c *cpuLoad) isShort(now time.Time) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now.Before(c.next) {
		return c.short
	}
	c.next = now.Add(cpuRefresh)
	metrics.Read(c.sample)
	started, late := startsIn(c.sample[0].Value.Float64Histogram())
	c.short = float64(late-c.late) > lateShare*float64(started-c.started)
	c.started, c.late = started, late
	return c.short
}

// startsIn returns how many goroutines a histogram has counted, and how many of them were late.
func startsIn(h *metrics.Float64Histogram) (all, late uint64) {
	for i, n := range h.Counts {
		all += n
		if from := h.Buckets[i]; !math.IsInf(from, -1) && from >= lateStart.Seconds() {
			late += n
		}
	}
	return all, late
}
