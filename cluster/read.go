package cluster

import (
	"context"
	"encoding/binary"
	"sync"

	"github.com/hashicorp/raft"
)

// Barrier returns when this node has applied everything that any node had acknowledged before the
// call, so that reads of its own store see it (the "read index" of the Raft thesis, section 6.4).
// Without a leader it waits as long as ctx allows.
func (n *Node) Barrier(ctx context.Context) error { return n.reads.barrier(ctx) }

// reads finds out how far the log is committed, for callers that want to read the store.
type reads struct {
	node *Node
	rounds
}

func (r *reads) barrier(ctx context.Context) error {
	for {
		index, err := r.join(ctx, r.index)
		if err == nil {
			return r.awaitApplied(ctx, index)
		}
		if ctx.Err() != nil {
			return r.node.givenUp(ctx)
		}
		if err := r.node.awaitLeader(ctx); err != nil {
			return err
		}
	}
}

// index asks the current leader how far the log is committed.
func (r *reads) index() (uint64, error) {
	n := r.node
	if n.raft.State() == raft.Leader {
		return r.leaderIndex()
	}
	address, _ := n.raft.LeaderWithID()
	if address == "" {
		return 0, errNotTaken
	}
	response, _, err := n.peers.call(address, callIndex, nil, callTimeout)
	if err != nil {
		return 0, err
	}
	if len(response) != 9 || response[0] != outcomeOK {
		return 0, errNotTaken
	}
	return binary.BigEndian.Uint64(response[1:]), nil
}

// leaderIndex returns how far this node has applied the log, if it still leads and has applied
// everything from earlier terms. A leader has applied everything that it has acknowledged.
func (r *reads) leaderIndex() (uint64, error) {
	n := r.node
	if !n.leading.ready.Load() {
		return 0, errNotTaken
	}
	index, _ := n.fsm.progress()
	return index, n.await(n.raft.VerifyLeader()) // which returns at the latest when the lease ends
}

// awaitApplied returns when the state machine of this node has applied index.
func (r *reads) awaitApplied(ctx context.Context, index uint64) error {
	n := r.node
	for {
		applied, moved := n.fsm.progress()
		if applied >= index {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return n.givenUp(ctx)
		case <-n.ctx.Done():
			return ErrNoLeader
		}
	}
}

// rounds lets many callers share one question. A response is valid only for callers that arrived
// before the question was asked, so callers that arrive later share the next one.
type rounds struct {
	mu      sync.Mutex
	current *round // in progress
	next    *round // waits for current to end
	closed  bool
	wg      sync.WaitGroup
}

type round struct {
	done  chan struct{}
	index uint64
	err   error
}

func (r *rounds) join(ctx context.Context, ask func() (uint64, error)) (uint64, error) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return 0, ErrNoLeader
	}
	mine := r.next
	if mine == nil {
		mine = &round{done: make(chan struct{})}
		before := r.current
		if before == nil {
			r.current = mine
		} else {
			r.next = mine
		}
		r.wg.Go(func() { r.put(mine, before, ask) })
	}
	r.mu.Unlock()
	select {
	case <-mine.done:
		return mine.index, mine.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// put asks the question after the previous round has ended.
func (r *rounds) put(mine, before *round, ask func() (uint64, error)) {
	if before != nil {
		<-before.done
		r.mu.Lock()
		r.current, r.next = mine, nil
		r.mu.Unlock()
	}
	mine.index, mine.err = ask()
	r.mu.Lock()
	if r.next == nil {
		r.current = nil
	}
	r.mu.Unlock()
	close(mine.done)
}

// close refuses further questions and waits for those in progress.
func (r *rounds) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.wg.Wait()
}
