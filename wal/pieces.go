package wal

import (
	"errors"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"
)

// Badger rejects values above 16 MiB. From 1 MiB on it stores them in files of their own, whose
// space it hardly ever frees. So longer values are stored in pieces. The record itself has the
// first piece, and its user meta says how many more there are. Each of those is a record directly
// behind it, with one more byte in its key. Readers see whole records only.
//
// A piece fits into a block of a table. For an entry that does not fit into a block, Badger takes
// three times the memory of the entry while it builds a table, and keeps that memory for the next
// tables.
const (
	blockSize  = 32 << 10
	pieceSize  = blockSize - 1<<10 // leaves room for the key, and for what Badger adds to a block
	largePiece = 512 << 10         // for records that small pieces cannot hold
	maxPieces  = 254               // behind the first: 127 MiB of large ones
	isPiece    = 0xff              // user meta of a piece
)

var errPieceLost = errors.New("wal: a record lacks a piece")

// pieceKey returns the key of piece n of a record, from 1 on.
func pieceKey(key []byte, n int) []byte { return append(slices.Clone(key), byte(n)) }

// cutPieceKey splits the key of a piece. Only kinds whose keys all have one length are stored in
// pieces.
func cutPieceKey(key []byte) (record []byte, n int, piece bool) {
	last := len(key) - 1
	if size := recordKinds[key[0]].size; size <= 0 || len(key) != size+1 {
		return key, 0, false
	}
	return key[:last], int(key[last]), true
}

// inPieces reports whether a record with this key and a value of this size is stored in pieces.
func inPieces(key string, size int) bool { return size > pieceSize && recordKinds[key[0]].size > 0 }

// piecesOf returns how many pieces a record has in addition to the first.
func piecesOf(key string, size int) int {
	if !inPieces(key, size) {
		return 0
	}
	return (size - 1) / pieceLength(size)
}

// pieceLength returns the length of all pieces but the last for a value of this size.
func pieceLength(size int) int {
	if size > (maxPieces+1)*pieceSize {
		return largePiece
	}
	return pieceSize
}

// eachPart calls put with what Badger stores for a record: the record itself, or each of its
// pieces.
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

// copyRecord returns a copy of the whole value of a record.
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

// recordSize returns the size of the whole value of a record.
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

// getRecord reads one record, and reports whether it exists.
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
