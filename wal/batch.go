package wal

import "github.com/tidwall/btree"

// batch holds what was applied since the last commit began: the changes of some entries, in order
// of key. It becomes a Badger transaction only when it is committed (or several, see split.go). So
// new entries can be applied while earlier ones are being synced.
type batch struct {
	meta   meta                      // as of the last applied entry
	writes btree.Map[string, []byte] // by key; nil: deleted
	size   int                       // roughly what writes take of a transaction, in bytes

	was    func(key []byte) (value []byte, found bool, err error) // reads a record as it was before a change
	failed error                                                  // the first error of was

	removes bool // a record

	before   uint64              // index of the previous commit
	replaced map[string]struct{} // keys whose previous values may be in blob files
	stale    []blob              // those values, as of the commit
	partDone func() error        // see pending
	partSize int64               // see pending
}

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
	if isBlob(key[0], len(was)) {
		b.replaces(key)
	}
	b.removes = b.removes || is == nil
	b.write(key, is)
}

// repeat writes a record with the value that it has, so that it is written once more.
func (b *batch) repeat(key, value []byte) {
	b.replaces(key)
	b.write(key, value)
}

func (b *batch) replaces(key []byte) {
	if b.replaced == nil {
		b.replaced = make(map[string]struct{})
	}
	b.replaced[string(key)] = struct{}{}
}

func (b *batch) write(key, value []byte) {
	if before, replaced := b.writes.Set(string(key), value); replaced {
		b.size -= len(key) + len(before) + recordCost
	}
	b.size += len(key) + len(value) + recordCost
}
