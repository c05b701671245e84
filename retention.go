package main

import (
	"context"
	"time"
)

const (
	retentionInterval = time.Minute            // between two looks for messages whose time is over
	retentionPause    = 100 * time.Millisecond // between two parts of the work: delivery comes first
)

// retain has the messages leave the log whose time is over, while this node leads.
func (n *node) retain(ctx context.Context) {
	pause := retentionPause
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		more, err := n.writer.Retain(ctx, n.store, time.Now().Add(-n.config.Storage.Retention))
		if err != nil && ctx.Err() == nil {
			n.log.Warn("messages whose time is over could not be removed; it is tried again", "error", err)
		}
		pause = retentionInterval
		if more && err == nil {
			pause = retentionPause
		}
	}
}
