package wal

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/tidwall/btree"
)

// batch holds what was applied since the last commit began: the changes of some entries, in order
// of key. It becomes a Badger transaction only when it is committed (or several, see split.go). So
// new entries can be applied while earlier ones are being synced.
type batch struct {
	meta   meta                      // as of the last applied entry
	writes btree.Map[string, []byte] // by key; nil: deleted
	size   int                       // roughly what writes take of a transaction, in bytes

	was    func(key []byte) (value []byte, found bool, err error) // reads a record as it was before a change
	failed error                                                  // the first error of was

	before   uint64         // index of the previous commit
	remains  map[string]int // see the type remains
	partDone func() error   // see Store
}

// newBatch returns an empty batch. The caller holds applying while filling it.
func (s *Store) newBatch(state meta) batch { return batch{meta: state, was: s.get} }

// recordCost is what a record takes in a transaction in addition to its key and value: a node of
// Badger's skip list.
const recordCost = 128

// set writes a record, and counts its size instead of the old one.
func (b *batch) set(key, value []byte) {
	if value == nil {
		value = []byte{}
	}
	b.setChunk(key, b.old(key), value)
}

// add writes a record with a new key.
func (b *batch) add(key, value []byte) { b.setChunk(key, nil, append([]byte{}, value...)) }

func (b *batch) delete(key []byte) {
	if was := b.old(key); was != nil {
		b.setChunk(key, was, nil)
	}
}

// old returns the current value of a record, or nil.
func (b *batch) old(key []byte) []byte {
	value, found, err := b.was(key)
	if err != nil {
		b.failed = err
	}
	if !found {
		return nil
	}
	return append([]byte{}, value...)
}

// setChunk changes a record from was to is and updates the total size of chunks. A nil value means
// that the record does not exist.
func (b *batch) setChunk(key, was, is []byte) {
	if was != nil {
		b.meta.bytes -= int64(len(key) + len(was))
	}
	if is != nil {
		b.meta.bytes += int64(len(key) + len(is))
	}
	b.write(key, is)
}

func (b *batch) write(key, value []byte) {
	if inPieces(string(key), len(value)) && bytes.IndexByte(b.meta.pieced, key[0]) < 0 {
		b.meta.pieced = append(slices.Clone(b.meta.pieced), key[0])
	}
	if before, replaced := b.writes.Set(string(key), value); replaced {
		b.size -= len(key) + len(before) + recordCost
	}
	b.size += len(key) + len(value) + recordCost
}

// stage reports that there is something to commit.
func (s *Store) stage() {
	select {
	case s.dirty <- struct{}{}:
	default:
	}
}

// begin makes room for size more bytes. A batch that would outgrow one Badger transaction is
// committed first, which is allowed between any two entries. An entry of many small records may
// take several times its own size, so half of a transaction stays free for it. If it takes even
// more, its commit is split. applying is held.
func (s *Store) begin(size int) error {
	if s.broken != nil {
		return s.broken
	}
	if s.outgrows(size) {
		if err := s.commitAside(); err != nil {
			return err
		}
	}
	s.stage()
	return nil
}

// outgrows reports whether the batch would outgrow a transaction with size more bytes. applying is
// held.
func (s *Store) outgrows(size int) bool { return s.staged.size+size > int(s.db.MaxBatchSize())/2 }

// Ready returns when an entry with commands of that cost can be applied without waiting for a
// commit in progress.
func (s *Store) Ready(cost int) {
	s.applying.Lock()
	defer s.applying.Unlock()
	for s.broken == nil && s.committing != nil && s.outgrows(entryOverhead+2*cost) {
		s.commitDone.Wait()
	}
}

// get returns the value of key, including the writes of this entry and of all entries that are
// applied but not committed. applying is held.
func (s *Store) get(key []byte) (value []byte, found bool, err error) {
	for _, b := range s.layers() {
		if value, found := b.writes.Get(string(key)); found {
			return value, value != nil, nil
		}
	}
	return getRecord(s.durable(), key)
}

// seek calls see for each key with this prefix, beginning at from, in order and with the value that
// get would return. The caller must not keep or change key or value. If see returns errStop, the
// walk ends without an error. Writes made by see are not seen. applying is held.
func (s *Store) seek(prefix, from []byte, see func(key, value []byte) error) error {
	w := newWalk(s.durable(), prefix)
	defer w.close()
	return s.seekOn(w, prefix, from, see)
}

