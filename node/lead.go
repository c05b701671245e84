package node

import (
	"context"
	"sync"
	"time"

	"hookwheel/delivery"
	"hookwheel/scheduler"
	"hookwheel/wal"
	"hookwheel/webhook"
)

// lead delivers, from where the leader before stood, while this node leads.
func (n *Node) lead(ctx context.Context, term uint64) {
	select {
	case <-n.opened:
	case <-ctx.Done():
		return
	}
	leader := n.writer.Leader(term)
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() { n.retain(ctx) })
	beside.Go(func() { n.shrink(ctx) })
	beside.Go(func() { n.sweep(ctx) })
	if n.backups != nil {
		beside.Go(func() { n.backups.lead(ctx) })
	}
	for pause := redeliverPause; ; pause = min(2*pause, maxRedeliverPause) {
		begin := time.Now()
		err := n.deliver(ctx, leader)
		if ctx.Err() != nil {
			if err != nil {
				n.log.Warn("attempts could not be recorded; the next leader makes them again", "error", err)
			}
			return
		}
		if time.Since(begin) > maxRedeliverPause {
			pause = redeliverPause
		}
		n.log.Error("attempts could not be recorded; delivery begins again, and makes them again", "after", pause, "error", err)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// A leader that can't record attempts delivers again after a pause, which doubles if that happens
// again soon: what is not recorded is sent again each time.
const (
	redeliverPause    = time.Second
	maxRedeliverPause = time.Minute
)

// deliver delivers until ctx ends, or until an attempt can't be recorded.
func (n *Node) deliver(ctx context.Context, leader *wal.Leader) error {
	ctx, stop := context.WithCancel(ctx)
	changes := newChangeQueue()
	index := n.store.Watch(changes.put)
	defer n.store.Watch(nil)
	config := &n.config.Delivery
	s := scheduler.New(n.store.Deliveries(), index, scheduler.Config{Workers: config.Workers, PerEndpoint: config.PerEndpoint, Timeout: config.Timeout,
		Clock: n.cluster.Now, Retry: config.Retry, Breaker: config.Breaker}, n.log)
	replayer := delivery.NewReplayer(n.store, leader, n.log)
	s.Apply(webhook.Changes{Applications: n.store.LimitedApplications(), Endpoints: n.store.AllEndpoints()})
	changes.passTo(func(c webhook.Changes) {
		s.Apply(c)
		n.pool.Revoke(c, s)
		if c.Tasks {
			replayer.Wake()
		}
	})
	n.leading.Store(s)
	defer n.leading.Store(nil)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer stop()
	beside.Go(func() { replayer.Run(ctx) })
	return n.pool.Run(ctx, recorder{leader, n.store.Gate()}, s)
}

// throttle returns how long whoever has made a command waits for the reply.
func (n *Node) throttle(command []byte) time.Duration {
	app, messages := wal.PostedTo(command)
	s := n.leading.Load()
	if messages == 0 || s == nil {
		return 0
	}
	return s.Throttle(app, messages, n.cpu.isShort(time.Now()))
}

// maxQueuedChanges is how many entries may be applied, at most, while a new leader makes its
// lanes.
const maxQueuedChanges = 256

// changeQueue keeps the changes of a store until there is someone to take them. So entries can be
// applied while a new leader makes a lane for each endpoint.
type changeQueue struct {
	mu    sync.Mutex
	taken sync.Cond // queue is empty, and take is set
	queue []webhook.Changes
	take  func(webhook.Changes)
}

func newChangeQueue() *changeQueue {
	q := new(changeQueue)
	q.taken.L = &q.mu
	return q
}

// put passes changes on, or keeps them. It waits if there are too many.
func (q *changeQueue) put(c webhook.Changes) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.take == nil && len(q.queue) >= maxQueuedChanges {
		q.taken.Wait()
	}
	if q.take == nil {
		q.queue = append(q.queue, c)
		return
	}
	q.take(c)
}

// passTo calls take for what was kept, and from then on for each change, one at a time.
func (q *changeQueue) passTo(take func(webhook.Changes)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, c := range q.queue {
		take(c)
	}
	q.queue, q.take = nil, take
	q.taken.Broadcast()
}
