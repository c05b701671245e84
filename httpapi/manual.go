package httpapi

import (
	"fmt"
	"sync"
	"time"

	"hookwheel/webhook"
)

// replayCost is how many manual sends a replay, which may send many messages, counts as.
const replayCost = 20

// maxManualApps is how many applications have a bucket at a time.
const maxManualApps = 10_000

// manualSends limits what the portals of an application may have sent by hand: each send leaves
// attempts that are kept, and a bucket of tokens per application bounds their rate on this node.
type manualSends struct {
	perMinute float64 // 0: any number

	mu      sync.Mutex
	buckets map[webhook.ID]bucket
}

// bucket holds the tokens that were left at a time.
type bucket struct {
	left float64
	at   time.Time
}

func newManualSends(perMinute int) *manualSends {
	return &manualSends{perMinute: float64(perMinute), buckets: make(map[webhook.ID]bucket)}
}

// take counts some sends for the caller's application. Operators are not limited.
func (m *manualSends) take(who *webhook.APIKey, count float64, now time.Time) error {
	if m.perMinute == 0 || who.Role != webhook.RoleApplication {
		return nil
	}
	most := max(m.perMinute, replayCost)
	m.mu.Lock()
	defer m.mu.Unlock()
	b, known := m.buckets[who.App]
	if !known {
		m.forget(most, now)
		b = bucket{left: most, at: now}
	}
	b = m.refill(b, most, now)
	if b.left < count {
		m.buckets[who.App] = b
		return &webhook.Error{Code: codeTooMany, Detail: fmt.Sprintf("More than %.0f messages in a minute were sent by hand for this application (a replay counts as %d): "+
			"wait, or have limits.manual_sends raised in the configuration.", m.perMinute, replayCost)}
	}
	b.left -= count
	m.buckets[who.App] = b
	return nil
}

func (m *manualSends) refill(b bucket, most float64, now time.Time) bucket {
	if passed := now.Sub(b.at); passed > 0 {
		b.left, b.at = min(most, b.left+m.perMinute*passed.Minutes()), now
	}
	return b
}

// forget makes room for one more bucket: those that are full again go, or else all.
func (m *manualSends) forget(most float64, now time.Time) {
	if len(m.buckets) < maxManualApps {
		return
	}
	for app, b := range m.buckets {
		if m.refill(b, most, now).left >= most {
			delete(m.buckets, app)
		}
	}
	if len(m.buckets) >= maxManualApps {
		clear(m.buckets)
	}
}
