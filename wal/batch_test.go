package wal

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"hookwheel/systemtest/memdir"
)

// Entries that are applied while others are being committed see all that was applied before them,
// whether it is in memory, on its way to the disk, or there: the state and the replies are those of
// a store that commits when it is told to.
func TestApplyDuringCommits(t *testing.T) {
	c := newScript(t, 7, 400)
	calm, busy := closing(t, openTest(t, memdir.New(t))), closing(t, openTest(t, memdir.New(t)))
	end := make(chan struct{})
	var commits sync.WaitGroup
	commits.Go(func() {
		for {
			select {
			case <-end:
				return
			default:
			}
			if err := busy.Commit(); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for i := range c.entries {
		want, got := applyEntry(t, calm, c.entries, i), applyEntry(t, busy, c.entries, i)
		for j := range want {
			if !bytes.Equal(want[j], got[j]) {
				t.Errorf("entry %d, command %d: other replies", i+1, j)
			}
		}
	}
	close(end)
	commits.Wait()
	if !bytes.Equal(content(t, calm), content(t, busy)) {
		t.Error("the stores differ")
	}
}

// seek merges what is in memory, being committed, and on disk.
func TestSeekMergesLayers(t *testing.T) {
	s := closing(t, openTest(t, memdir.New(t)))
	tolerate(t, "")
	set := func(keys, value string) {
		for _, key := range keys {
			s.pending.staged.set([]byte("x"+string(key)), []byte(value))
		}
	}
	s.pending.Lock()
	defer s.pending.Unlock()
	set("bdfhj", "disk")
	s.pending.staged.meta.index, s.pending.staged.meta.term = 1, 1
	if err := s.pending.commit(); err != nil {
		t.Fatal(err)
	}
	set("cd", "way")
	s.pending.staged.delete([]byte("xh"))
	s.pending.committing = new(s.pending.staged)
	s.pending.staged = s.pending.newBatch(s.pending.staged.meta)
	set("ah", "memory")
	s.pending.staged.delete([]byte("xb"))
	s.pending.staged.delete([]byte("xc"))
	read := func(from string, limit int) (got string) {
		err := s.pending.seek([]byte("x"), []byte(from), func(key, value []byte) error {
			got += string(key[1:]) + "=" + string(value) + " "
			if limit--; limit == 0 {
				return errStop
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		return got
	}
	for _, test := range []struct {
		from  string
		limit int
		want  string
	}{
		{"x", 99, "a=memory d=way f=disk h=memory j=disk "},
		{"xb", 99, "d=way f=disk h=memory j=disk "},
		{"xe", 2, "f=disk h=memory "},
		{"x", 1, "a=memory "},
		{"xk", 9, ""},
	} {
		if got := read(test.from, test.limit); got != test.want {
			t.Errorf("%d from %s: %s, want %s", test.limit, test.from, got, test.want)
		}
	}
	s.pending.committing, s.pending.staged = nil, s.pending.newBatch(s.pending.staged.meta)
}

// An entry that does not fit into a batch does not wait for the commit of the batch: a commit of
// megabytes would delay all small entries behind it.
func TestBeginDoesNotAwaitCommit(t *testing.T) {
	s := closing(t, openTest(t, memdir.New(t)))
	tolerate(t, "")
	begun := make(chan struct{})
	s.pending.Lock()
	s.pending.awaitCommit()
	s.pending.partDone = func() error {
		select {
		case <-begun:
		case <-time.After(time.Minute):
			t.Error("begin waits for the commit")
		}
		return nil
	}
	for key := range 5 { // several transactions
		s.pending.staged.set([]byte{'x', byte(key)}, make([]byte, 1<<20))
	}
	s.pending.staged.meta.index, s.pending.staged.meta.term = 1, 1
	err := s.pending.begin(1 << 20)
	close(begun)
	s.pending.Unlock()
	if err != nil {
		t.Error(err)
	}
}
