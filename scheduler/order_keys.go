package scheduler

import (
	"time"

	"hookwheel/webhook"
)

// How many keys that are blocked or have held messages are in memory, where each takes about 80
// bytes. Beyond that an endpoint reads no further in its log until some are settled. What has
// failed, or is held, goes on; but what a scan finds beyond that, or comes due, is held for later.
const (
	maxKeys       = 100_000   // of an endpoint
	maxKeysPerApp = 200_000   // of the endpoints of an application
	maxKeysOfAll  = 2_000_000 // of all endpoints
	minKeys       = 1000      // of an endpoint, whatever others have
)

// For how long no scan follows another one where there is only little room for keys. Meanwhile the
// endpoint sends the messages of those that were found.
const (
	rescanPause = 30 * time.Second // of the endpoint
	rescanShare = 30               // of any endpoint of its application, as a multiple of the time that the scan took
)

// keyPause is how often a lane looks whether others have fewer keys in memory by now.
const keyPause = time.Second

// keyCount counts the keys in memory of an application, or of all.
type keyCount struct {
	keys int
	all  *keyCount // nil: this one is of all
}

func (c *keyCount) add(keys int) {
	for ; c != nil; c = c.all {
		c.keys += keys
	}
}

// room returns how many more there may be.
func (c *keyCount) room() int {
	switch {
	case c == nil:
		return maxKeysOfAll
	case c.all == nil:
		return maxKeysOfAll - c.keys
	default:
		return min(maxKeysPerApp-c.keys, c.all.room())
	}
}

// limit returns how many keys the order may have, which has that many, while others have as many as
// now.
func (o *order) limit(own int) int {
	return max(minKeys, min(maxKeys, own+o.counts.room()))
}

// isFull reports whether so many keys are in memory that the log must wait. An endpoint that keeps
// no order per key adds none.
func (o *order) isFull() bool {
	own := len(o.keys)
	return o.ordering == webhook.OrderingKey && own >= minKeys && own >= o.limit(own)
}

// waitsForKeys reports whether the log must wait until fewer keys are in memory.
func (o *order) waitsForKeys() bool {
	return o.ordering != webhook.OrderingNone && o.overflow || o.isFull()
}

// isScanned reports whether the lines in the store are known, except those that the order has no
// room for. They are scanned again when there is room for twice as many keys as it has, see also
// scanAgain.
func (o *order) isScanned() bool {
	return o.scanned && !(o.overflow && 2*len(o.keys) <= o.limit(len(o.keys)))
}

// forget forgets everything but the gate: the store is to be scanned.
func (o *order) forget() { o.become(newOrder(o.ordering, nil)) }

// become replaces the order by one that was found in the store.
func (o *order) become(found order) {
	found.counts = o.counts
	found.counts.add(len(found.keys) - len(o.keys))
	if o.gate.After(found.gate) {
		found.gate = o.gate
	}
	*o = found
}

// scanAgain has the store scanned again now and then where there is less room than isScanned wants:
// keys that are blocked for good may take the rest, while others wait that nothing blocks.
func (l *lane) scanAgain(now time.Time) {
	if l.order.overflow && !l.order.isFull() && now.Unix() >= int64(max(l.rescan, l.tail.rescan)) {
		l.order.scanned = false
	}
}

// roomForScan takes room for some more keys, for a scan that has taken room for that many; 0: there
// is none. The caller does not hold the scheduler's lock.
func (l *lane) roomForScan(taken int) (keys int) {
	l.scheduler.mu.Lock()
	defer l.scheduler.mu.Unlock()
	keys = max(0, min(minKeys, l.order.limit(taken)-taken))
	l.order.counts.add(keys)
	return keys
}
