package cluster

import (
	"context"
	"runtime"
	"sync"
	"time"
)

// gate lets one batch at a time into the log. A large command takes many times as long as a batch
// of small ones, which would otherwise wait for a large one each time. So small commands go first
// for as long as the last large batch took, and then it is the turn of the next.
//
// A very large command also costs much after it is committed: the store moves its bytes several
// times, in the background, which takes all CPUs if it gets enough of them. So while there are
// small commands, those have a rate.
type gate struct {
	mu      sync.Mutex
	free    *sync.Cond    // a batch has left
	busy    bool          // there is a batch
	waiting [2]bool       // whether small commands wait, and large ones
	credit  time.Duration // for which small commands go first
	large   time.Time     // when the last large command left
	small   time.Time     // when the last small command left that somebody waits for, soon after a large one
	resume  time.Time     // when large commands may go on
}

const (
	// largeRate is how many bytes of very large commands may be committed in a second, for each
	// CPU, while there are small commands. The store takes about 20 ms of CPU for a MiB. Those are
	// above 64 KiB, so that events of a usual size, and parts of batches, have no rate.
	largeRate    = 8 << 20
	ratedCommand = 64 << 10

	// smallMemory is how long after a small command more of them are expected. One without a large
	// one shortly before does not count: it may have created what the large ones are for.
	smallMemory = time.Second
)

// processors is what this process may use, also in a container. It is read when the program starts,
// since a node raises GOMAXPROCS.
var processors = runtime.GOMAXPROCS(0)

const (
	small = 0
	large = 1
)

func newGate() *gate {
	g := &gate{}
	g.free = sync.NewCond(&g.mu)
	return g
}

// enter waits until a batch of small or of large commands may be committed. The caller must call
// leave.
func (g *gate) enter(kind int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting[kind] = true
	for g.busy || g.waiting[1-kind] && g.first() != kind {
		g.free.Wait()
	}
	g.waiting[kind] = false
	g.busy = true
}

// first returns which kind goes first.
func (g *gate) first() int {
	if g.credit > 0 {
		return small
	}
	return large
}

// pause waits until the rate of large commands allows the next ones, and returns what these may
// cost.
func (g *gate) pause(ctx context.Context) (limit int) {
	wait, limit := g.pauseAt(time.Now())
	pause(ctx, wait)
	return limit
}

// pause waits for that long, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

func (g *gate) pauseAt(now time.Time) (wait time.Duration, limit int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if now.Sub(g.small) > smallMemory {
		return 0, maxBatchBytes
	}
	return g.resume.Sub(now), maxLargeBatch
}

// leave is called after a batch, which took that long to commit. more means that the caller is
// about to enter again, or to skip; large commands may have to pause before that.
func (g *gate) leave(kind int, batch []*proposal, took time.Duration, more bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if kind == large {
		g.credit = took
		g.large, g.resume = now, now.Add(timeOf(batch))
	} else {
		g.credit -= took
		g.waiting[kind] = more
		if urgentOf(batch) > 0 && now.Sub(g.large) <= smallMemory {
			g.small = now
		}
	}
	g.busy = false
	g.free.Broadcast()
}

// timeOf returns how long a batch of large commands takes at largeRate.
func timeOf(batch []*proposal) time.Duration {
	bytes := 0
	for _, p := range batch {
		if size := len(p.command.Body); size > ratedCommand {
			bytes += size
		}
	}
	return time.Duration(bytes) * time.Second / time.Duration(largeRate*processors)
}

// skip is called by a caller that was about to enter, but does not need to any more.
func (g *gate) skip(kind int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting[kind] = false
	g.free.Broadcast()
}
