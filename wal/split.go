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
	db          *badger.DB
	index       uint64
	txn         *badger.Txn
	size, count int64
	done        func() error
}

// put adds a record, or a piece of one; a nil value deletes it.
func (w *partWriter) put(key, value []byte, userMeta byte) error {
	w.size += int64(len(key) + len(value) + recordCost)
	w.count++
	if w.txn != nil && (w.size > w.db.MaxBatchSize()/partLimit || w.count > w.db.MaxBatchCount()/partLimit) {
		if err := w.end(); err != nil {
			return err
		}
		if w.done != nil {
			if err := w.done(); err != nil {
				return err
			}
		}
		w.size, w.count = int64(len(key)+len(value)+recordCost), 1
	}
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

// commit writes the batch, meta last, and syncs it.
func (b *batch) commit(db *badger.DB) error {
	w := partWriter{db: db, index: b.meta.index, done: b.partDone}
	defer w.discard()
	before := db.NewTransactionAt(b.before, false)
	defer before.Discard()
	var err error
	write := w.put
	b.writes.Scan(func(key string, value []byte) bool {
		err = b.put(write, before, []byte(key), value)
		return err == nil
	})
	if err == nil {
		err = write(metaKey, b.meta.encode(), 0)
	}
	if err != nil {
		return err
	}
	return w.end()
}

// put writes a record, and deletes the pieces that it no longer has.
func (b *batch) put(write func(key, value []byte, userMeta byte) error, before *badger.Txn, key, value []byte) error {
	var err error
	if value == nil {
		err = write(key, nil, 0)
	} else {
		err = eachPart(key, value, write)
	}
	had := b.remains[string(key)]
	if err == nil && bytes.IndexByte(b.meta.pieced, key[0]) >= 0 {
		switch item, missing := before.Get(key); {
		case missing == nil:
			had = max(had, int(item.UserMeta()))
		case !errors.Is(missing, badger.ErrKeyNotFound):
			err = missing
		}
	}
	for n := piecesOf(string(key), len(value)) + 1; n <= had && err == nil; n++ {
		err = write(pieceKey(key, n), nil, 0)
	}
	return err
}

// remains are the records of a commit that a crash cut short.
type remains struct {
	first, last uint64         // lowest and highest version of them
	pieces      map[string]int // by key: how many pieces they may have
}

// findRemains looks for records that are newer than the state. Badger skips tables without any, so
// this is quick.
func findRemains(db *badger.DB, index uint64) (r remains, err error) {
	txn := db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	opts := badger.DefaultIteratorOptions
	opts.PrefetchValues, opts.AllVersions, opts.SinceTs = false, true, index
	it := txn.NewIterator(opts)
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		item := it.Item()
		if bytes.Equal(item.Key(), metaKey) || item.Version() <= index {
			continue
		}
		key, n, piece := cutPieceKey(item.Key())
		if !piece && isRecord(item) {
			n = int(item.UserMeta())
		}
		if r.pieces == nil {
			r.pieces, r.first = make(map[string]int), item.Version()
		}
		r.pieces[string(key)] = max(r.pieces[string(key)], n)
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
