package wal

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"hookwheel/durable"
	"hookwheel/wal/badgerfiles"
)

// Limits of the free space to keep, if the configuration has none: 10 % of the file system,
// between these. Badger writes through memory maps, so a full disk would kill the process. The
// lower limit leaves room for its memtables and a compaction, and for the attempts of accepted
// messages.
const (
	minFreeFloor   = 256 << 20
	minFreeCeiling = 2 << 30
	minFreeToStart = 4 * badgerfiles.MemTableSize // opening Badger takes that much: it writes out the memtables that a crash has left
	minFreeToWrite = 2 * badgerfiles.MemTableSize // a commit may make Badger write a memtable out, and begin another
	diskInterval   = 250 * time.Millisecond       // between two looks at the file system
)

// Limits of the Raft log, in bytes that its entries take: a sixteenth of the file system or a
// fourth of MaxSize, between these. A log larger than the store is of no use, because then sending
// the store to a follower costs less.
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
	_, size, err := durable.Space(dir)
	if err != nil {
		return nil, err
	}
	d.size = size
	if minFree == 0 {
		d.minFree = min(max(d.size/10, minFreeFloor), minFreeCeiling)
	}
	if free := d.look(); free < minFreeToStart {
		return nil, fmt.Errorf("%s has %d KiB free, which is too little to open the store: make room, %d MiB at least; nothing is lost",
			dir, free>>10, minFreeToStart>>20)
	}
	return d, nil
}

// now returns the free space at this moment. A file system that does not respond counts as full.
func (d *disk) now() int64 {
	free, _, err := durable.Space(d.dir)
	if err != nil {
		return 0
	}
	return free
}

// holds returns how many bytes of records the file system has room for at most. The rest is for the
// Raft log, for the free space to keep, and for what was removed and is yet to be compacted, which
// may be as much as the records.
func (d *disk) holds() int64 {
	return max((d.size-d.minFree-min(d.size/16, logSizeCeiling))/2, logSizeFloor)
}

// look returns the free space, measured at most diskInterval ago.
func (d *disk) look() int64 {
	if d.mu.TryLock() {
		if time.Since(d.seen) > diskInterval {
			d.free.Store(d.now())
			d.seen = time.Now()
		}
		d.mu.Unlock()
	}
	return d.free.Load()
}

// checkRoom is called before a commit of so many bytes, which may go into blob files. A write
// through a memory map for which the disk has no room would kill the process without a message, so
// the node stops with an error before that.
func (d *disk) checkRoom(bytes int) error {
	if free, needed := d.now(), int64(minFreeToWrite+bytes); free < needed {
		return fmt.Errorf("the disk has %d KiB free, less than the %d KiB that writing needs: make room and start again; nothing is lost", free>>10, needed>>10)
	}
	return nil
}
