package raftlog

import (
	"bytes"
	"errors"
	"testing"

	"github.com/hashicorp/raft"
)

// TestCache keeps the newest entries within both bounds, and never one that the log has no more.
func TestCache(t *testing.T) {
	store := raft.NewInmemStore()
	c := NewCache(store)
	next := uint64(1)
	write := func(count, size int) {
		t.Helper()
		for range count {
			if err := c.StoreLog(&raft.Log{Index: next, Data: bytes.Repeat([]byte{byte(next)}, size)}); err != nil {
				t.Fatal(err)
			}
			next++
		}
	}
	expect := func(first uint64) {
		t.Helper()
		if c.first != first || c.next != next {
			t.Errorf("%d to %d are cached, want %d to %d", c.first, c.next, first, next)
		}
		sum := 0
		for _, entry := range c.entries {
			if entry != nil {
				sum += entryBytes(entry)
			}
		}
		if sum != c.bytes || sum > cachedBytes {
			t.Errorf("%d bytes are cached, and %d counted", sum, c.bytes)
		}
		for index := uint64(1); index < next; index++ {
			var got, want raft.Log
			err, wantErr := c.GetLog(index, &got), store.GetLog(index, &want)
			if !errors.Is(err, wantErr) || got.Index != want.Index || !bytes.Equal(got.Data, want.Data) {
				t.Errorf("entry %d: %v, want %v", index, err, wantErr)
			}
		}
	}
	write(10, 100)
	expect(1)
	write(cachedEntries, 100)
	expect(next - cachedEntries)
	write(40, 1<<20)
	expect(next - cachedBytes>>20)
	write(1, cachedBytes+1) // too large for the cache
	expect(next)
	write(3, 100)
	expect(next - 3)
	if err := c.DeleteRange(next-2, next-1); err != nil { // by a new leader
		t.Fatal(err)
	}
	next -= 2
	write(1, 200)
	expect(next - 1)
	if err := c.DeleteRange(1, next-1); err != nil {
		t.Fatal(err)
	}
	next += 1000 // after a snapshot
	write(2, 100)
	expect(next - 2)
}
