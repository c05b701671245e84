package delivery

import (
	"context"
	"runtime"
	"sync"
	"time"
)

const (
	// largeBody is the size from which on a payload is large. To sign and write a MiB takes more
	// than a millisecond of CPU; an event of a MiB to a hundred endpoints would take all CPUs for
	// long.
	largeBody = 64 << 10

	// largeRate is how many bytes of large payloads may be sent in a second, for each CPU, while
	// there are attempts with small ones.
	largeRate = 32 << 20

	// smallMemory is how long after an attempt with a small payload there are considered to be
	// more.
	smallMemory = time.Second
)

// processors is what this process may use, also in a container. It is read when the program starts,
// since a node raises GOMAXPROCS.
var processors = runtime.GOMAXPROCS(0)

// largePace gives attempts with large payloads a rate while there are others.
type largePace struct {
	mu    sync.Mutex
	small time.Time // when the last attempt with a small payload began
	next  time.Time // when the next one with a large payload may begin
}

// await waits until an attempt with a payload of that size may begin. It returns false if ctx ends
// first.
func (p *largePace) await(ctx context.Context, size int) bool {
	wait := p.take(size, time.Now())
	if wait <= 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// take returns for how long an attempt has to wait. What waits is bounded, as the scheduler bounds
// the bytes in flight.
func (p *largePace) take(size int, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case size <= largeBody:
		p.small = now
		return 0
	case now.Sub(p.small) > smallMemory:
		return 0
	case p.next.Before(now):
		p.next = now
	}
	wait := p.next.Sub(now)
	p.next = p.next.Add(time.Duration(size) * time.Second / time.Duration(largeRate*processors))
	return wait
}
