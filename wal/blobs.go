package wal

import (
	"errors"
	"sync"
	"time"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/wal/badgerfiles"
	"hookwheel/wal/blobfiles"
)

// blob is a value in a blob file.
type blob struct {
	ref     blobfiles.Ref
	keySize int
}

// waste are the values in the blob files of a database that no record has any more.
type waste struct {
	mu      sync.Mutex
	stale   []staleBlobs // oldest first; readers may still need them
	counted uint64       // index as of which the values in use were counted; 0: they were not yet
	count   sync.Mutex   // held while they are being counted; is locked before mu
}

// staleBlobs are values that records had before a commit.
type staleBlobs struct {
	index uint64
	blobs []blob
}

// staleBlobs returns the values in blob files that records with these keys have at an index.
func (d *database) staleBlobs(index uint64, keys map[string]struct{}) (stale []blob, err error) {
	if len(keys) == 0 {
		return nil, nil
	}
	txn := d.at(index)
	defer txn.Discard()
	for key := range keys { // any order will do: each is freed by itself
		item, err := txn.Get([]byte(key))
		if errors.Is(err, badger.ErrKeyNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		ref, is, err := reference(item)
		if err != nil {
			return nil, err
		}
		if is {
			stale = append(stale, blob{ref, len(key)})
		}
	}
	return stale, nil
}

// add remembers the values that a commit has replaced.
func (w *waste) add(index uint64, list []blob) {
	if len(list) == 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stale = append(w.stale, staleBlobs{index, list})
}

func (w *waste) isCounted() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counted > 0
}

// free frees what was replaced up to an index that all readers have reached, and removes the files
// of which nothing is in use.
func (d *database) free(oldest uint64) error {
	w := &d.waste
	w.mu.Lock()
	var list []staleBlobs
	if w.counted > 0 {
		for len(w.stale) > 0 && w.stale[0].index <= oldest {
			list, w.stale = append(list, w.stale[0]), w.stale[1:]
		}
	}
	counted := w.counted
	w.mu.Unlock()
	for _, s := range list {
		for _, b := range s.blobs {
			if s.index > counted || !d.blobs.IsOld(b.ref) {
				d.blobs.Free(b.ref, b.keySize)
			}
		}
	}
	if counted == 0 {
		return nil
	}
	return d.blobs.RemoveUnused()
}

// countPart is how many records are looked at in one go. Between two of them the store can be
// closed or replaced.
const countPart = 20_000

// countBlobs counts which values of the blob files are in use that were there at the start. Until
// that is done, none of them is freed.
func (r *reclaimer) countBlobs(db *database) error {
	s := r.store
	db.waste.count.Lock()
	defer db.waste.count.Unlock()
	if db.waste.isCounted() {
		return nil
	}
	index, counts := s.snapshots.pin(), blobfiles.Counts{}
	defer s.snapshots.unpin(index)
	for kind := range recordKinds {
		if !recordKinds[kind].large {
			continue
		}
		prefix := []byte{byte(kind)}
		for from := prefix; from != nil; {
			select {
			case <-s.closed:
				return nil
			default:
			}
			s.swap.RLock()
			var err error
			if s.db != db {
				s.swap.RUnlock()
				return nil
			}
			from, err = countFrom(db.at(index), counts, prefix, from)
			s.swap.RUnlock()
			if err != nil {
				return err
			}
		}
	}
	db.blobs.Use(counts)
	db.waste.mu.Lock()
	defer db.waste.mu.Unlock()
	db.waste.counted = max(index, 1)
	return nil
}

