package node

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The Go runtime lets the heap grow to twice what was alive at its last collection. What a burst of
// large events leaves there may be hundreds of megabytes, so from calmMemory on it may grow by half
// only, which costs little: most of a large heap are bytes that a collection need not look at.
const (
	calmMemory    = 512 << 20 // bytes
	memoryRefresh = time.Second
)

// boundMemory sets the limit at which the runtime collects more often, in step with what is alive,
// until the function that it returns is called. GOMEMLIMIT overrides it.
func boundMemory() (end func()) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	before := debug.SetMemoryLimit(-1)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(memoryRefresh)
		defer tick.Stop()
		alive := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		for limit := int64(0); ; {
			metrics.Read(alive)
			if next := memoryLimit(alive[0].Value.Uint64()); next != limit {
				limit = next
				debug.SetMemoryLimit(limit)
			}
			select {
			case <-tick.C:
			case <-stop:
				debug.SetMemoryLimit(before)
				return
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
	}
}

// memoryLimit is in steps, as each change of it stops the process for a moment.
func memoryLimit(alive uint64) int64 {
	const step = 64 << 20
	return max(calmMemory, (int64(alive)*3/2+step-1)/step*step)
}
