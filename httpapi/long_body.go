package httpapi

import (
	"sync"
	"time"
)

const (
	longBody = 1 << 20   // bytes
	longRate = 32 << 20  // bytes beyond longBody that are received per second, for each processor
	dropRate = 16 << 20  // and of those that are only dropped, as the request was refused
	longRead = 128 << 10 // bytes beyond it that are received at once
)

// longPace gives what is received of bodies beyond longBody a rate, as their bytes come from the
// network much faster than anything can be done with them, and take processors from others.
type longPace struct {
	rate float64 // bytes per second

	mu   sync.Mutex
	next time.Time // when all that was received is paid for
}

// newLongPace returns a pace of so many bytes per second for each processor.
func newLongPace(rate int) longPace { return longPace{rate: float64(rate * processors)} }

// take returns for how long whoever has received so many bytes waits before it receives more.
func (p *longPace) take(bytes int, now time.Time) (wait time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(time.Duration(float64(bytes) / p.rate * float64(time.Second)))
	return p.next.Sub(now)
}
