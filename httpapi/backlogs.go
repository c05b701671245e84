package httpapi

import (
	"sync"
	"time"

	"hookwheel/wal"
	"hookwheel/webhook"
)

const (
	backlogAge   = 5 * time.Second // of a count that is shown again, at least
	backlogShare = 50              // counting one takes at most one part in so many of the time
	maxBacklogs  = 10_000          // counts that are kept
)

// backlogs keeps the backlogs that metrics and pulses show. Counting one may take a while, so each
// is counted only now and then, and two at a time.
type backlogs struct {
	store    *wal.Store
	counting chan struct{}

	mu sync.Mutex
	of map[webhook.ID]*backlogCount
}

type backlogCount struct {
	mu    sync.Mutex // held while it is counted
	until time.Time  // it is shown again
	sum   wal.Waiting
}

func newBacklogs(store *wal.Store) *backlogs {
	return &backlogs{store: store, counting: make(chan struct{}, 2), of: make(map[webhook.ID]*backlogCount)}
}

// current returns the backlog of an application, or of all if it is zero, as of a few seconds ago.
func (b *backlogs) current(app webhook.ID) (wal.Waiting, error) {
	own := b.entry(app)
	own.mu.Lock()
	defer own.mu.Unlock()
	if time.Now().Before(own.until) {
		return own.sum, nil
	}
	b.counting <- struct{}{}
	defer func() { <-b.counting }()
	begun := time.Now()
	sum, err := b.store.Deliveries().Waiting(app)
	if err == nil {
		now := time.Now()
		own.sum, own.until = sum, now.Add(max(backlogAge, backlogShare*now.Sub(begun)))
	}
	return sum, err
}

// entry returns the count of an application. Counts are forgotten together when there are many.
func (b *backlogs) entry(app webhook.ID) *backlogCount {
	b.mu.Lock()
	defer b.mu.Unlock()
	own := b.of[app]
	if own == nil {
		if len(b.of) >= maxBacklogs {
			clear(b.of)
		}
		own = new(backlogCount)
		b.of[app] = own
	}
	return own
}