// countFrom counts the values of some records, and returns where to continue, or nil at the end.
func countFrom(txn transaction, counts blobfiles.Counts, prefix, from []byte) (next []byte, err error) {
	defer txn.Discard()
	opts := badger.DefaultIteratorOptions
	opts.Prefix, opts.PrefetchValues = prefix, false
	it := txn.NewIterator(opts)
	defer it.Close()
	looked := 0
	for it.Seek(from); it.Valid(); it.Next() {
		item := it.Item()
		if looked++; looked > countPart {
			return item.KeyCopy(nil), nil
		}
		ref, is, err := reference(item)
		if err != nil {
			return nil, err
		}
		if is {
			if err := txn.blobs.Count(counts, ref, len(item.Key())); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}

const (
	movePart  = 1 << 20                // bytes of values to move at once
	moveTime  = 500 * time.Millisecond // in each reclaimInterval
	moveWait  = 20 * time.Millisecond  // for an entry to be applied
	moveWaits = 5                      // before it is tried again later
)

// tidyBlobs frees values that no record has any more. If many are left in files with others that
// are in use, it moves the latter, so that the files can be removed.
func (r *reclaimer) tidyBlobs() error {
	r.store.swap.RLock()
	db := r.store.db
	r.store.swap.RUnlock()
	return r.store.guard(db, func() error {
		err := r.tidyBlobsOf(db)
		if errors.Is(err, blobfiles.ErrDamaged) { // which each start would find again, while the node serves
			dir := db.Opts().Dir
			err = badgerfiles.Damaged(dir, err)
			err = errors.Join(err, badgerfiles.Mark(dir, err))
		}
		return err
	})
}

func (r *reclaimer) tidyBlobsOf(db *database) error {
	s := r.store
	if err := r.countBlobs(db); err != nil {
		return err
	}
	if err := db.free(s.snapshots.oldest()); err != nil {
		return err
	}
	if !r.wastesBlobs(db) && r.move.file == 0 && !r.purge.isMoving(db) {
		s.lacksEntry.Store(false)
		return nil
	}
	return r.moveBlobs(db)
}

// wastesBlobs reports whether so much of the files is not in use that moving the rest is
// worthwhile.
func (r *reclaimer) wastesBlobs(db *database) bool {
	size, live := db.blobs.Usage()
	limit := busyBlobs + live/2
	if idle := r.store.Applied() == r.applied; idle || r.store.gate.short() != "" {
		limit = idleGarbage + live/8
	}
	return size-live > limit
}

// move is how far the values of a file are moved to the newest one.
type move struct {
	db    *database
	file  uint32 // 0: none
	from  int64
	ended uint64 // index when the file before was done; readers may still need what was in it
}

// moveBlobs moves the values in use of the file that has fewest, for a while. If no entry comes
// with which it can, it says so, see Cleaner.Tidy.
func (r *reclaimer) moveBlobs(db *database) error {
	lacks, waits := false, 0 // waits: one after the other
	defer func() { r.store.lacksEntry.Store(lacks) }()
	if r.move.db == db && r.move.ended > r.store.snapshots.oldest() {
		return nil
	}
	if r.move.db != db || r.move.file == 0 {
		file, live := r.nextFile(db)
		if file == 0 || r.store.space.disk.now() < live+compactionRoom(0) {
			return nil
		}
		r.move = move{db: db, file: file}
		r.purge.begun(file)
	}
	for end := time.Now().Add(moveTime); time.Now().Before(end); {
		if !r.store.pending.isStaged() {
			lacks = true
			if r.store.lacksEntry.Store(true); waits == moveWaits {
				return nil
			}
			waits++
			select {
			case <-time.After(moveWait):
			case <-r.store.closed:
				return nil
			}
			continue
		}
		waits = 0
		values, next, err := r.move.read(r.store)
		if err != nil {
			return err
		}
		if len(values) == 0 { // the file is removed when no reader needs it
			lacks = false
			r.move = move{db: db, ended: r.store.snapshots.last().index}
			return nil
		}
		moved, err := r.store.pending.rewrite(db, values)
		if err != nil {
			r.store.config.Fatal(err)
			return err
		}
		if moved {
			r.move.from = next
		}
	}
	return nil
}

// isStaged reports whether an entry is applied and not yet in a commit.
func (p *pending) isStaged() bool {
	p.Lock()
	defer p.Unlock()
	p.awaitCommit()
	return p.broken == nil && p.staged.meta.index > p.snapshots.last().index
}

// valueInFile is a value that was read from a blob file.
type valueInFile struct {
	ref        blobfiles.Ref
	key, value []byte
}

// read reads the next values of the file that were in use at the last commit.
func (m *move) read(s *Store) (values []valueInFile, next int64, err error) {
	s.swap.RLock()
	defer s.swap.RUnlock()
	if s.db != m.db {
		return nil, 0, nil
	}
	index := s.snapshots.pin()
	defer s.snapshots.unpin(index)
	txn := m.db.at(index)
	defer txn.Discard()
	size := 0
	next, err = m.db.blobs.Walk(m.file, m.from, func(ref blobfiles.Ref, key, value []byte) error {
		if size > movePart {
			return errStop
		}
		used, err := txn.refersTo(key, ref)
		if used {
			size += len(value)
			values = append(values, valueInFile{ref, key, value})
		}
		return err
	})
	return values, next, unlessStopped(err)
}

// refersTo reports whether a record has its value there.
func (t transaction) refersTo(key []byte, place blobfiles.Ref) (bool, error) {
	item, err := t.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	ref, is, err := reference(item)
	return is && ref == place, err
}

// rewrite writes those of these values again that records still have, and commits them. It does so
// only together with an entry that is applied and not yet committed, for Badger can't have a record
// twice at one version. It reports whether it has.
func (p *pending) rewrite(db *database, values []valueInFile) (done bool, err error) {
	p.Lock()
	p.awaitCommit()
	if p.broken != nil || p.db != db || p.staged.meta.index <= p.snapshots.last().index {
		p.Unlock()
		return false, nil
	}
	for i := range values {
		if err = p.rewriteOne(&values[i]); err != nil {
			break
		}
	}
	p.Unlock()
	if err != nil {
		return false, err
	}
	return true, p.commitAll()
}

func (p *pending) rewriteOne(v *valueInFile) error {
	if _, staged := p.staged.writes.Get(string(v.key)); staged {
		return nil
	}
	used, err := p.durable().refersTo(v.key, v.ref)
	if used {
		p.staged.repeat(v.key, v.value)
	}
	return err
}
