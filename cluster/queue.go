package cluster

import (
	"container/list"
	"context"
	"sync"
)

// A flow whose turn it is may send flowShare of a batch. A command counts with at least leastCost,
// as the number of commands in a batch is limited too.
const (
	flowShare = maxBatchBytes / 4
	leastCost = maxBatchBytes / maxBatchCommands
)

// queue holds commands that wait for a batch. Flows take turns, so that one with many commands does
// not delay those of the others; within a flow, the order is kept. It has no limit of its own: each
// command has a caller that waits for it, and removes it if it gives up. What callers of this node
// may have in flight is limited by package httpapi, and what other nodes forward by callBudget.
type queue struct {
	mu     sync.Mutex
	flows  map[string]*flow
	turns  list.List // of the flows, first the one whose turn it is
	count  int
	filled chan struct{} // there may be commands
}

// flow is a sequence of commands that wait. It exists only as long as there are any.
type flow struct {
	name    string
	waiting list.List // of *proposal
	turn    *list.Element
	credit  int // what it may still send in this turn, as a cost
}

func newQueue() *queue { return &queue{flows: make(map[string]*flow), filled: make(chan struct{}, 1)} }

func (q *queue) push(p *proposal) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f := q.flows[p.flow]
	if f == nil {
		f = &flow{name: p.flow}
		f.turn = q.turns.PushBack(f)
		q.flows[p.flow] = f
	}
	p.place = f.waiting.PushBack(p)
	q.count++
	select {
	case q.filled <- struct{}{}:
	default:
	}
}

// remove removes a command unless it has been taken.
func (q *queue) remove(p *proposal) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if p.place != nil {
		q.drop(q.flows[p.flow], p)
	}
}

// drop is called with mu held.
func (q *queue) drop(f *flow, p *proposal) {
	f.waiting.Remove(p.place)
	p.place = nil
	q.count--
	if f.waiting.Len() == 0 {
		q.turns.Remove(f.turn)
		delete(q.flows, f.name)
	}
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count
}

// await waits until there are commands, and reports whether there were any before ctx ended.
func (q *queue) await(ctx context.Context) bool {
	for ctx.Err() == nil {
		if q.len() > 0 {
			return true
		}
		select {
		case <-q.filled:
		case <-ctx.Done():
		}
	}
	return false
}

// take removes the commands of the next batch, up to the limits of one.
func (q *queue) take() (batch []*proposal) {
	q.mu.Lock()
	defer q.mu.Unlock()
	size := 0
	for q.count > 0 && len(batch) < maxBatchCommands {
		f := q.next()
		p := f.waiting.Front().Value.(*proposal)
		if size += p.cost + commandOverhead; size > maxBatchBytes && len(batch) > 0 {
			break
		}
		f.credit -= max(p.cost, leastCost)
		q.drop(f, p)
		batch = append(batch, p)
	}
	return batch
}

// next returns the flow whose turn it is: one that has saved enough for its first command.
func (q *queue) next() *flow {
	for {
		f := q.turns.Front().Value.(*flow)
		if max(f.waiting.Front().Value.(*proposal).cost, leastCost) <= f.credit {
			return f
		}
		f.credit += flowShare
		q.turns.MoveToBack(f.turn)
	}
}
