package wal

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"hookwheel/webhook"
)

// Bounds of the free space that is kept when the configuration does not say: 10 % of the file system between these.
// Badger writes through memory maps, so a disk that is really full would kill the process; the floor leaves room for its
// memtables and a compaction, and for the attempts of what was accepted before.
const (
	minFreeFloor   = 256 << 20
	minFreeCeiling = 2 << 30
	minFreeToStart = 16 << 20               // opening Badger takes that much
	diskInterval   = 250 * time.Millisecond // between two looks at the file system
)

// Bounds of the Raft log, in bytes of entries: a sixteenth of the file system or a fourth of MaxSize, between these. It is no
// use beyond the size of the store, for sending that to a follower costs less then.
const (
	logSizeFloor   = 32 << 20
	logSizeCeiling = 1 << 30
	logSizeLeast   = 8 << 20 // if the store is smaller
)

// disk watches the free space under the store.
type disk struct {
	dir     string
	size    int64 // of the file system
	minFree int64
	free    atomic.Int64

	mu   sync.Mutex
	seen time.Time
}

func newDisk(dir string, minFree int64) (*disk, error) {
	d := &disk{dir: dir, minFree: minFree}
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil {
		return nil, fmt.Errorf("reading the free space of %s: %w", dir, err)
	}
	d.size = int64(stat.Blocks) * int64(stat.Bsize)
	if minFree == 0 {
		d.minFree = min(max(d.size/10, minFreeFloor), minFreeCeiling)
	}
	if free := d.look(); free < minFreeToStart {
		return nil, fmt.Errorf("%s has %d KiB free, which is too little to start: make room, %d MiB at least; nothing is lost",
			dir, free>>10, minFreeToStart>>20)
	}
	return d, nil
}

// look reads the free space if the last reading is old. A file system that does not answer counts as full.
func (d *disk) look() int64 {
	if d.mu.TryLock() {
		if time.Since(d.seen) > diskInterval {
			var stat syscall.Statfs_t
			if err := syscall.Statfs(d.dir, &stat); err != nil {
				stat = syscall.Statfs_t{}
			}
			d.free.Store(int64(stat.Bavail) * int64(stat.Bsize))
			d.seen = time.Now()
		}
		d.mu.Unlock()
	}
	return d.free.Load()
}

// Free is the free space in bytes and the least that must remain.
func (s *Store) Free() (free, least int64) { return s.disk.look(), s.disk.minFree }

// LogSize is how many bytes of entries the Raft log beside this store may have.
func (s *Store) LogSize() int64 {
	limit := s.disk.size / 16
	if s.config.MaxSize > 0 {
		limit = min(limit, s.config.MaxSize/4)
	}
	limit = min(max(limit, logSizeFloor), logSizeCeiling)
	return min(limit, max(s.Size(), logSizeLeast))
}

// Critical tells whether less than half of what must remain is free. Attempts must then not be made either, for they are
// recorded: Badger, which may need a memtable and a table of 64 MiB each for that, does not survive a full disk.
func (s *Store) Critical() bool {
	free, least := s.Free()
	return free < least/2
}

// Size is what logs and histories take, in bytes of keys and values; Badger needs more for them until it has compacted.
func (s *Store) Size() int64 { return s.bytes.Load() }

// Oversize tells whether they take a tenth more than config.MaxSize: retention can't keep up, or endpoints wait for all of it.
func (s *Store) Oversize() bool {
	return s.config.MaxSize > 0 && s.Size() > s.config.MaxSize+s.config.MaxSize/10
}

// noRoom refuses new messages when there is no room for them; full are the other nodes whose disk is short.
func (s *Store) noRoom(full []string) error {
	free, least := s.Free()
	var detail string
	switch {
	case s.Oversize():
		detail = fmt.Sprintf("the leader holds %d MiB of messages and attempts, more than its storage.max_size of %d MiB, and keeps the rest", s.Size()>>20, s.config.MaxSize>>20)
	case free < least:
		detail = fmt.Sprintf("the disk of the leader has %d MiB free and keeps %d MiB", free>>20, least>>20)
	case len(full) > 0:
		detail = fmt.Sprintf("the disk of %s has less free space than it keeps", strings.Join(full, ", "))
	default:
		return nil
	}
	return &webhook.Error{Code: webhook.CodeNoSpace,
		Detail: detail + " for the delivery of what was accepted: no new events until there is room"}
}
