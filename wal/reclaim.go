package wal

import (
	"encoding/binary"
	"errors"
	"path/filepath"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/wal/badgerfiles"
)

// Badger frees disk space only when it compacts, and compacts only when enough is written. So a
// store compares the size of its folder with that of its records. If the difference is large, it
// writes the memtable out and merges all levels into one.
const (
	reclaimInterval = time.Second
	reclaimPause    = 10 * time.Second // between two reclaims, under load
	idleGarbage     = 16 << 20         // bytes beyond an eighth of the records: too much when nothing is applied
	busyGarbage     = 128 << 20        // bytes beyond half of the records: too much at any time
	busyBlobs       = 64 << 20         // likewise, of values in blob files
	garbageStep     = 16 << 20         // bytes: another reclaim is worthwhile only after this much new garbage
	flattenLimit    = 1 << 30          // bytes of tables: while larger ones are merged, level 0 would fill up and stop all writes; it holds unless new events are refused anyway
	rotatePatience  = 30 * time.Second
)

// reclaimer measures the data folder and reclaims space, until the store is closed.
type reclaimer struct {
	store   *Store
	applied uint64    // at the last check
	last    time.Time // of the last reclaim
	residue int64     // bytes of garbage that it left
	move    move      // of values in blob files
	purge   purge
}

func (r *reclaimer) run() {
	tick := time.NewTicker(reclaimInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-r.store.closed:
			return
		}
		r.store.space.measure()
		if err := errors.Join(r.tidyBlobs(), r.reclaimIfDue(), r.purgeIfDue(), r.notePurge()); err != nil {
			r.store.config.Logger.Warn("space of what was removed could not be given back; it is tried again", "error", err)
		}
	}
}

func (r *reclaimer) reclaimIfDue() error {
	if !r.isDue() {
		return nil
	}
	if err := r.store.Commit(); err != nil { // not with swap held, see doc.go
		r.store.config.Fatal(err)
		return err
	}
	r.store.swap.RLock()
	defer r.store.swap.RUnlock()
	err := r.reclaim()
	r.last = time.Now()
	r.residue = r.garbage()
	return err
}

// isDue reports whether there is so much garbage that reclaiming is worthwhile, and possible.
func (r *reclaimer) isDue() bool {
	r.store.swap.RLock()
	defer r.store.swap.RUnlock()
	tables := r.store.space.seeTables(r.store.db)
	idle := r.store.Applied() == r.applied
	r.applied = r.store.Applied()
	live := r.store.space.Size()
	garbage := r.garbage()
	r.residue = min(r.residue, garbage)
	short := r.store.gate.short() != ""
	switch {
	case garbage < r.residue+garbageStep:
		return false
	case (idle || short) && garbage > idleGarbage+live/8:
	case garbage > busyGarbage+live/2 && time.Since(r.last) > reclaimPause:
	default:
		return false
	}
	return (tables <= flattenLimit || short) && r.store.space.disk.now() >= compactionRoom(tables)
}

// garbage returns how many bytes Badger takes beyond what its records need. swap is held.
func (r *reclaimer) garbage() int64 {
	dir := r.store.db.Opts().Dir
	_, blobs := r.store.db.blobs.Usage()
	return badgerfiles.Usage(dir) - badgerfiles.Usage(filepath.Join(dir, blobFolder)) - max(0, r.store.space.Size()-blobs)
}

// compactionRoom returns how much free space a compaction may need: it writes new tables before it
// removes the old ones.
func compactionRoom(tables int64) int64 { return min(tables, 160<<20) + 2*badgerfiles.MemTableSize }

// reclaim makes Badger drop deleted data. swap is held.
func (r *reclaimer) reclaim() error {
	for {
		if err := r.rotateMemtable(); err != nil {
			return err
		}
		if canFlatten(r.store.db.Levels()) {
			return r.store.db.Flatten(1)
		}
	}
}

// canFlatten reports whether Flatten would do anything. It leaves level 0 as it is until it has
// more tables than usual.
func canFlatten(levels []badger.LevelInfo) bool {
	return levels[0].NumTables > levelZeroTables || slices.ContainsFunc(levels[1:], func(l badger.LevelInfo) bool { return l.NumTables > 0 })
}

const (
	fillKeys    = 16
	fillKeySize = 60_000 // bytes; Badger allows 65,000
)

// rotateMemtable makes Badger write the memtable out as a table. Badger does that by itself only
// when its log is full, so this function fills it with deletions of keys that never existed. They
// are at the version of the last commit, so a crash leaves nothing that a reader could see.
func (r *reclaimer) rotateMemtable() error {
	dir := r.store.db.Opts().Dir
	before, _, err := badgerfiles.Memtables(dir)
	if err != nil {
		return err
	}
	index := r.store.snapshots.last().index
	for range badgerfiles.MemTableSize/(fillKeys*fillKeySize) + 2 {
		newest, _, err := badgerfiles.Memtables(dir)
		if err != nil {
			return err
		}
		if newest != before {
			break
		}
		txn := r.store.db.NewTransactionAt(index, true)
		for i := range fillKeys {
			if err = txn.Delete(fillKey(i)); err != nil {
				break
			}
		}
		if err == nil {
			err = txn.CommitAt(index, nil)
		}
		txn.Discard()
		if err != nil {
			return err
		}
	}
	for deadline := time.Now().Add(rotatePatience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if _, count, err := badgerfiles.Memtables(dir); err != nil || count == 1 {
			return err
		}
	}
	return errors.New("the memtable was not written to a table in time")
}

// fillKey returns a key of no existing kind.
func fillKey(i int) []byte {
	return binary.BigEndian.AppendUint32(make([]byte, fillKeySize-4), uint32(i))
}
