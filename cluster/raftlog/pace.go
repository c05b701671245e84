package raftlog

import (
	"sync"
	"time"
)

const (
	// slowWrite is how long a write to the log may take before its disk counts as slow.
	slowWrite = time.Second

	// slowMemory is how long a disk counts as slow after such a write.
	slowMemory = 10 * time.Second
)

// pace tracks whether the writes to the log are slow.
type pace struct {
	mu    sync.Mutex
	began time.Time // of the current write; zero: no write is in progress
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
		p.began = time.Time{}
		p.mu.Unlock()
		if time.Since(began) >= slowWrite {
			p.markSlow()
		}
	}
}

func (p *pace) markSlow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.slow = time.Now()
}

// isSlow reports whether a write took too long recently, or is taking too long now.
func (p *pace) isSlow() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.slow.IsZero() && time.Since(p.slow) < slowMemory ||
		!p.began.IsZero() && time.Since(p.began) >= slowWrite
}

// IsSlow reports whether a write to the log took too long recently, or is taking too long now.
func (s *Store) IsSlow() bool { return s.disk.pace.isSlow() }

// MarkSlow makes the disk count as slow for a while, as a slow write does.
func (s *Store) MarkSlow() { s.disk.pace.markSlow() }