// seekOn is seek with a walk over durable records, for callers that seek often.
func (s *Store) seekOn(w *walk, prefix, from []byte, see func(key, value []byte) error) error {
	var top btree.Map[string, []byte]
	layers := s.layers()
	for i := len(layers) - 1; i >= 0; i-- {
		layers[i].writes.Ascend(string(from), func(key string, value []byte) bool {
			if !strings.HasPrefix(key, string(prefix)) {
				return false
			}
			top.Set(key, value)
			return true
		})
	}
	next := top.Iter()
	more := next.First()
	// upTo visits the staged records before a key, or all that are left with "".
	upTo := func(key string) error {
		for ; more && (key == "" || next.Key() < key); more = next.Next() {
			if next.Value() == nil {
				continue
			}
			if err := see([]byte(next.Key()), next.Value()); err != nil {
				return err
			}
		}
		return nil
	}
	before := w.seen
	err := w.seek(prefix, from, func(key, value []byte) error {
		err := upTo(string(key))
		if err == nil && !(more && next.Key() == string(key)) {
			err = see(key, value)
		}
		return err
	})
	s.seen += w.seen - before
	if err == nil {
		err = upTo("")
	}
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

// layers returns the batches that are applied but not durable, newest first.
func (s *Store) layers() []*batch {
	if s.committing != nil {
		return []*batch{&s.staged, s.committing}
	}
	return []*batch{&s.staged}
}

// durable returns a transaction that reads the last commit.
func (s *Store) durable() *badger.Txn {
	if s.base == nil {
		s.base = s.db.NewTransactionAt(s.snapshots.last().index, false)
	}
	return s.base
}

// forgetBase makes the next reader start from the newest commit.
func (s *Store) forgetBase() {
	if s.base != nil {
		s.base.Discard()
		s.base = nil
	}
}

// Commit makes everything applied so far durable. If the process crashes before it returns, all of
// it is kept or none, or everything up to some entry if one transaction was not enough. More
// entries may be applied meanwhile.
func (s *Store) Commit() error {
	s.applying.Lock()
	defer s.applying.Unlock()
	b, err := s.hand()
	if b == nil {
		return err
	}
	s.applying.Unlock()
	err = b.commit(s.db)
	s.applying.Lock()
	return s.committed(b, err)
}

// commit is Commit for callers that hold applying and continue to hold it.
func (s *Store) commit() error {
	b, err := s.hand()
	if b == nil {
		return err
	}
	return s.committed(b, b.commit(s.db))
}

// commitAside is commit, but returns when the commit has begun, so that entries need not wait for
// it. As there is one at a time, what is in memory stays bounded. The next commit waits for its
// end, and so does Close.
func (s *Store) commitAside() error {
	b, err := s.hand()
	if b == nil {
		return err
	}
	go func() {
		err := b.commit(s.db)
		s.applying.Lock()
		err = s.committed(b, err)
		s.applying.Unlock()
		if err != nil {
			s.config.Fatal(err)
		}
	}()
	return nil
}

// awaitCommit waits for the commit in progress. It releases applying meanwhile.
func (s *Store) awaitCommit() {
	for s.committing != nil {
		s.commitDone.Wait()
	}
}

// hand waits for the commit in progress and returns the staged batch for the next one, or nil if
// everything is durable or nothing may be committed any more. applying is held.
func (s *Store) hand() (*batch, error) {
	s.awaitCommit()
	if s.broken != nil || s.staged.meta.index <= s.snapshots.last().index {
		return nil, s.broken
	}
	if err := errors.Join(s.checkRoom(), s.coverRemains()); err != nil {
		s.broken = err
		return nil, err
	}
	b := s.staged
	b.before, b.remains, b.partDone = s.snapshots.last().index, s.remains.pieces, s.partDone
	s.committing = &b
	s.staged = s.newBatch(b.meta)
	return &b, nil
}

// committed finishes a commit. applying is held.
func (s *Store) committed(b *batch, err error) error {
	s.committing = nil
	s.commitDone.Broadcast()
	if err != nil {
		s.broken = fmt.Errorf("committing index %d: %w", b.meta.index, firstLine(err))
		return s.broken
	}
	s.remains.passed(b.meta.index)
	s.forgetBase()
	s.db.SetDiscardTs(s.snapshots.publish(b.meta))
	return nil
}

// commitDelay is how long applied entries wait for others before they are committed, unless a read
// needs them.
const commitDelay = 100 * time.Millisecond

// commitSoon commits entries that no read has committed, until the store is closed.
func (s *Store) commitSoon() {
	for {
		select {
		case <-s.dirty:
		case <-s.closed:
			return
		}
		select {
		case <-time.After(commitDelay):
		case <-s.closed:
			return
		}
		if err := s.Commit(); err != nil {
			s.config.Fatal(err)
			return
		}
	}
}
