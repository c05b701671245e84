package wal

import (
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"
)

// Badger takes no value above 16 MiB, and keeps one from 1 MiB on in a file of its own, whose space it hardly ever gives back. So a
// longer value is stored in pieces: the record itself has the first, and says in its user meta how many more there are; each
// of these is a record of its own, directly behind, whose key has one byte more. Readers see whole records only.
//
// A piece fits into a block of a table, because Badger takes three times the memory for a block that an entry does not fit into while
// it builds a table, and keeps that memory for the next ones.
const (
	blockSize  = 32 << 10
	pieceSize  = blockSize - 1<<10 // leaves room for the key, and for what Badger adds to a block
	largePiece = 512 << 10         // of a record that is longer than any small pieces can hold
	maxPieces  = 254               // behind the first: 127 MiB of large ones
	isPiece    = 0xff              // user meta of a piece
)

var errPieceLost = errors.New("wal: a record lacks a piece")

// pieceKey is where piece n of a record is stored, from 1 on.
func pieceKey(key []byte, n int) []byte { return append(slices.Clone(key), byte(n)) }

// cutPieceKey takes such a key apart. Only kinds whose keys all have one length are stored in pieces.
func cutPieceKey(key []byte) (record []byte, n int, piece bool) {
	last := len(key) - 1
	if size := keySizes[key[0]]; size <= 0 || len(key) != size+1 {
		return key, 0, false
	}
	return key[:last], int(key[last]), true
}

// inPieces reports whether a record with this key and a value of that size is stored in pieces.
func inPieces(key string, size int) bool { return size > pieceSize && keySizes[key[0]] > 0 }

// piecesOf is how many pieces a record has beside the first.
func piecesOf(key string, size int) int {
	if !inPieces(key, size) {
		return 0
	}
	return (size - 1) / pieceLength(size)
}

// pieceLength is the length of the pieces, except for the last, of a value of that size.
func pieceLength(size int) int {
	if size > (maxPieces+1)*pieceSize {
		return largePiece
	}
	return pieceSize
}

// eachPart calls put with what Badger is to store for a record: itself, or piece by piece.
func eachPart(key, value []byte, put func(key, value []byte, userMeta byte) error) error {
	more := piecesOf(string(key), len(value))
	if more == 0 {
		return put(key, value, 0)
	}
	if more > maxPieces {
		return fmt.Errorf("wal: a record of %d bytes is longer than any can be", len(value))
	}
	length := pieceLength(len(value))
	if err := put(key, value[:length], byte(more)); err != nil {
		return err
	}
	for n := 1; n <= more; n++ {
		if err := put(pieceKey(key, n), value[n*length:min(len(value), (n+1)*length)], isPiece); err != nil {
			return err
		}
	}
	return nil
}

// isRecord reports whether an iterator is at a record rather than at a piece of one.
func isRecord(item *badger.Item) bool { return item.UserMeta() != isPiece }

// readRecord calls see with the whole value of a record, which must not be kept or changed.
func readRecord(txn *badger.Txn, item *badger.Item, see func(value []byte) error) error {
	if item.UserMeta() == 0 {
		return item.Value(see)
	}
	value, err := copyRecord(txn, item)
	if err != nil {
		return err
	}
	return see(value)
}

// copyRecord is a copy of the whole value of a record.
func copyRecord(txn *badger.Txn, item *badger.Item) (value []byte, err error) {
	more := int(item.UserMeta())
	if more == 0 {
		err = item.Value(func(v []byte) error { value = append([]byte{}, v...); return nil })
		return value, err
	}
	value = make([]byte, 0, (more+1)*int(item.ValueSize()))
	add := func(v []byte) error { value = append(value, v...); return nil }
	err = item.Value(add)
	for n := 1; n <= more && err == nil; n++ {
		var piece *badger.Item
		if piece, err = txn.Get(pieceKey(item.Key(), n)); errors.Is(err, badger.ErrKeyNotFound) {
			err = errPieceLost
		}
		if err == nil {
			err = piece.Value(add)
		}
	}
	return value, err
}

// recordSize is the size of the whole value of a record.
func recordSize(txn *badger.Txn, item *badger.Item) (size int64, err error) {
	more := int(item.UserMeta())
	if more == 0 {
		return item.ValueSize(), nil
	}
	last, err := txn.Get(pieceKey(item.Key(), more))
	if err != nil {
		return 0, err
	}
	return int64(more)*item.ValueSize() + last.ValueSize(), nil
}

// getRecord reads one record; found is false if there is none.
func getRecord(txn *badger.Txn, key []byte) (value []byte, found bool, err error) {
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	value, err = copyRecord(txn, item)
	return value, err == nil, err
}
