package wal

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/durable"
	"hookwheel/wal/badgerfiles"
)

// purgeInterval bounds how long what was removed stays on the disk: twice that at most, however
// little is written, while the store is open. It is far less than that unless a reader began
// before the removal, or the store has no room.
const purgeInterval = 12 * time.Hour

// purgeRest is the part of purgeInterval that passes between a start and a purge that is due, twice
// that added at random: nodes that were started together do not purge at the same time.
const purgeRest = 96

// purgeTries is how often a purge for which there is no room, or that fails, is tried again in
// purgeInterval.
const purgeTries = 72

// Badger merges all tables only when nothing is added to them meanwhile, and begins again and again
// otherwise. Up to quickTables bytes that takes less than a second. With more, a purge waits until
// no memtable was written out for calmTime; after purgeTries it leaves the tables to Badger, which
// merges them as more is written.
const (
	quickTables = 128 << 20
	calmTime    = 10 * time.Second
)

// purge has what was removed leave the tables, and the files of large values.
type purge struct {
	interval time.Duration
	due      time.Time
	index    uint64    // it is under way: what was removed up to there is to go; 0: it is not
	db       *database // of files
	files    []uint32  // of large values: those that are to go
	tries    int       // that have ended as too much was written
	memtable string    // the newest one
	rotated  time.Time // when it was first seen
	yields   bool      // the last file that was begun was one of them
	began    time.Time // when it did; zero: it was noted that it is over
}

// newPurge returns one that comes when it would have come without a start, or soon after that. If
// the clock says that the last one is yet to come, one of the two was wrong, and nobody knows when
// it was.
func newPurge(interval time.Duration, last time.Time) purge {
	now := time.Now()
	p := purge{interval: interval, rotated: now}
	p.rest(last)
	if soon := now.Add(interval/purgeRest + rand.N(interval/purgeRest*2+1)); last.After(now) || p.due.Before(soon) {
		p.due = soon
	}
	return p
}

// rest sets the time of the next purge: three quarters of the interval later at least, so that
// nodes that were started together do not purge at the same time.
func (p *purge) rest(last time.Time) {
	p.tries = 0
	p.due = last.Add(p.interval - rand.N(p.interval/4+1))
}

// purgedFile is a file in the folder of a store. It says when the last purge began that has come to
// its end, so that a start does not put off the next one.
const purgedFile = "purged"

// lastPurge returns when that was; zero: it is not known.
func lastPurge(dir string) (last time.Time) {
	text, err := os.ReadFile(filepath.Join(dir, purgedFile))
	if err != nil || last.UnmarshalText(bytes.TrimSpace(text)) != nil {
		return time.Time{}
	}
	return last
}

// notePurge notes that a purge is over, once all values are moved that it is to move. A store that
// is closed before that begins again after its next start.
func (r *reclaimer) notePurge() error {
	p := &r.purge
	if p.began.IsZero() || p.index > 0 || p.isMoving(r.store.db) || r.move.file > 0 {
		return nil
	}
	text, err := p.began.UTC().Round(0).MarshalText()
	if p.began = (time.Time{}); err != nil {
		return err
	}
	return durable.ReplaceFile(filepath.Join(r.store.config.Dir, purgedFile), append(text, '\n'))
}

// watchMemtable notes whether another memtable has been begun. It is called every second or so.
func (r *reclaimer) watchMemtable() error {
	r.store.swap.RLock()
	defer r.store.swap.RUnlock()
	newest, _, err := badgerfiles.Memtables(r.store.db.Opts().Dir)
	if newest != r.purge.memtable {
		r.purge.memtable, r.purge.rotated = newest, time.Now()
	}
	return err
}

// isCalm reports whether so little is written that merging that many bytes of tables comes to an
// end.
func (p *purge) isCalm(tables int64) bool {
	return tables <= quickTables || time.Since(p.rotated) >= calmTime
}

