package node

import (
	"context"
	"time"

	"hookwheel/wal"
)

const (
	retentionInterval = time.Minute           // between two looks for messages whose time is over
	sizeInterval      = 2 * time.Second       // between two looks at the size of the store, if it is not large
	sweepInterval     = time.Second           // between two looks for what removed endpoints and applications have left
	sweepPause        = 20 * time.Millisecond // between two parts, and at least sweepRest times as long as one took
	sweepRest         = 3
	fastPause         = time.Millisecond       // when nobody is waiting, or new events would be refused meanwhile
	barrenPause       = 500 * time.Millisecond // before all is looked through again, and at least sweepRest times as long as it took
)

// retain removes expired messages from the log while this node leads.
func (n *Node) retain(ctx context.Context) {
	n.clear(ctx, retentionInterval, nil, func() (pause time.Duration, err error) {
		begin, now := time.Now(), n.cluster.Now()
		more, err := n.cleaner.Retain(ctx, now.Add(-n.config.Storage.Retention), now)
		if !more {
			return 0, err
		}
		return max(sweepPause, sweepRest*time.Since(begin)), err
	})
}

// sweep removes what deleted endpoints and applications have left, while this node leads: all at
// once if nothing else happens, otherwise for a small part of the time.
func (n *Node) sweep(ctx context.Context) {
	space := n.store.Space()
	applied := uint64(0) // after the last part
	n.clear(ctx, sweepInterval, nil, func() (pause time.Duration, err error) {
		begin, before := time.Now(), n.store.Applied()
		more, err := n.cleaner.Sweep(ctx)
		if !more {
			return 0, err
		}
		busy := before > applied || n.store.Applied() > before+1
		applied = n.store.Applied()
		if maxSize := space.MaxSize(); !busy || maxSize > 0 && space.Size() > maxSize {
			return fastPause, nil
		}
		return max(sweepPause, sweepRest*time.Since(begin)), nil
	})
}

// tidy has values in files moved, until end is called, so that the space of what was removed beside
// them is given back though nothing else happens. Every node does that for its own files.
func (n *Node) tidy() (end func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.clear(ctx, sweepInterval, nil, func() (pause time.Duration, err error) {
			more, err := n.cleaner.Tidy(ctx)
			if !more {
				return 0, err
			}
			return sweepPause, err
		})
	}()
	return func() error {
		cancel()
		<-ended
		return nil
	}
}

// shrink has messages leave the log before their time when the store has grown too large, until it
// is a tenth smaller, while this node leads.
func (n *Node) shrink(ctx context.Context) {
	space := n.store.Space()
	maxSize := space.MaxSize()
	if maxSize == 0 {
		return
	}
	shrinker := wal.NewShrinker(n.store, n.writer, maxSize)
	shrinking := false
	var began, rested time.Time // rested: when all is to be looked through again, after nothing was found to leave
	n.clear(ctx, sizeInterval, space.Large(), func() (pause time.Duration, err error) {
		if !shrinking {
			if space.Size() <= maxSize {
				return 0, nil
			}
			if rest := time.Until(rested); rest > 0 {
				return rest, nil // the message that woke it may have been the last
			}
		}
		if !shrinking {
			began = time.Now()
		}
		if shrinking, err = shrinker.Step(ctx); shrinking {
			return fastPause, err
		}
		if space.Size() > maxSize {
			rested = time.Now().Add(max(barrenPause, sweepRest*time.Since(began)))
		}
		return 0, err
	})
}

// clear does a part of the work now and again, and when it is woken. If some is left, part returns
// the pause before the next part.
func (n *Node) clear(ctx context.Context, interval time.Duration, woken <-chan struct{}, part func() (pause time.Duration, err error)) {
	for wait := fastPause; ; {
		select {
		case <-ctx.Done():
			return
		case <-woken:
		case <-time.After(wait):
		}
		pause, err := part()
		if err != nil && ctx.Err() == nil {
			n.log.Warn("what is kept no longer could not be removed; it is tried again", "error", err)
		}
		wait = interval
		if pause > 0 && err == nil {
			wait = pause
		}
	}
}
