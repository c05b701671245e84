package httpapi

import (
	"context"
	"sync"
	"time"

	"hookwheel/webhook"
)

const (
	lastUseInterval = time.Minute // between two records of one node
	lastUseMost     = 1000        // keys in one record; others are noted when they are used again
)

// lastUse gathers which API keys were used, to be recorded from time to time: not each request is worth an entry.
type lastUse struct {
	mu   sync.Mutex
	used map[webhook.ID]time.Time
}

// note costs a lock, and that only if the use is not recorded already.
func (l *lastUse) note(key *webhook.APIKey, now time.Time) {
	if now.Sub(key.LastUsed) < lastUseInterval {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.used == nil {
		l.used = make(map[webhook.ID]time.Time)
	}
	if _, noted := l.used[key.ID]; noted || len(l.used) < lastUseMost {
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

// recordUse records which keys were used, until ctx ends. What can't be recorded now, as there is no leader, is not worth a
// second try.
func (s *Server) recordUse(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		used := s.lastUse.take()
		if len(used) == 0 {
			continue
		}
		hold, cancel := context.WithTimeout(ctx, holdTimeout)
		if err := s.config.Writer.TouchKeys(hold, used); err != nil {
			s.config.Logger.Debug("the last use of API keys was not recorded", "keys", len(used), "error", err)
		}
		cancel()
	}
}
