package raftlog

import "syscall"

// The log is cut by entries and by bytes. A follower that was down reads the newest entries from
// it, which is cheaper than sending it the state as long as they are smaller than the state.
const (
	keptEntries    = 4096    // the log is cut to so many entries, or to fewer if they are larger than half its limit
	keptAlone      = 64      // the same for a log that no other node reads
	defaultLogSize = 1 << 30 // bytes, if Config has no limit
	heldFactor     = 4       // for a follower that is being sent the state, up to so many times the limit is kept
)

// Segments grow with the log, up to an eighth of the limit, since space is given back in segments.
// As one is made in advance, they have no more than a small part of the free space.
const (
	minSegment = 1 << 20
	maxSegment = 64 << 20
	freeShare  = 32
)

func (s *Store) segmentSize() int64 {
	size := int64(0)
	if s.log != nil { // it is open
		size = min(s.limit()/8, s.log.Bytes()/4)
	}
	var stat syscall.Statfs_t
	if err := syscall.Statfs(s.dir, &stat); err == nil {
		size = min(size, int64(stat.Bavail)*int64(stat.Bsize)/freeShare)
	}
	return min(max(size, minSegment), maxSegment)
}

// fileBudget returns how many bytes the files may have together while some of them are not in use.
func (s *Store) fileBudget() int64 { return s.limit() + 2*s.segmentSize() }

// Bytes returns how much of the files the entries take.
func (s *Store) Bytes() int64 { return s.log.Bytes() }

// Limit returns how many bytes of entries there may be before the log is cut.
func (s *Store) Limit() int64 { return s.limit() }

// Grown receives a value after the log has grown beyond its limit.
func (s *Store) Grown() <-chan struct{} { return s.grown }

// FileSize returns how many bytes the files of the log have, including those made in advance.
func (s *Store) FileSize() int64 { return s.log.FileSize() }

// Settle is called regularly. It notes how much of the log is on stable storage, so that damage to
// all that follows some point is not taken for a write that a crash interrupted. If nothing was
// written since the last call, it marks the end of the log, too.
func (s *Store) Settle() error {
	written := s.written.Load()
	if written != s.settled {
		s.settled = written
		return s.disk.guard("noting the end of the log", s.log.Note)
	}
	return s.disk.guard("marking the end of the log", s.log.Mark)
}