// purgeIfDue purges what was removed before it was due, if anything was applied since the last
// time. Badger keeps what a reader may need, so it waits until all readers began later.
func (r *reclaimer) purgeIfDue() error {
	s, p := r.store, &r.purge
	if err := r.watchMemtable(); err != nil || time.Now().Before(p.due) || s.Applied() == 0 {
		return err
	}
	if p.index == 0 {
		p.began = time.Now()
		if !s.changed.Swap(false) {
			p.rest(p.began)
			return nil
		}
		if err := s.Commit(); err != nil { // not with swap held, see doc.go
			s.config.Fatal(err)
			return err
		}
		p.index = s.snapshots.last().index
	}
	s.swap.RLock()
	defer s.swap.RUnlock()
	if !s.db.waste.isCounted() || s.snapshots.oldest() < p.index {
		return nil
	}
	if purged, err := r.purgeTables(); err != nil || !purged {
		p.due = time.Now().Add(p.interval / purgeTries) // a memtable stays for as long as somebody reads it
		return err
	}
	if err := s.db.free(s.snapshots.oldest()); err != nil {
		return err
	}
	p.db, p.files = s.db, s.db.blobs.Wasteful()
	p.index = 0
	p.rest(time.Now())
	return nil
}

// purgeTables merges all tables, so that nothing is left of what was removed. It reports false if
// there is no room for that now, or too much is written. Tables beyond flattenLimit are left to
// Badger. swap is held.
func (r *reclaimer) purgeTables() (done bool, err error) {
	s := r.store
	tables := s.space.seeTables(s.db)
	if tables > flattenLimit {
		return true, nil
	}
	if !r.purge.isCalm(tables) {
		r.purge.tries++
		return r.purge.tries >= purgeTries, nil
	}
	if s.space.disk.now() < compactionRoom(tables) {
		return false, nil
	}
	s.db.SetDiscardTs(s.snapshots.oldest()) // a commit does that, too, but not the end of a reader
	if err := r.touchTables(); err != nil {
		return false, err
	}
	return true, r.reclaim()
}

// touchTables deletes a key that never existed in the range of each table: Badger merges a table
// only with those that overlap it. A deletion whose version a reader still needed when it was
// merged may be in the same table as the record that it deletes, and nothing else would touch it.
func (r *reclaimer) touchTables() error {
	index := r.store.snapshots.last().index
	var keys [][]byte
	for _, t := range r.store.db.Tables() {
		keys = append(keys, keyBehind(t.Left))
	}
	for part := range slices.Chunk(keys, touchPart) {
		txn := r.store.db.NewTransactionAt(index, true)
		err := deleteAll(txn, part)
		if err == nil {
			err = txn.CommitAt(index, nil)
		}
		txn.Discard()
		if err != nil {
			return err
		}
	}
	return nil
}

const (
	touchPart   = 64 // keys in one transaction
	versionSize = 8  // bytes of a version, at the end of a key in a table
	behindSize  = 32 // bytes that keyBehind adds
)

// keyBehind returns a key that no record has, behind a key of a table: what follows is neither an
// ID, which would be longer or of a time that never comes, nor a name, which is UTF-8.
func keyBehind(key []byte) []byte {
	return append(bytes.Clone(key[:len(key)-versionSize]), bytes.Repeat([]byte{0xff}, behindSize)...)
}

func deleteAll(txn *badger.Txn, keys [][]byte) error {
	for _, key := range keys {
		if err := txn.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

// nextFile returns the file of which values are to be moved next, and how many bytes of it are in
// use; 0: none. If much space is wasted, only every other one is of the purge: its files may be
// many and hardly give any space.
func (r *reclaimer) nextFile(db *database) (file uint32, live int64) {
	wastes := r.wastesBlobs(db)
	for r.purge.isMoving(db) && !(wastes && r.purge.yields) {
		file = r.purge.files[0]
		if live, found := db.blobs.Live(file); found {
			return file, live
		}
		r.purge.files = r.purge.files[1:]
	}
	if !wastes {
		return 0, 0
	}
	return db.blobs.Emptiest()
}

// begun says that the values of a file are being moved.
func (p *purge) begun(file uint32) {
	p.yields = len(p.files) > 0 && p.files[0] == file
	if p.yields {
		p.files = p.files[1:]
	}
}

// isMoving reports whether files are to go.
func (p *purge) isMoving(db *database) bool { return p.db == db && len(p.files) > 0 }
