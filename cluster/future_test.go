package cluster

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hookwheel/systemtest/wait"
)

// TestCloseDuringRequests: Raft leaves requests unanswered that reach it while it stops, and Close
// does not wait for them.
func TestCloseDuringRequests(t *testing.T) {
	m := startMembers(t, 1)[0]
	for range 15 {
		readyLeader(t, []*member{m})
		ctx, cancel := context.WithCancel(t.Context())
		var callers sync.WaitGroup
		var made atomic.Int64
		for i := range 32 {
			callers.Go(func() {
				for ctx.Err() == nil {
					if i%2 == 0 {
						_, _ = m.Propose(ctx, []byte("more"))
					} else {
						_ = m.Barrier(ctx)
					}
					made.Add(1)
				}
			})
		}
		wait.For(t, "requests are made", func() bool { return made.Load() > 0 })
		closed := make(chan error, 1)
		go func() { closed <- m.Close() }()
		select {
		case err := <-closed:
			must(t, err)
		case <-time.After(30 * time.Second):
			t.Fatal("Close still waits for a request that Raft will not answer")
		}
		cancel()
		callers.Wait()
		m.start(t)
	}
}
