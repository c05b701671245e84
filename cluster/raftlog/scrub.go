package raftlog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	scrubRate     = 1 << 20          // bytes of entries that are verified in a second
	scrubPause    = 10 * time.Minute // between two passes
	entryOverhead = 64               // bytes that each entry counts for beside its data
)

// scrub reads the log again and again, slowly, and verifies each entry's sum. Most entries are
// written, held in memory for the followers and cut without ever being read from the disk: damage
// to them would come to light only when it is too late, as when the node restarts.
type scrub struct {
	mu     sync.Mutex
	passes int64
	ended  time.Time // of the last pass; zero: there was none
}

// last returns how many passes there were and when the last one ended.
func (s *scrub) last() (passes int64, ended time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.passes, s.ended
}

func (s *scrub) note() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.passes++
	s.ended = time.Now()
}

// Scrub verifies the log again and again until ctx ends. Damage is fatal.
func (s *Store) Scrub(ctx context.Context) {
	pause := scrubPause / 10
	for {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		if !s.scrubOnce(ctx, time.Second) {
			return
		}
		s.scrub.note()
		pause = scrubPause
	}
}

// Scrubbed returns how many passes there were and when the last one ended.
func (s *Store) Scrubbed() (passes int64, ended time.Time) { return s.scrub.last() }

// scrubOnce verifies all entries, at most scrubRate bytes of them in each interval, and reports
// whether all are well.
func (s *Store) scrubOnce(ctx context.Context, interval time.Duration) bool {
	first, err := s.FirstIndex()
	if err != nil || first == 0 {
		return err == nil
	}
	budget := scrubRate
	for index := first; ; index++ {
		if last, err := s.LastIndex(); err != nil || index > last {
			return err == nil
		}
		size, err := s.verify(index)
		if err != nil {
			s.fatal(err)
			return false
		}
		if budget -= size + entryOverhead; budget > 0 {
			continue
		}
		budget = scrubRate
		select {
		case <-time.After(interval):
		case <-ctx.Done():
			return false
		}
	}
}

// verify reads an entry from the disk and returns its size. One that was cut meanwhile is well.
func (s *Store) verify(index uint64) (size int, err error) {
	entry := new(raft.Log)
	err = s.read(index, entry)
	if err == nil || errors.Is(err, raft.ErrLogNotFound) {
		return len(entry.Data), nil
	}
	return 0, fmt.Errorf("%w (entry %d: %w)", damagedAt(s.path), index, err)
}
