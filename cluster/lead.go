package cluster

import (
	"context"
	"time"
)

// watchLeadership takes each piece of news at once, for Raft waits for it to be taken, and sees to
// it that Lead runs once at a time: while this node leads, and not before the last one has ended.
func (n *Node) watchLeadership(news <-chan bool) {
	var (
		ended  = make(chan struct{}) // of the last session
		cancel = func() {}
	)
	close(ended)
	for {
		select {
		case leading := <-news:
			cancel() // news of any kind means that the term is another
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

// drainNews keeps Raft from waiting while it is shut down.
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
	term := n.raft.CurrentTerm() // read before: after it, the term may be that of the next leader
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

// catchUp returns true when all that earlier leaders committed is applied here, false when the
// session is over. It proposes an entry without commands, not a barrier of Raft's: the log is cut
// up to the last entry or barrier, and a state machine that never hears of barriers would
// eventually be before the log's beginning (see reconcile).
func (n *Node) catchUp(ctx context.Context) bool {
	for ctx.Err() == nil {
		if err := n.raft.Apply(encodeEntry(n.Now().UnixMilli(), nil), time.Second).Error(); err == nil {
			return ctx.Err() == nil
		}
		select {
		case <-time.After(leaderPoll):
		case <-ctx.Done():
		}
	}
	return false
}
