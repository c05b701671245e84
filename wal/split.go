package wal

import (
	"bytes"
	"errors"
	"math"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// A batch may be larger than a Badger transaction can be. It is then written in several, all at the
// version of its index. The last one contains meta, and only then does the batch count, because
// every reader reads at the index that the newest meta names, also after a restart. After a crash
// between two of these transactions the state is that of the commit before, and what was written at
// a later version is not visible. Raft replays the entries, and commits may then fall between other
// entries than before, so these remains must never become visible later:
//
//   - nothing is read at a version between two commits, so remains at version v become visible with
//     the first commit at v or later;
//   - from the lowest such version on, each commit writes each key that has remains with its value
//     in the state, whether it has changed or not (coverRemains). This covers them for good,
//     whatever the replay does, even if other entries come than the first time, or a later version
//     of the program writes other values;
//   - a commit at exactly v writes the same key and version twice. Badger uses the newer one,
//     except when it merges the tables of level 0 among themselves. So keys are covered up to and
//     including the first commit beyond v;
//   - Badger drops versions only up to the index of the newest commit (SetDiscardTs), and keeps the
//     newest of those for each key.

// partLimit divides Badger's limit on a transaction: ours fill half of it.
const partLimit = 2

// partWriter writes a batch in as many transactions as it takes.
type partWriter struct {
	db          *database
	index       uint64
	txn         *badger.Txn
	size, count int64
	limit       int64 // bytes
	done        func() error
}

// reserve begins another transaction if so many records of so many bytes do not fit into this one.
func (w *partWriter) reserve(count, size int64) error {
	size += count * recordCost
	if w.txn == nil || w.size+size <= w.limit && w.count+count <= w.db.MaxBatchCount()/partLimit {
		return nil
	}
	if err := w.end(); err != nil {
		return err
	}
	w.size, w.count = 0, 0
	if w.done != nil {
		return w.done()
	}
	return nil
}

// put adds a record; a nil value deletes it.
func (w *partWriter) put(key, value []byte, userMeta byte) error {
	size := int64(len(key) + len(value))
	if err := w.reserve(1, size); err != nil {
		return err
	}
	w.size += size + recordCost
	w.count++
	if w.txn == nil {
		w.txn = w.db.NewTransactionAt(w.index, true)
	}
	if value == nil {
		return w.txn.Delete(key)
	}
	return w.txn.SetEntry(badger.NewEntry(key, value).WithMeta(userMeta))
}

// end commits and syncs the open transaction.
func (w *partWriter) end() error {
	err := w.txn.CommitAt(w.index, nil)
	w.discard()
	return err
}

func (w *partWriter) discard() {
	if w.txn != nil {
		w.txn.Discard()
		w.txn = nil
	}
}

// commit writes the batch, meta last, and syncs it. What is large is in blob files before.
func (b *batch) commit(db *database) error {
	var err error
	if b.stale, err = db.staleBlobs(b.before, b.replaced); err != nil {
		return err
	}
	values := saver{blobs: db.blobs}
	b.writes.Scan(func(key string, value []byte) bool {
		err = values.save(key, value)
		return err == nil
	})
	if err != nil {
		return err
	}
	end, err := values.sync()
	if err != nil {
		return err
	}
	w := partWriter{db: db, index: b.meta.index, limit: db.MaxBatchSize() / partLimit, done: b.partDone}
	if b.partSize > 0 {
		w.limit = b.partSize
	}
	defer w.discard()
	b.writes.Scan(func(key string, value []byte) bool {
		stored, userMeta := values.entry(key, value)
		err = w.put([]byte(key), stored, userMeta)
		return err == nil
	})
	if err != nil {
		return err
	}
	return w.finish(end, b.meta.encode())
}

// finish writes the end of the blob files, if it has moved, and meta. They are in one transaction:
// with an end that is not the one of meta's commit, a start would cut off too little or too much.
func (w *partWriter) finish(end, meta []byte) error {
	err := w.reserve(2, int64(len(endKey)+len(end)+len(metaKey)+len(meta)))
	if err == nil && end != nil {
		err = w.put(endKey, end, isLocal)
	}
	if err == nil {
		err = w.put(metaKey, meta, 0)
	}
	if err != nil {
		return err
	}
	return w.end()
}

// remains are the records of a commit that a crash cut short.
type remains struct {
	first, last uint64              // lowest and highest version of them
	keys        map[string]struct{} // of these records
}

// findRemains looks for records that are newer than the state. Badger skips tables without any, so
// this is quick.
func findRemains(db *database, index uint64) (r remains, err error) {
	txn := db.at(math.MaxUint64)
	defer txn.Discard()
	opts := badger.DefaultIteratorOptions
	opts.PrefetchValues, opts.AllVersions, opts.SinceTs = false, true, index
	it := txn.NewIterator(opts)
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		item := it.Item()
		if bytes.Equal(item.Key(), metaKey) || bytes.Equal(item.Key(), endKey) || item.Version() <= index {
			continue
		}
		if r.keys == nil {
			r.keys, r.first = make(map[string]struct{}), item.Version()
		}
		r.keys[string(item.Key())] = struct{}{}
		r.first, r.last = min(r.first, item.Version()), max(r.last, item.Version())
	}
	return r, nil
}

// passed forgets the remains when a commit is beyond them.
func (r *remains) passed(index uint64) {
	if index > r.last {
		*r = remains{}
	}
}

// firstLine cuts an error of Badger's after its first line, because bytes of the record follow.
func firstLine(err error) error {
	if line, _, more := strings.Cut(err.Error(), "\n"); more {
		return errors.New(line)
	}
	return err
}
