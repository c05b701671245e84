package cluster

import (
	"container/list"
	"context"
	"sync"
	"time"
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
	urgent int           // commands that are not patient
	bytes  int           // cost of all commands
	wanted int           // how many urgent commands await or gather waits for
	filled chan struct{} // there may be what await or gather waits for

	batches int // taken; these two are used by the goroutine that takes them only
	alarm   alarm
}

// flow is a sequence of commands that wait. It exists only as long as there are any.
type flow struct {
	name    string
	waiting list.List // of *proposal
	turn    *list.Element
	credit  int // what it may still send in this turn, as a cost
}

func newQueue() *queue {
	return &queue{flows: make(map[string]*flow), wanted: 1, filled: make(chan struct{}, 1), alarm: newAlarm()}
}

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
	q.add(p, 1)
	if q.wanted == 1 && q.count == 1 || !p.patient && q.urgent == q.wanted || q.isFull() {
		select {
		case q.filled <- struct{}{}:
		default:
		}
	}
}

// add counts a command that comes, with n = 1, or goes, with n = -1; mu is held.
func (q *queue) add(p *proposal, n int) {
	q.count += n
	q.bytes += n * (p.cost + commandOverhead)
	if !p.patient {
		q.urgent += n
	}
}

// isFull reports whether there is enough for a batch; mu is held.
func (q *queue) isFull() bool { return q.count >= maxBatchCommands || q.bytes >= maxBatchBytes }

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
	q.add(p, -1)
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

// await waits until there are commands, and reports whether there are any before ctx ends. Patient
// commands wait until another one comes or they have waited for patience, up to twice as long.
func (q *queue) await(ctx context.Context) bool {
	for ctx.Err() == nil {
		count, enough := q.want(1)
		if enough {
			return true
		}
		if count > 0 {
			q.alarm.set(q.batches)
		}
		select {
		case <-q.filled:
		case <-q.alarm.C:
			if q.alarm.rang(q.batches) && count > 0 {
				return true
			}
		case <-ctx.Done():
		}
	}
	return false
}

// gather waits until so many urgent commands wait, or for gatherTime.
func (q *queue) gather(ctx context.Context, urgent int) {
	late := time.NewTimer(gatherTime)
	defer late.Stop()
	for {
		if _, enough := q.want(urgent); enough {
			return
		}
		select {
		case <-q.filled:
		case <-late.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// alarm is a timer that is never stopped, only ignored: setting a timer again for each batch would
// wake a thread each time.
type alarm struct {
	*time.Timer
	isSet bool
	batch int // the number of the batch that the commands then waited for
}

func newAlarm() alarm {
	a := alarm{Timer: time.NewTimer(time.Hour)}
	a.Stop()
	return a
}

func (a *alarm) set(batch int) {
	if !a.isSet {
		a.isSet, a.batch = true, batch
		a.Reset(patience)
	}
}

// rang reports whether the commands still wait for the same batch.
func (a *alarm) rang(batch int) bool {
	a.isSet = false
	return a.batch == batch
}

// want makes filled receive a value when so many urgent commands wait. It returns how many commands
// wait already, and whether there are enough for a batch.
func (q *queue) want(urgent int) (count int, enough bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wanted = urgent
	return q.count, q.urgent >= urgent || q.isFull()
}

// take removes the commands of the next batch, up to the limits of one, and to that of their cost.
func (q *queue) take(limit int) (batch []*proposal) {
	q.mu.Lock()
	defer q.mu.Unlock()
	size := 0
	q.batches++
	for q.count > 0 && len(batch) < maxBatchCommands {
		f := q.next()
		p := f.waiting.Front().Value.(*proposal)
		if size += p.cost + commandOverhead; size > limit && len(batch) > 0 {
			break
		}
		f.credit -= max(p.cost, leastCost)
		q.drop(f, p)
		batch = append(batch, p)
	}
	return batch
}

// nextCost returns about what the next batch costs.
func (q *queue) nextCost(limit int) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count == 0 {
		return 0
	}
	return max(q.next().waiting.Front().Value.(*proposal).cost, min(q.bytes, limit))
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
