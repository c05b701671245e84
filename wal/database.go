package wal

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"sync"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/wal/badgerfiles"
	"hookwheel/wal/blobfiles"
)

// A value of 1 KiB or more is in a blob file if its kind says so. Badger then has a reference to
// it, with isReference as user meta.
const (
	minBlob     = 1 << 10 // bytes
	isReference = 1       // user meta of a record whose value is in a blob file
	isLocal     = 0xff    // user meta of what this node alone keeps in Badger: no record of the state
	blobFolder  = "blobs"
)

// endKey is the key of the local entry that has the blobfiles.End as of a commit. Each commit
// writes it, in one transaction with meta. It follows all records.
var endKey = []byte{'~'}

// database is a Badger database with the blob files beside it.
type database struct {
	*badger.DB
	blobs *blobfiles.Files
	waste waste
}

// withBlobs opens the blob files of a Badger database.
func withBlobs(db *badger.DB) (*database, error) {
	dir := db.Opts().Dir
	end, err := endOfBlobs(db)
	if err = badgerfiles.Damaged(dir, err); errors.Is(err, badgerfiles.ErrDamaged) {
		err = errors.Join(err, badgerfiles.Mark(dir, err)) // Badger is at work, and may drop what is damaged
	}
	if err != nil {
		return nil, err
	}
	blobs, err := blobfiles.Open(filepath.Join(dir, blobFolder), end, noSync)
	if err != nil {
		return nil, err
	}
	return &database{DB: db, blobs: blobs}, nil
}

// endOfBlobs returns where the blob files end as of the last commit. What is behind that is cut
// off, so an end that is missing or old because a block of Badger's is damaged is an error.
func endOfBlobs(db *badger.DB) (end blobfiles.End, err error) {
	defer func() {
		if fault := recover(); fault != nil { // Badger's, at a damaged block
			err = fmt.Errorf("%w: where they end can't be read: %v", blobfiles.ErrDamaged, fault)
		}
	}()
	txn := db.NewTransactionAt(math.MaxUint64, false)
	defer txn.Discard()
	meta, err := txn.Get(metaKey)
	isNew := errors.Is(err, badger.ErrKeyNotFound)
	if err != nil && !isNew {
		return end, err
	}
	item, err := txn.Get(endKey)
	switch {
	case errors.Is(err, badger.ErrKeyNotFound) && isNew && len(db.Tables()) == 0:
		return end, nil // a crash may have cut short the first commit
	case errors.Is(err, badger.ErrKeyNotFound):
		return end, fmt.Errorf("%w: where they end is not known", blobfiles.ErrDamaged)
	case err != nil:
		return end, err
	case !isNew && item.Version() < meta.Version():
		return end, fmt.Errorf("%w: where they end is known for entry %d instead of %d", blobfiles.ErrDamaged, item.Version(), meta.Version())
	}
	err = item.Value(func(value []byte) (err error) { end, err = blobfiles.DecodeEnd(value); return err })
	return end, err
}

// Close closes Badger and the blob files.
func (d *database) Close() error { return errors.Join(d.DB.Close(), d.blobs.Close()) }

// transaction reads a database as of one index.
type transaction struct {
	*badger.Txn
	blobs *blobfiles.Files
	step  func(bytes int) // see Reader.Paced; may be nil
}

// at begins to read the database as of an index.
func (d *database) at(index uint64) transaction {
	return transaction{Txn: d.NewTransactionAt(index, false), blobs: d.blobs}
}

// paced is called when a value of this size was read.
func (t transaction) paced(bytes int) {
	if t.step != nil {
		t.step(bytes)
	}
}

// newestState begins to read the last committed state. There may be records of a later one, from a
// commit that a crash cut short: see split.go.
func newestState(db *database) (txn transaction, state meta, err error) {
	newest := db.at(math.MaxUint64)
	defer newest.Discard()
	item, err := newest.Get(metaKey)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return db.at(0), state, nil
	}
	if err == nil {
		err = item.Value(state.decode)
	}
	if err != nil {
		return txn, state, err
	}
	return db.at(item.Version()), state, nil
}

// isRecord reports whether an iterator is at a record of the state.
func isRecord(item *badger.Item) bool { return item.UserMeta() != isLocal }

// isBlob reports whether a record of this kind has a value of this size in a blob file.
func isBlob(kind byte, size int) bool { return size >= minBlob && recordKinds[kind].large }

// reference returns where the value of a record is, and reports whether it is in a blob file.
func reference(item *badger.Item) (ref blobfiles.Ref, blob bool, err error) {
	if item.UserMeta() != isReference {
		return ref, false, nil
	}
	err = item.Value(func(value []byte) (err error) { ref, err = blobfiles.DecodeRef(value); return err })
	return ref, true, err
}

// valueSize returns the size of the value of a record.
func valueSize(item *badger.Item) (int64, error) {
	ref, blob, err := reference(item)
	if !blob {
		return item.ValueSize(), nil
	}
	return int64(ref.Size), err
}

// spaces are buffers to read values into.
var spaces = sync.Pool{New: func() any { return new([]byte) }}

// maxSpace is how large a buffer is kept.
const maxSpace = 1<<20 + 64<<10

// read calls see with the value of a record, which must not be kept or changed.
func (t transaction) read(item *badger.Item, see func(value []byte) error) error {
	ref, blob, err := reference(item)
	if err != nil {
		return err
	}
	if !blob {
		err = item.Value(see)
		t.paced(int(item.ValueSize()))
		return err
	}
	space := spaces.Get().(*[]byte)
	value, err := t.blobs.Read(ref, item.Key(), *space)
	if err == nil {
		err = see(value)
	}
	size := len(value)
	if cap(value) > cap(*space) && cap(value) <= maxSpace {
		*space = value[:0]
	}
	spaces.Put(space)
	t.paced(size)
	return err
}

// copy returns a copy of the value of a record.
func (t transaction) copy(item *badger.Item) (value []byte, err error) {
	ref, blob, err := reference(item)
	if err != nil {
		return nil, err
	}
	if blob {
		value, err = t.blobs.Read(ref, item.Key(), nil)
	} else {
		err = item.Value(func(v []byte) error { value = append([]byte{}, v...); return nil })
	}
	t.paced(len(value))
	return value, err
}

// record returns the value of a record, and reports whether it exists.
func (t transaction) record(key []byte) (value []byte, found bool, err error) {
	item, err := t.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		t.paced(0)
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	value, err = t.copy(item)
	return value, err == nil, err
}

// saver writes values to blob files as records are written to Badger. All values are durable before
// the first record is written.
type saver struct {
	blobs *blobfiles.Files
	refs  []byte // encoded, in the order in which they were saved
}

// save saves the value of a record if it belongs into a blob file.
func (s *saver) save(key string, value []byte) error {
	if !isBlob(key[0], len(value)) {
		return nil
	}
	ref, err := s.blobs.Add([]byte(key), value)
	s.refs = ref.Append(s.refs)
	return err
}

// entry returns what Badger holds of the next record, which must come in the same order.
func (s *saver) entry(key string, value []byte) (stored []byte, userMeta byte) {
	if !isBlob(key[0], len(value)) {
		return value, 0
	}
	stored, s.refs = s.refs[:blobfiles.RefSize:blobfiles.RefSize], s.refs[blobfiles.RefSize:]
	return stored, isReference
}

// sync makes what was saved durable, and returns the value of endKey.
func (s *saver) sync() (end []byte, err error) {
	at, err := s.blobs.Sync()
	return at.Append(nil), err
}
