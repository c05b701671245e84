package wal

import (
	"bytes"
	"testing"
)

// TestPieces cuts records into pieces that fit into a block of a table, and those that are too long
// for that into large ones.
func TestPieces(t *testing.T) {
	key := chunkKey(keyLog, goldenApp, idAt(1, 0))
	const longest = (maxPieces + 1) * pieceSize
	for _, size := range []int{0, pieceSize, pieceSize + 1, longest, longest + 1, (maxPieces + 1) * largePiece} {
		value := bytes.Repeat([]byte{'v'}, size)
		limit := pieceSize
		if size > longest {
			limit = largePiece
		}
		whole, count := 0, 0
		err := eachPart(key, value, func(_, part []byte, _ byte) error {
			if len(part) > limit {
				t.Errorf("%d bytes: a piece has %d, want at most %d", size, len(part), limit)
			}
			whole, count = whole+len(part), count+1
			return nil
		})
		if err != nil || whole != size || count != piecesOf(string(key), size)+1 {
			t.Errorf("%d bytes are cut into %d pieces of %d bytes together: %v", size, count, whole, err)
		}
	}
	err := eachPart(key, make([]byte, (maxPieces+1)*largePiece+1), func(_, _ []byte, _ byte) error { return nil })
	if err == nil {
		t.Error("a record longer than all pieces together is taken")
	}
}
