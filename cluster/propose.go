package cluster

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// ErrNoLeader means that no leader answered within the caller's time. The command may still be
// applied later, but at most once.
var ErrNoLeader = errors.New("the cluster has no leader at the moment")

// leaderPoll is how often a waiting caller checks for a leader.
const leaderPoll = 10 * time.Millisecond

// requestIDs generates request ids: random bytes for the process, then a counter.
type requestIDs struct {
	process [8]byte
	count   atomic.Uint64
}

func newRequestIDs() *requestIDs {
	r := new(requestIDs)
	rand.Read(r.process[:]) // never fails
	return r
}

func (r *requestIDs) next() (id [16]byte) {
	copy(id[:], r.process[:])
	binary.BigEndian.PutUint64(id[8:], r.count.Add(1))
	return id
}

// undelayed is the key of a context made by WithoutDelay.
type undelayed struct{}

// WithoutDelay returns a context with which Propose returns at once, whatever Config.Throttle says,
// for callers that have waited long enough.
func WithoutDelay(ctx context.Context) context.Context {
	return context.WithValue(ctx, undelayed{}, true)
}

// Propose replicates and applies a command through the current leader, and returns the reply of the
// state machine. It waits for a leader as long as ctx allows, and applies the command at most once,
// however many leaders are lost.
func (n *Node) Propose(ctx context.Context, body []byte) ([]byte, error) {
	if len(body) > maxCommand {
		return nil, fmt.Errorf("cluster: a command has %d bytes, more than the limit of %d", len(body), maxCommand)
	}
	command := Command{Request: n.requests.next(), Body: body}
	floor := n.config.Machine.Applied() + 1 // no try of this request can be at an earlier index
	for {
		reply, err := n.try(ctx, &proposal{command: command})
		switch {
		case err == nil:
			return reply, nil
		case errors.Is(err, errUnknown):
			command.Since = floor
		case !errors.Is(err, errNotTaken):
			return nil, err
		}
		if err := n.awaitLeader(ctx); err != nil {
			return nil, err
		}
	}
}

// try sends a proposal through the batcher once. An error other than errNotTaken and errUnknown is
// final.
func (n *Node) try(ctx context.Context, p *proposal) ([]byte, error) {
	if n.ctx.Err() != nil {
		return nil, ErrNoLeader
	}
	queue := n.enqueue(p, "")
	defer queue.remove(p)
	select {
	case <-p.done:
		if p.delay > 0 && ctx.Value(undelayed{}) == nil {
			pause(ctx, p.delay)
		}
		return p.reply, p.err
	case <-ctx.Done():
		return nil, n.givenUp(ctx)
	case <-n.stopped:
		return nil, ErrNoLeader
	}
}

// delayAfter returns how long the caller of an applied command has to wait.
func (n *Node) delayAfter(p *proposal) time.Duration {
	if n.config.Throttle == nil {
		return 0
	}
	delay := n.config.Throttle(p.command.Body)
	if delay > 0 {
		n.metrics.throttledCommands.Inc()
	}
	return delay
}

// enqueue makes a proposal wait for a batch. The caller must remove it from the queue on giving up.
// Commands that another node forwards are flows of their own: it waits for all of a batch, so none
// of them may wait for the many that came to this node.
func (n *Node) enqueue(p *proposal, from string) *queue {
	p.cost, p.flow = n.config.Machine.Cost(p.command.Body), from+"/"+n.config.Machine.Flow(p.command.Body)
	p.patient = p.cost <= largeCommand && n.config.Machine.IsPatient(p.command.Body)
	p.done = make(chan struct{})
	queue := n.batches.queue(p)
	queue.push(p)
	return queue
}

func (n *Node) givenUp(ctx context.Context) error {
	return fmt.Errorf("%w: %w", ErrNoLeader, context.Cause(ctx))
}

// awaitLeader returns when this node knows a leader, at the earliest after leaderPoll.
func (n *Node) awaitLeader(ctx context.Context) error {
	for {
		select {
		case <-time.After(leaderPoll):
		case <-ctx.Done():
			return n.givenUp(ctx)
		case <-n.ctx.Done():
			return ErrNoLeader
		}
		if address, _ := n.raft.LeaderWithID(); address != "" {
			return nil
		}
	}
}

// commit appends a batch to the log on the leader, and sends it to the leader elsewhere.
func (n *Node) commit(batch []*proposal) {
	if n.raft.State() == raft.Leader {
		n.append(batch)
		return
	}
	own := batch[:0]
	for _, p := range batch {
		if p.forwarded {
			p.finish(nil, errNotTaken)
		} else {
			own = append(own, p)
		}
	}
	if len(own) > 0 {
		n.forward(own)
	}
}

// append appends the batch as one entry and waits until it is applied.
func (n *Node) append(batch []*proposal) {
	batch = n.admit(batch)
	if len(batch) == 0 {
		return
	}
	n.clock.await(n.ctx)
	start := time.Now()
	future := n.raft.Apply(encodeEntry(n.Now().UnixMilli(), batch), time.Second)
	if err := n.await(future); err != nil {
		finishAll(batch, outcomeOf(err))
		return
	}
	n.metrics.commitSeconds.Observe(time.Since(start).Seconds())
	n.metrics.batchCommands.Observe(float64(len(batch)))
	replies, ok := future.Response().([][]byte)
	if !ok || len(replies) != len(batch) { // the state machine failed, and the process is about to end
		finishAll(batch, errUnknown)
		return
	}
	for i, p := range batch {
		p.delay = n.delayAfter(p)
		p.finish(replies[i], nil)
	}
}

// admit asks the state machine.
func (n *Node) admit(batch []*proposal) []*proposal {
	admitted := batch[:0]
	full := n.members.full()
	for _, p := range batch {
		if reply := n.config.Machine.Admit(p.command.Body, full, p.command.Since > 0); reply != nil {
			p.finish(reply, nil)
		} else {
			admitted = append(admitted, p)
		}
	}
	return admitted
}

// outcomeOf returns what an error of raft.Apply means for the command.
func outcomeOf(err error) error {
	switch {
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrLeadershipTransferInProgress), errors.Is(err, raft.ErrEnqueueTimeout):
		return errNotTaken
	default:
		return errUnknown
	}
}
