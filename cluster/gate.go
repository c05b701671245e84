package cluster

import (
	"sync"
	"time"
)

// gate lets one batch at a time into the log. A large command takes many times as long as a batch
// of small ones, which would otherwise wait for a large one each time. So small commands go first
// for as long as the last large batch took, and then it is the turn of the next.
type gate struct {
	mu      sync.Mutex
	free    *sync.Cond    // a batch has left
	busy    bool          // there is a batch
	waiting [2]bool       // whether small commands wait, and large ones
	credit  time.Duration // for which small commands go first
}

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

// leave is called after a batch, which took that long to commit. more means that the caller is
// about to enter again, or to skip.
func (g *gate) leave(kind int, took time.Duration, more bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if kind == large {
		g.credit = took
	} else {
		g.credit -= took
	}
	g.waiting[kind] = more
	g.busy = false
	g.free.Broadcast()
}

// skip is called by a caller that was about to enter, but does not need to any more.
func (g *gate) skip(kind int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting[kind] = false
	g.free.Broadcast()
}
