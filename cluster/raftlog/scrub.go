package raftlog

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	scrubRate     = 1 << 20          // bytes of entries that are verified per second
	scrubPause    = 10 * time.Minute // between two passes
	entryOverhead = 64               // bytes that each entry counts in addition to its data
)

// Scrubber reads the log repeatedly and slowly, and verifies the checksum of each entry. Most
// entries are written, served to followers from memory and cut without ever being read from the
// disk: damage to them would be detected too late, such as when the node restarts.
type Scrubber struct {
	log    *Store
	mu     sync.Mutex
	passes int64
	ended  time.Time // of the last pass; zero: no pass has ended
}

// NewScrubber returns a Scrubber of a log.
func NewScrubber(log *Store) *Scrubber { return &Scrubber{log: log} }

// Passes returns how many passes were made and when the last one ended.
func (s *Scrubber) Passes() (passes int64, ended time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.passes, s.ended
}

func (s *Scrubber) note() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.passes++
	s.ended = time.Now()
}

// Run verifies the log repeatedly until ctx ends. Damage is fatal.
func (s *Scrubber) Run(ctx context.Context) {
	pause := scrubPause / 10
	for {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		if !s.pass(ctx, time.Second) {
			return
		}
		s.note()
		pause = scrubPause
	}
}

// pass verifies all entries, at most scrubRate bytes in each interval, and reports whether all
// are undamaged.
func (s *Scrubber) pass(ctx context.Context, interval time.Duration) bool {
	first, err := s.log.FirstIndex()
	if err != nil || first == 0 {
		return err == nil
	}
	budget := scrubRate
	for index := first; ; index++ {
		if last, err := s.log.LastIndex(); err != nil || index > last {
			return err == nil
		}
		size, err := s.verify(index)
		if err != nil {
			s.log.disk.fatal(err)
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

// verify reads an entry from the disk and returns its size. An entry that was cut in the meantime
// is not an error.
func (s *Scrubber) verify(index uint64) (size int, err error) {
	entry := new(raft.Log)
	if err := s.log.read(index, entry); err != nil && !errors.Is(err, raft.ErrLogNotFound) {
		return 0, err
	}
	return len(entry.Data), nil
}
