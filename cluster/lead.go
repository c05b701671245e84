package cluster

import (
	"context"
	"time"
)

// watchLeadership receives each change of leadership at once, because Raft blocks until it is
// received. It runs Lead while this node leads, and never before the previous call has returned.
func (n *Node) watchLeadership(news <-chan bool) {
	var (
		ended  = make(chan struct{}) // closed when the last session has ended
		cancel = func() {}
	)
	close(ended)
	for {
		select {
		case leading := <-news:
			cancel() // any change means that the term is over
			n.ready.Store(false)
			if !leading {
				continue
			}
			var ctx context.Context
			ctx, cancel = context.WithCancel(n.leadCtx)
			before := ended
			ended = make(chan struct{})
			go n.lead(ctx, before, ended)
		case <-n.leadCtx.Done():
			cancel()
			<-ended
			n.drainNews(news)
			return
		}
	}
}

// drainNews keeps Raft from blocking while it shuts down.
func (n *Node) drainNews(news <-chan bool) {
	close(n.led)
	for {
		select {
		case <-news:
		case <-n.ctx.Done():
			return
		}
	}
}

// lead is one session of leadership.
func (n *Node) lead(ctx context.Context, before <-chan struct{}, ended chan<- struct{}) {
	defer close(ended)
	<-before
	term := n.raft.CurrentTerm() // read first: later, the term may be that of the next leader
	n.settleClock(ctx)
	if !n.catchUp(ctx) {
		return
	}
	n.ready.Store(true)
	n.config.Logger.Info("leading the cluster", "term", term)
	if n.config.Lead != nil {
		n.config.Lead(ctx, term)
	}
	<-ctx.Done()
	n.ready.Store(false)
	n.config.Logger.Info("no longer leading the cluster")
}

// catchUp returns true when this node has applied everything that earlier leaders committed, or
// false when the session is over. It proposes an entry without commands instead of a Raft barrier:
// the log is cut up to the last entry or barrier, and as the state machine does not see barriers,
// its position would eventually be before the beginning of the log (see reconcile).
func (n *Node) catchUp(ctx context.Context) bool {
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
