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

// batch is what was applied since the last commit began: the changes of some entries, in order of key. A transaction of Badger's
// is made of it only when it is committed (or several, see split.go), so that entries are applied without a wait while the ones before them are synced.
type batch struct {
	meta   meta                      // as of the last entry applied
	writes btree.Map[string, []byte] // by key; nil: deleted
	size   int                       // what they take of a transaction, in bytes, about

	was    func(key []byte) (value []byte, found bool, err error) // reads a record as it is before a change
	failed error                                                  // why it could not, once

	before   uint64         // index of the commit before
	remains  map[string]int // see remains
	partDone func() error   // see Store
}

// newBatch is an empty batch, to be filled while applying is held.
func (s *Store) newBatch(state meta) batch { return batch{meta: state, was: s.get} }

// recordCost is what a record takes in a transaction beside its key and its value: a node of Badger's skip list.
const recordCost = 128

// set writes a record, and counts its size in place of what it was.
func (b *batch) set(key, value []byte) {
	if value == nil {
		value = []byte{}
	}
	b.setChunk(key, b.old(key), value)
}

// add writes a record that was not there.
func (b *batch) add(key, value []byte) { b.setChunk(key, nil, append([]byte{}, value...)) }

func (b *batch) delete(key []byte) {
	if was := b.old(key); was != nil {
		b.setChunk(key, was, nil)
	}
}

// old is a record as it is; nil: there is none.
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

// setChunk changes a record from what it was to what it is to be, and the sum of them all with it; nil: there is none.
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

// stage tells that there is something to commit.
func (s *Store) stage() {
	select {
	case s.dirty <- struct{}{}:
	default:
	}
}

// begin makes room for size more bytes: a batch that would become larger than one transaction of Badger's is committed first,
// which is allowed between any two entries. An entry of nothing but small records may take some times its size, so half of a
// transaction is left for it. If it takes more its commit is split. applying is held.
func (s *Store) begin(size int) error {
	if s.broken != nil {
		return s.broken
	}
	if s.staged.size+size > int(s.db.MaxBatchSize())/2 {
		if err := s.commit(); err != nil {
			return err
		}
	}
	s.stage()
	return nil
}

// get reads what stands under a key as of the last entry applied, and what this one has changed. applying is held.
func (s *Store) get(key []byte) (value []byte, found bool, err error) {
	for _, b := range s.layers() {
		if value, found := b.writes.Get(string(key)); found {
			return value, value != nil, nil
		}
	}
	return getRecord(s.durable(), key)
}

// seek calls see for each key with that prefix from one on, in order, as get would read it; neither key nor value may be kept or
// changed; errStop ends it early. What see writes is not seen. applying is held.
func (s *Store) seek(prefix, from []byte, see func(key, value []byte) error) error {
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
	// upTo gives what stands in memory before a key, or all with "".
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
	stopped := false
	err := seek(s.durable(), prefix, from, func(key, value []byte) error {
		err := upTo(string(key))
		if err == nil && !(more && next.Key() == string(key)) {
			err = see(key, value)
		}
		stopped = errors.Is(err, errStop)
		return err
	})
	if err == nil && !stopped {
		err = upTo("")
	}
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

// layers are what is applied but not durable, the newest first.
func (s *Store) layers() []*batch {
	if s.committing != nil {
		return []*batch{&s.staged, s.committing}
	}
	return []*batch{&s.staged}
}

// durable is a transaction that reads what was committed.
func (s *Store) durable() *badger.Txn {
	if s.base == nil {
		s.base = s.db.NewTransactionAt(s.snapshots.last().index, false)
	}
	return s.base
}

// forgetBase has the next reader begin from what is committed by then.
func (s *Store) forgetBase() {
	if s.base != nil {
		s.base.Discard()
		s.base = nil
	}
}

// Commit makes all that is applied by now durable. A crash before it returns leaves all of it or none, or all up to some entry if
// there was too much for one transaction. Entries are applied meanwhile.
func (s *Store) Commit() error {
	s.applying.Lock()
	defer s.applying.Unlock()
	s.awaitCommit()
	if s.broken != nil || s.staged.meta.index <= s.snapshots.last().index { // all is durable
		return s.broken
	}
	b, err := s.hand()
	if err != nil {
		return err
	}
	s.applying.Unlock()
	err = b.commit(s.db)
	s.applying.Lock()
	return s.committed(b, err)
}

// commit is Commit for who holds applying, and goes on to.
func (s *Store) commit() error {
	s.awaitCommit()
	if s.broken != nil || s.staged.meta.index <= s.snapshots.last().index { // all is durable
		return s.broken
	}
	b, err := s.hand()
	if err != nil {
		return err
	}
	return s.committed(b, b.commit(s.db))
}

// awaitCommit waits for a commit that is under way; applying is let go meanwhile.
func (s *Store) awaitCommit() {
	for s.committing != nil {
		s.commitDone.Wait()
	}
}

// hand takes what is staged to be committed.
func (s *Store) hand() (*batch, error) {
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

// committed ends a commit. applying is held.
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

// commitDelay is how long what is applied waits for company before it is committed, unless a read wants it.
const commitDelay = 100 * time.Millisecond

// commitSoon commits what nobody reads, until the store is closed.
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
