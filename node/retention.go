package node

import (
	"context"
	"time"
)

const (
	retentionInterval = time.Minute            // between two looks for messages whose time is over
	sizeInterval      = 2 * time.Second        // between two looks at the size of the store, if it is not large
	sweepInterval     = time.Second            // between two looks for what removed endpoints and applications have left
	retentionPause    = 100 * time.Millisecond // between two parts of the work: delivery comes first
	sweepPause        = 5 * time.Millisecond
	shrinkPause       = time.Millisecond       // new events would be refused meanwhile
	barrenPause       = 500 * time.Millisecond // before all is looked through again
)

// retain removes expired messages from the log while this node leads.
func (n *Node) retain(ctx context.Context) {
	n.clear(ctx, retentionInterval, retentionPause, nil, func() (more bool, err error) {
		now := n.cluster.Now()
		return n.writer.Retain(ctx, n.store, now.Add(-n.config.Storage.Retention), now)
	})
}

// sweep has what removed endpoints and applications have left deleted, while this node leads.
func (n *Node) sweep(ctx context.Context) {
	n.clear(ctx, sweepInterval, sweepPause, nil, func() (more bool, err error) { return n.writer.Sweep(ctx, n.store) })
}

// shrink has messages leave the log before their time when the store has grown too large, until it
// is a tenth smaller, while this node leads.
func (n *Node) shrink(ctx context.Context) {
	maxSize := n.config.Storage.MaxSize
	if maxSize == 0 {
		return
	}
	shrinker := n.writer.Shrinker(n.store, maxSize)
	shrinking := false
	var barren time.Time // when nothing was found to leave
	n.clear(ctx, sizeInterval, shrinkPause, n.store.Large(), func() (more bool, err error) {
		if !shrinking && (n.store.Size() <= maxSize || time.Since(barren) < barrenPause) {
			return false, nil
		}
		if shrinking, err = shrinker.Step(ctx); !shrinking && n.store.Size() > maxSize {
			barren = time.Now()
		}
		return shrinking, err
	})
}

// clear calls a part of the work now and again, when it is woken, and after a pause while there is
// more.
func (n *Node) clear(ctx context.Context, interval, pause time.Duration, woken <-chan struct{}, part func() (more bool, err error)) {
	wait := pause
	for {
		select {
		case <-ctx.Done():
			return
		case <-woken:
		case <-time.After(wait):
		}
		more, err := part()
		if err != nil && ctx.Err() == nil {
			n.log.Warn("messages that are kept no longer could not be removed; it is tried again", "error", err)
		}
		wait = interval
		if more && err == nil {
			wait = pause
		}
	}
}
