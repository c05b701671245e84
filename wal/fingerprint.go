package wal

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"sync"

	"github.com/dgraph-io/badger/v4"
)

// A fingerprint is a SHA-256 sum over the whole state as of one entry. It covers all records in
// order of key, meta included, each as key and value preceded by their lengths as uvarints. A
// snapshot contains the same bytes between its head and its end, so every way of reading the state
// gives the same sum. Badger's own versions of records are not part of it.

// stateSum computes a fingerprint of records that come in order of key.
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

// fingerprints computes fingerprints in the background, one after the other. Of the requests that
// arrive meanwhile only the newest waits. So all nodes finish with the same fingerprint however
// busy they are, and keep at most two old states.
type fingerprints struct {
	store   *Store
	mu      sync.Mutex
	index   uint64 // of sum
	sum     string // the newest fingerprint
	busy    bool
	waiting *fingerprintTask
	pending uint64 // entry of the newest task that is not finished; 0: none
}

// fingerprintTask is a state to compute a fingerprint of. Its index is pinned.
type fingerprintTask struct {
	db    *database
	index uint64
}

// Fingerprint returns the newest fingerprint that this node has computed, and the entry it belongs
// to. The sum is empty before the first one. It also returns the newest entry whose fingerprint is
// being computed, or 0.
func (s *Store) Fingerprint() (index uint64, sum string, pending uint64) {
	f := &s.fingerprints
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.index, f.sum, f.pending
}

// askFingerprint requests a fingerprint of the state after this entry.
func (e *entry) askFingerprint() ([]byte, error) {
	e.fingerprint = true
	return binary.BigEndian.AppendUint64(nil, e.batch.meta.index), nil
}

// begin commits, so that there is a version of exactly this entry, and schedules its fingerprint.
// pending is locked.
func (f *fingerprints) begin() error {
	if err := f.store.pending.commit(); err != nil {
		return err
	}
	task := &fingerprintTask{db: f.store.db, index: f.store.snapshots.pin()}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waiting != nil {
		f.store.snapshots.unpin(f.waiting.index)
	}
	f.waiting, f.pending = task, task.index
	if !f.busy {
		f.busy = true
		f.store.wg.Go(f.run)
	}
	return nil
}

// run works until no request is left.
func (f *fingerprints) run() {
	for {
		f.mu.Lock()
		task := f.waiting
		f.waiting = nil
		if f.busy = task != nil; task == nil {
			f.pending = 0
		}
		f.mu.Unlock()
		if task == nil {
			return
		}
		sum, err := f.sumUp(task)
		f.store.snapshots.unpin(task.index)
		switch {
		case err != nil:
			f.store.config.Logger.Error("the state could not be summed up", "index", task.index, "error", err)
		case sum != "":
			f.mu.Lock()
			f.index, f.sum = task.index, sum
			f.mu.Unlock()
		}
	}
}

// sumPart is how many bytes are read in one go. Between two of them the store can be closed or
// replaced.
const sumPart = 16 << 20

// sumUp computes the fingerprint of a task. It returns "" if the store was closed or replaced
// meanwhile.
func (f *fingerprints) sumUp(task *fingerprintTask) (string, error) {
	sum := newStateSum()
	from, more := []byte{}, true
	for more {
		select {
		case <-f.store.closed:
			return "", nil
		default:
		}
		var err error
		f.store.swap.RLock()
		if f.store.db == task.db {
			from, err = sum.part(task, from)
		}
		replaced := f.store.db != task.db
		f.store.swap.RUnlock()
		if err != nil || replaced {
			return "", err
		}
		more = from != nil
	}
	return sum.text(), nil
}

// part adds the records beginning at from, and returns where to continue, or nil at the end.
func (s *stateSum) part(task *fingerprintTask, from []byte) (next []byte, err error) {
	txn := task.db.at(task.index)
	defer txn.Discard()
	opts := badger.DefaultIteratorOptions
	opts.PrefetchValues = false // they are stored next to the keys
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
		err := txn.read(item, func(value []byte) error {
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
