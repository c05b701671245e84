package cluster

import (
	"sync"
	"time"
)

const (
	// slowWrite is how long a write to the log may take before its disk counts as slow.
	slowWrite = time.Second

	// slowMemory is for how long a disk counts as slow after such a write.
	slowMemory = 10 * time.Second

	// handOverRest is the least time between two attempts of a leader to hand over by itself.
	handOverRest = 30 * time.Second
)

// pace knows whether the writes to the log are slow.
type pace struct {
	mu    sync.Mutex
	began time.Time // of the write under way; zero: there is none
	slow  time.Time // when a slow write ended last
}

// begin is called before a write, and the function that it returns after it.
func (p *pace) begin() (end func()) {
	began := time.Now()
	p.mu.Lock()
	p.began = began
	p.mu.Unlock()
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.began = time.Time{}
		if time.Since(began) >= slowWrite {
			p.slow = time.Now()
		}
	}
}

// isSlow reports whether a write took too long of late, or takes too long now.
func (p *pace) isSlow() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.slow.IsZero() && time.Since(p.slow) < slowMemory ||
		!p.began.IsZero() && time.Since(p.began) >= slowWrite
}

// watchDisk hands leadership over while the disk of this node is slow and that of another is not:
// a leader with a slow disk makes everybody wait, a follower nobody.
func (n *Node) watchDisk(rested *time.Time) {
	if !n.ready.Load() || !n.log.pace.isSlow() || time.Since(*rested) < handOverRest {
		return
	}
	last := n.raft.LastIndex()
	for _, m := range n.members.fresh() {
		if !m.Server.Voter || m.Status.SlowDisk || m.still || m.Status.Last+caughtUp < last {
			continue
		}
		*rested = time.Now()
		n.config.Logger.Warn("handing leadership over, because the disk of this node is slow", "to", m.ID)
		if err := n.handOver(&m.Server); err != nil {
			n.config.Logger.Warn(err.Error())
		}
		return
	}
}
