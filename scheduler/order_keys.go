package scheduler

import (
	"time"

	"hookwheel/webhook"
)

// How many keys that are blocked or have held messages are in memory, where each takes about 80
// bytes. Beyond that an endpoint reads no further in its log until some are settled. What has
// failed, or is held, goes on.
const (
	maxKeys       = 100_000   // of an endpoint
	maxKeysPerApp = 200_000   // of the endpoints of an application
	maxKeysOfAll  = 2_000_000 // of all endpoints
	minKeys       = 1000      // of an endpoint, whatever others have
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

func (c *keyCount) isFull() bool {
	if c == nil || c.all == nil {
		return c != nil && c.keys >= maxKeysOfAll
	}
	return c.keys >= maxKeysPerApp || c.all.isFull()
}

// isFull reports whether so many keys are in memory that the log must wait. An endpoint that keeps
// no order per key adds none.
func (o *order) isFull() bool {
	own := len(o.keys)
	return o.ordering == webhook.OrderingKey && own >= minKeys && (own >= maxKeys || o.counts.isFull())
}

// become replaces the order by one that was found in the store.
func (o *order) become(found order) {
	found.counts = o.counts
	found.counts.add(len(found.keys) - len(o.keys))
	*o = found
}
