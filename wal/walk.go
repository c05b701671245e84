package wal

import (
	"bytes"

	"github.com/dgraph-io/badger/v4"
)

// walk reads records in order of key, in as many ranges as are wanted, with one iterator of Badger.
// To make an iterator takes as long as to read dozens of records. It also sees what Badger still
// holds of deleted records, so a range ends where its prefix does, and what was read can be
// counted.
type walk struct {
	txn  transaction
	it   *badger.Iterator
	low  []byte // the iterator is at the first key from here on; nil: nowhere
	end  []byte // where ranges end that reach so far; nil: at the end of their prefix
	seen int    // versions of records that the iterator has passed, deleted ones too
}

// newWalk begins to read records whose keys have this prefix.
func newWalk(txn transaction, prefix []byte) *walk {
	opts := badger.DefaultIteratorOptions
	opts.Prefix, opts.AllVersions = prefix, true
	opts.PrefetchValues = false // to fetch them ahead copies what may never be seen
	return &walk{txn: txn, it: txn.NewIterator(opts)}
}

func (w *walk) close() { w.it.Close() }

// seek calls see for each record with this prefix, beginning at from, in order. Neither key nor
// value may be kept. It ends with the first error of see, and returns it.
func (w *walk) seek(prefix, from []byte, see func(key, value []byte) error) error {
	return w.items(prefix, from, func(item *badger.Item) error {
		return w.txn.read(item, func(value []byte) error { return see(item.Key(), value) })
	})
}

// items is seek for callers that need not read all values.
func (w *walk) items(prefix, from []byte, see func(item *badger.Item) error) error {
	for w.move(from); w.it.ValidForPrefix(prefix); w.next() {
		item := w.it.Item() // the newest version of this key comes first
		if w.end != nil && bytes.Compare(item.Key(), w.end) >= 0 {
			return nil
		}
		if item.IsDeletedOrExpired() || !isRecord(item) {
			continue
		}
		if err := see(item); err != nil {
			return err
		}
	}
	return nil
}

// move goes to the first key from a key on.
func (w *walk) move(from []byte) {
	if w.low != nil && bytes.Compare(w.low, from) <= 0 && (!w.it.Valid() || bytes.Compare(from, w.it.Item().Key()) <= 0) {
		return // nothing is between
	}
	w.it.Seek(from)
	w.low = append(w.low[:0], from...)
}

// manyVersions is how many versions of a record are passed one by one. A record that is written and
// deleted again and again, as a line of a manual set may be, has thousands until Badger compacts.
const manyVersions = 16

// next goes to the next key.
func (w *walk) next() {
	key := w.it.Item().Key()
	w.low = append(append(w.low[:0], key...), 0) // what follows it
	for n := 0; w.it.Valid() && bytes.Equal(w.it.Item().Key(), w.low[:len(w.low)-1]); n++ {
		if n == manyVersions {
			w.it.Seek(w.low)
			return
		}
		w.seen++
		w.it.Next()
	}
}
