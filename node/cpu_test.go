package node

import (
	"math"
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"
	"time"
)

func TestStartsIn(t *testing.T) {
	h := &metrics.Float64Histogram{
		Buckets: []float64{math.Inf(-1), 0, 0.0004, 0.0005, 0.01, math.Inf(1)},
		Counts:  []uint64{1, 2, 4, 8, 16},
	}
	if all, late := startsIn(h); all != 31 || late != 24 {
		t.Errorf("%d, of which %d late; want 31 and 24", all, late)
	}
}

// The CPU is short while many more goroutines than processors work, and soon after that not any
// more.
func TestCPULoad(t *testing.T) {
	load, now := newCPULoad(), time.Now()
	look := func() bool {
		now = now.Add(cpuRefresh)
		return load.isShort(now)
	}
	look() // what was before
	var wg sync.WaitGroup
	for range 20 * runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for range 8 {
				for begin := time.Now(); time.Since(begin) < time.Millisecond; {
				}
				runtime.Gosched()
			}
		})
	}
	wg.Wait()
	if !look() {
		t.Error("under load it is not short")
	}
	if load.isShort(now.Add(cpuRefresh-1)) != true {
		t.Error("it changed before it was to look again")
	}
	oneByOne := func() bool {
		for range 100 {
			done := make(chan struct{})
			go close(done)
			<-done
		}
		return look()
	}
	for tries := 0; oneByOne(); tries++ { // other processes may take the CPU
		if tries == 100 {
			t.Fatal("without load it is short")
		}
	}
}
