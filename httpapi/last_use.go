package httpapi

import (
	"context"
	"sync"
	"time"

	"hookwheel/webhook"
)

const (
	lastUseInterval = time.Minute // between records of a node
	lastUseMax      = 1000        // keys in one record; others are recorded when they are used again
)

// lastUse collects which API keys were used, to record them from time to time: an entry per request
// would cost too much.
type lastUse struct {
	mu   sync.Mutex
	used map[webhook.ID]time.Time
}

// note takes a lock only if the use is not recorded yet.
func (l *lastUse) note(key *webhook.APIKey, now time.Time) {
	if now.Sub(key.LastUsed) < lastUseInterval {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.used == nil {
		l.used = make(map[webhook.ID]time.Time)
	}
	if _, noted := l.used[key.ID]; noted || len(l.used) < lastUseMax {
		l.used[key.ID] = now.UTC().Truncate(time.Millisecond)
	}
}

func (l *lastUse) take() map[webhook.ID]time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	used := l.used
	l.used = nil
	return used
}

// recordUse records which keys were used, until ctx ends. If it fails for lack of a leader, it
// does not try again.
func (a *authenticator) recordUse(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		used := a.lastUse.take()
		if len(used) == 0 {
			continue
		}
		bounded, cancel := context.WithTimeout(ctx, leaderTimeout)
		if err := a.config.Writer.TouchKeys(bounded, used); err != nil {
			a.config.Logger.Debug("the last use of API keys was not recorded", "keys", len(used), "error", err)
		}
		cancel()
	}
}
