package wal

import (
	"runtime"
	"testing"

	"hookwheel/systemtest/memdir"
)

// A large entry waits for the commit in progress before it is in the log, a small one does not.
func TestReady(t *testing.T) {
	s := closing(t, openTest(t, memdir.New(t)))
	room := int(s.db.MaxBatchSize()) / 2
	s.Ready(room) // nothing is being committed
	commit := func(b *batch) {
		s.pending.Lock()
		defer s.pending.Unlock()
		s.pending.committing = b
		s.pending.commitDone.Broadcast()
	}
	commit(&batch{})
	s.Ready(room / 4)
	ready := make(chan struct{})
	go func() {
		s.Ready(room)
		close(ready)
	}()
	for range 100 {
		runtime.Gosched()
		select {
		case <-ready:
			t.Fatal("it does not wait")
		default:
		}
	}
	commit(nil)
	<-ready
}
