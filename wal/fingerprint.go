package wal

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"sync"

	"github.com/dgraph-io/badger/v4"
)

// A fingerprint is a sum over the whole state as of one entry: SHA-256 over all records in order of key, meta among them,
// each as key and value with their length before them, a uvarint. That is what a snapshot holds between its head and its
// end, so whoever reads the same state in any way gets the same sum. Badger's own versions of records are no part of it.

// stateSum makes a fingerprint of records that come in order of key.
type stateSum struct {
	sum  hash.Hash
	head []byte
}

func newStateSum() *stateSum { return &stateSum{sum: sha256.New()} }

func (s *stateSum) add(key, value []byte) {
	s.head = binary.AppendUvarint(appendBytes(s.head[:0], key), uint64(len(value)))
	s.sum.Write(s.head) // never fails
	s.sum.Write(value)
}

func (s *stateSum) text() string { return hex.EncodeToString(s.sum.Sum(nil)) }

// fingerprints makes fingerprints in the background, one at a time. Of those that are asked for meanwhile the newest waits,
// so that all nodes end with the same one however busy they are, and no more than two old states are kept.
type fingerprints struct {
	mu      sync.Mutex
	index   uint64 // of sum
	sum     string // the newest that is made
	busy    bool
	waiting *fingerprintTask
}

// fingerprintTask is a state whose fingerprint is wanted; its index is pinned.
type fingerprintTask struct {
	db    *badger.DB
	index uint64
}

// Fingerprint is the newest sum over the whole state that this node has made, and the entry it is of; "": none yet.
func (s *Store) Fingerprint() (index uint64, sum string) {
	f := &s.fingerprints
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.index, f.sum
}

// askFingerprint: the entry's state is what all nodes sum up, when the entry is complete.
func (e *entry) askFingerprint() ([]byte, error) {
	e.fingerprint = true
	return binary.BigEndian.AppendUint64(nil, e.batch.meta.index), nil
}

// beginFingerprint commits, so that there is a version of exactly this entry, and has it summed up. applying is held.
func (s *Store) beginFingerprint() error {
	if err := s.commit(); err != nil {
		return err
	}
	task := &fingerprintTask{db: s.db, index: s.snapshots.pin()}
	f := &s.fingerprints
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waiting != nil {
		s.snapshots.unpin(f.waiting.index)
	}
	f.waiting = task
	if !f.busy {
		f.busy = true
		s.wg.Go(s.makeFingerprints)
	}
	return nil
}

// makeFingerprints works until nothing waits.
func (s *Store) makeFingerprints() {
	f := &s.fingerprints
	for {
		f.mu.Lock()
		task := f.waiting
		f.waiting = nil
		f.busy = task != nil
		f.mu.Unlock()
		if task == nil {
			return
		}
		sum, err := s.sumUp(task)
		s.snapshots.unpin(task.index)
		switch {
		case err != nil:
			s.config.Logger.Error("the state could not be summed up", "index", task.index, "error", err)
		case sum != "":
			f.mu.Lock()
			f.index, f.sum = task.index, sum
			f.mu.Unlock()
		}
	}
}

// sumPart is how many bytes are summed up in one go; in between, who wants to close or replace the store is let in.
const sumPart = 16 << 20

// sumUp makes the fingerprint of a task; "": the store was closed or replaced meanwhile.
func (s *Store) sumUp(task *fingerprintTask) (string, error) {
	sum := newStateSum()
	from, more := []byte{}, true
	for more {
		select {
		case <-s.closed:
			return "", nil
		default:
		}
		var err error
		s.swap.RLock()
		if s.db == task.db {
			from, err = sum.part(task, from)
		}
		replaced := s.db != task.db
		s.swap.RUnlock()
		if err != nil || replaced {
			return "", err
		}
		more = from != nil
	}
	return sum.text(), nil
}

// part sums up what stands at from and after, and says where to go on; nil: nowhere.
func (s *stateSum) part(task *fingerprintTask, from []byte) (next []byte, err error) {
	txn := task.db.NewTransactionAt(task.index, false)
	defer txn.Discard()
	opts := badger.DefaultIteratorOptions
	opts.PrefetchValues = false // they stand beside the keys
	it := txn.NewIterator(opts)
	defer it.Close()
	size := 0
	for it.Seek(from); it.Valid(); it.Next() {
		item := it.Item()
		if !isRecord(item) {
			continue
		}
		if size > sumPart {
			return item.KeyCopy(nil), nil
		}
		err := readRecord(txn, item, func(value []byte) error {
			s.add(item.Key(), value)
			size += len(item.Key()) + len(value)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}
