package node

import (
	"context"
	"time"

	"hookwheel/webhook"
)

const (
	retentionInterval = time.Minute            // between two looks for messages whose time is over
	sizeInterval      = 2 * time.Second        // between two looks at the size of the store
	retentionPause    = 100 * time.Millisecond // between two parts of the work: delivery comes first
)

// retain has the messages leave the log whose time is over, while this node leads.
func (n *Node) retain(ctx context.Context) {
	n.clear(ctx, retentionInterval, func() (more bool, err error) {
		now := n.cluster.Now()
		return n.writer.Retain(ctx, n.store, now.Add(-n.config.Storage.Retention), now)
	})
}

// shrink has messages leave the log before their time when the store has grown too large, until it is a tenth smaller, while this
// node leads.
func (n *Node) shrink(ctx context.Context) {
	most := n.config.Storage.MaxSize
	if most == 0 {
		return
	}
	shrinking := false
	var behind webhook.ID // up to there all were looked at
	n.clear(ctx, sizeInterval, func() (more bool, err error) {
		if !shrinking && n.store.Size() <= most {
			return false, nil
		}
		if !shrinking {
			behind = webhook.ID{}
		}
		behind, shrinking, err = n.writer.Shrink(ctx, n.store, most-most/10, behind)
		return shrinking, err
	})
}

// clear calls a part of the work now and again, and soon again while there is more.
func (n *Node) clear(ctx context.Context, interval time.Duration, part func() (more bool, err error)) {
	pause := retentionPause
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		more, err := part()
		if err != nil && ctx.Err() == nil {
			n.log.Warn("messages that are kept no longer could not be removed; it is tried again", "error", err)
		}
		pause = interval
		if more && err == nil {
			pause = retentionPause
		}
	}
}
