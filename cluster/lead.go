package cluster

import (
	"context"
	"sync/atomic"
	"time"
)

// leadership runs Config.Lead while this node leads.
type leadership struct {
	node   *Node
	ready  atomic.Bool        // the node leads and has applied everything from earlier terms
	ctx    context.Context    // ends when Close begins
	resign context.CancelFunc // ends ctx
	ended  chan struct{}      // closed when Lead will not run again
}

func newLeadership(n *Node) *leadership {
	l := &leadership{node: n, ended: make(chan struct{})}
	l.ctx, l.resign = context.WithCancel(n.ctx)
	return l
}

// watch receives each change of leadership at once, because Raft blocks until it is received. It
// runs Lead while this node leads, and never before the previous call has returned.
func (l *leadership) watch(news <-chan bool) {
	var (
		ended  = make(chan struct{}) // closed when the last session has ended
		cancel = func() {}
	)
	close(ended)
	for {
		select {
		case leading := <-news:
			cancel() // any change means that the term is over
			l.ready.Store(false)
			if !leading {
				continue
			}
			var ctx context.Context
			ctx, cancel = context.WithCancel(l.ctx)
			before := ended
			ended = make(chan struct{})
			go l.lead(ctx, before, ended)
		case <-l.ctx.Done():
			cancel()
			<-ended
			l.drain(news)
			return
		}
	}
}

// drain keeps Raft from blocking while it shuts down.
func (l *leadership) drain(news <-chan bool) {
	close(l.ended)
	for {
		select {
		case <-news:
		case <-l.node.ctx.Done():
			return
		}
	}
}

// lead is one session of leadership.
func (l *leadership) lead(ctx context.Context, before <-chan struct{}, ended chan<- struct{}) {
	defer close(ended)
	n := l.node
	<-before
	term := n.raft.CurrentTerm() // read first: later, the term may be that of the next leader
	l.settleClock(ctx)
	if !l.catchUp(ctx) {
		return
	}
	l.ready.Store(true)
	n.config.Logger.Info("leading the cluster", "term", term)
	if n.config.Lead != nil {
		n.config.Lead(ctx, term)
	}
	<-ctx.Done()
	l.ready.Store(false)
	n.config.Logger.Info("no longer leading the cluster")
}

// catchUp returns true when this node has applied everything that earlier leaders committed, or
// false when the session is over. It proposes an entry without commands instead of a Raft barrier:
// the log is cut up to the last entry or barrier, and as the state machine does not see barriers,
// its position would eventually be before the beginning of the log (see reconcile).
func (l *leadership) catchUp(ctx context.Context) bool {
	n := l.node
	for ctx.Err() == nil {
		if err := n.await(n.raft.Apply(encodeEntry(n.Now().UnixMilli(), nil), time.Second)); err == nil {
			return ctx.Err() == nil
		}
		select {
		case <-time.After(leaderPoll):
		case <-ctx.Done():
		}
	}
	return false
}

// settleClock asks the other nodes for the time, if it is not known yet.
func (l *leadership) settleClock(ctx context.Context) {
	n := l.node
	select {
	case <-n.clock.settled:
	default:
		n.Members(ctx)
		n.clock.correct(n.identity.Server, n.servers())
		n.clock.await(ctx)
	}
}
