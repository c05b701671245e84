package httpapi

import (
	"math"
	"sync"
	"time"

	"hookwheel/webhook"
)

const (
	fewBuckets = 10_000 // that are kept even if they are full
	looks      = 4      // at other buckets for each new one beyond that
)

// buckets limit the rate at which the tokens of each application, or each token, may use something
// on this node.
type buckets struct {
	perMinute, size float64

	mu sync.Mutex
	of map[webhook.ID]bucket
}

// bucket holds what was left at a time. It is negative when a use took more than there was.
type bucket struct {
	left float64
	at   time.Time
}

func newBuckets(perMinute, size float64) buckets {
	return buckets{perMinute: perMinute, size: size, of: make(map[webhook.ID]bucket)}
}

// take takes count from the bucket of an application or token if there is at least needed in it.
func (b *buckets) take(app webhook.ID, needed, count float64, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	own := b.current(app, now)
	enough := own.left >= needed
	if enough {
		own.left -= count
	}
	b.of[app] = own
	return enough
}

// used returns how much of its bucket an application has used.
func (b *buckets) used(app webhook.ID, now time.Time) float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.size - b.current(app, now).left
}

// reserve takes count from the bucket of an application or key, and returns for how long to wait
// until that was in it; or takes nothing if that is longer than patience.
func (b *buckets) reserve(who webhook.ID, count float64, now time.Time, patience time.Duration) (wait time.Duration, done bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	own := b.current(who, now)
	missing := max(0, count-own.left)
	wait = time.Duration(missing / b.perMinute * float64(time.Minute))
	if done = wait <= patience; done {
		own.left -= count
	}
	b.of[who] = own
	return wait, done
}

// spend takes count, which may be more than there is, and returns for how long to wait until that
// was in the bucket.
func (b *buckets) spend(who webhook.ID, count float64, now time.Time) (wait time.Duration) {
	wait, _ = b.reserve(who, count, now, math.MaxInt64)
	return wait
}

// current returns the bucket of an application or token as it is now.
func (b *buckets) current(app webhook.ID, now time.Time) bucket {
	own, known := b.of[app]
	if !known {
		b.forget(now)
		own = bucket{left: b.size, at: now}
	}
	return b.refill(own, now)
}

func (b *buckets) refill(own bucket, now time.Time) bucket {
	if passed := now.Sub(own.at); passed > 0 {
		own.left, own.at = min(b.size, own.left+b.perMinute*passed.Minutes()), now
	}
	return own
}

// forget makes room for one more bucket: of some others, wherever the map begins, those that are
// full again go. One that is not stays, since its owner would get again what it has used up; so
// there can be one for each application or token, but few more than those that are not full.
func (b *buckets) forget(now time.Time) {
	if len(b.of) < fewBuckets {
		return
	}
	looked := 0
	for who, own := range b.of {
		if b.refill(own, now).left >= b.size {
			delete(b.of, who)
		}
		if looked++; looked == looks {
			break
		}
	}
}
