package wal

import (
	"sync/atomic"

	"hookwheel/wal/badgerfiles"
)

// Space measures what a store takes of its disk, and what is left of that.
type Space struct {
	disk         *disk
	folder       string        // with all that counts
	maxSize      int64         // see MaxSize
	maxEndpoints int64         // Config.MaxEndpoints
	bytes        atomic.Int64  // as meta has it
	used         atomic.Int64  // see Used
	room         atomic.Int64  // what a compaction may need
	descriptors  atomic.Int64  // see Descriptors
	large        chan struct{} // there is more than maxSize
}

func newSpace(config *Config, d *disk) *Space {
	folder := config.Data
	if folder == "" {
		folder = config.Dir
	}
	return &Space{disk: d, folder: folder, maxSize: config.MaxSize, maxEndpoints: config.MaxEndpoints, large: make(chan struct{}, 1)}
}

// Space returns what measures the space of the store.
func (s *Store) Space() *Space { return s.space }

// Free is part of cluster.StateMachine: Space().Free.
func (s *Store) Free() (free, least int64) { return s.space.Free() }

// Free returns the free space in bytes and the minimum that must remain, which is never less than
// a compaction may need.
func (s *Space) Free() (free, least int64) {
	return s.disk.look(), max(s.disk.minFree, s.room.Load())
}

// LogSize returns how many bytes the entries of the Raft log beside the store may take.
func (s *Space) LogSize() int64 {
	limit := s.disk.size / 16
	if s.maxSize > 0 {
		limit = min(limit, s.maxSize/4)
	}
	limit = min(max(limit, logSizeFloor), logSizeCeiling)
	return min(limit, max(s.Size(), logSizeLeast))
}

// IsCritical reports whether less than half of the required minimum is free. Attempts must not be
// made then, because they are recorded, and Badger, which writes through memory maps, does not
// survive a full disk.
func (s *Space) IsCritical() bool {
	free, least := s.Free()
	return free < max(least/2, s.room.Load())
}

// Size returns the size of all records, in bytes of keys and values. Badger needs more until it
// has compacted: see Used.
func (s *Space) Size() int64 { return s.bytes.Load() }

// resize records the size of all records after an entry.
func (s *Space) resize(bytes int64) {
	s.bytes.Store(bytes)
	if s.maxSize > 0 && bytes > s.maxSize {
		select {
		case s.large <- struct{}{}:
		default:
		}
	}
}

// MaxSize returns how many bytes all records may take: Config.MaxSize, unless that is more than the
// disk has room for; 0: any number.
func (s *Space) MaxSize() int64 { return s.maxSize }

// Large returns a channel that receives when the records take more than MaxSize.
func (s *Space) Large() <-chan struct{} { return s.large }

// measure records how much of the disk the data folder takes.
func (s *Space) measure() { s.used.Store(badgerfiles.Usage(s.folder)) }

// Used returns how many bytes of the disk the data folder takes: the store, what it has yet to
// compact, and the Raft log.
func (s *Space) Used() int64 { return s.used.Load() }

// seeTables records how many descriptors the files need and how much room a compaction of the
// tables may need, and returns the size of these.
func (s *Space) seeTables(db *database) (size int64) {
	tables := db.Tables()
	for _, t := range tables {
		size += int64(t.OnDiskSize)
	}
	s.descriptors.Store(int64(2*len(tables) + len(db.blobs.Numbers())))
	s.room.Store(compactionRoom(size))
	return size
}

// Descriptors returns how many file descriptors the store may need: one for each blob file, and two
// for each table, because a compaction opens the new ones before it closes the old ones. There must
// be enough: if Badger cannot create one of the new tables, it drops the records for it and reports
// no error.
func (s *Space) Descriptors() int { return int(s.descriptors.Load()) }
