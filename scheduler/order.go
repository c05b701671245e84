package scheduler

import (
	"slices"

	"hookwheel/webhook"
)

// order keeps the messages of an ordered endpoint from overtaking each other. A message blocks its key from when it is handed out until
// its last outcome is recorded; for an endpoint that is ordered as a whole, all messages have the key wholeEndpoint. What was held while
// an endpoint kept an order per key goes out by key, whatever its order has become.
type order struct {
	ordering webhook.Ordering
	keys     map[uint64]*orderKey
	free     []uint64 // keys with held messages that nothing blocks
	scanned  bool     // the store's lines are known

	// gate is the last of the messages that were held when the lane began. What they wait behind may have been under way then, and is
	// recorded nowhere but by the cursor, which it keeps from passing. So none of them goes before the log was read up to here.
	gate webhook.ID

	// lineup are lines that failed before the endpoint was ordered as a whole: the oldest messages first. Each blocks it in turn. more
	// tells that there are others, which must be looked for when these are settled.
	lineup []webhook.Retry
	more   bool
}

// orderKey is a key that is blocked, or whose messages are held.
type orderKey struct {
	blocker webhook.ID // zero: none
	held    int        // messages in the held set
	holding int        // messages on their way there: decided, but not recorded
	early   int        // of those, the ones from before the gate, which may be the first of the key
}

const wholeEndpoint = 1

func newOrder(ordering webhook.Ordering) order {
	return order{ordering: ordering}
}

// keyOf is what keeps a message in order; 0: nothing does.
func (o *order) keyOf(m *webhook.Message) uint64 {
	switch o.ordering {
	case webhook.OrderingEndpoint:
		return wholeEndpoint
	case webhook.OrderingKey:
		return webhook.OrderingKeyHash(m.OrderingKey)
	default:
		return 0
	}
}

// recordedKey is the key under which a message that was handed out stands in the store; 0: none.
func (o *order) recordedKey(m *webhook.Message) uint64 {
	key := webhook.OrderingKeyHash(m.OrderingKey)
	if o.ordering != webhook.OrderingKey && o.keys[key] == nil {
		return 0
	}
	return key
}

// blocksLog tells whether the log must wait: the endpoint's next message is not to go before one that is under way or waits.
func (o *order) blocksLog() bool {
	return !o.scanned || o.ordering == webhook.OrderingEndpoint && len(o.keys)+len(o.lineup) > 0
}

// blocker is the message that an endpoint that is ordered as a whole waits for; false: it waits for none.
func (o *order) blocker() (message webhook.ID, blocked bool) {
	if k := o.keys[wholeEndpoint]; k != nil && o.ordering == webhook.OrderingEndpoint {
		return k.blocker, true
	}
	return message, false
}

// isBlocker tells whether a message is the one that an endpoint that is ordered as a whole waits for.
func (o *order) isBlocker(message webhook.ID) bool {
	blocker, blocked := o.blocker()
	return blocked && blocker == message
}

// queue puts a line that failed into its place in the lineup, which holds most of them.
func (o *order) queue(line webhook.Retry, limit int) {
	i, _ := slices.BinarySearchFunc(o.lineup, line.Message, compareMessage)
	if i == limit {
		o.more = true
		return
	}
	o.lineup = slices.Insert(o.lineup, i, line)
	if len(o.lineup) > limit {
		o.lineup, o.more = o.lineup[:limit], true
	}
}

// next has the first of the lineup block the endpoint, if nothing else does; false: there is none, or something does.
func (o *order) next() (line webhook.Retry, blocks bool) {
	if o.keys[wholeEndpoint] != nil {
		return line, false
	}
	if len(o.lineup) == 0 {
		o.scanned, o.more = o.scanned && !o.more, false
		return line, false
	}
	line, o.lineup = o.lineup[0], o.lineup[1:]
	o.block(wholeEndpoint, line.Message)
	return line, true
}

func compareMessage(line webhook.Retry, message webhook.ID) int { return line.Message.Compare(message) }

// blocked tells whether a message of that key must wait.
func (o *order) blocked(key uint64) bool {
	k := o.keys[key]
	return k != nil && (!k.blocker.IsZero() || k.held+k.holding > 0)
}

func (o *order) key(key uint64) *orderKey {
	k := o.keys[key]
	if k == nil {
		k = new(orderKey)
		if o.keys == nil {
			o.keys = make(map[uint64]*orderKey)
		}
		o.keys[key] = k
	}
	return k
}

// block notes that a message of that key goes out, or waits for its next attempt.
func (o *order) block(key uint64, message webhook.ID) {
	if key != 0 {
		o.key(key).blocker = message
	}
}

// hold notes that a message of that key is put into the held set.
func (o *order) hold(key uint64, message webhook.ID) {
	k := o.key(key)
	k.holding++
	if !message.After(o.gate) {
		k.early++
	}
}

// recordedHold notes that it stands there.
func (o *order) recordedHold(key uint64, message webhook.ID) {
	k := o.key(key)
	k.holding--
	if !message.After(o.gate) {
		k.early--
	}
	k.held++
	o.release(key, k)
}

// release lets the first held message of a key go if nothing blocks it.
func (o *order) release(key uint64, k *orderKey) {
	switch {
	case !k.blocker.IsZero():
	case k.held > 0:
		o.free = append(o.free, key)
	case k.holding == 0:
		if delete(o.keys, key); len(o.keys) == 0 {
			o.keys = nil
		}
	}
}

// blockedBy is the key that a message blocks; 0: none.
func (o *order) blockedBy(message webhook.ID) uint64 {
	for key, k := range o.keys {
		if k.blocker == message {
			return key
		}
	}
	return 0
}

// unblock notes that a message, of that key if it has one, is settled for good, as recorded.
func (o *order) unblock(key uint64, message webhook.ID) {
	if i, waits := slices.BinarySearchFunc(o.lineup, message, compareMessage); waits {
		o.lineup = slices.Delete(o.lineup, i, i+1)
	}
	for _, key := range [...]uint64{key, wholeEndpoint} {
		if k := o.keys[key]; k != nil && k.blocker == message {
			k.blocker = webhook.ID{}
			o.release(key, k)
		}
	}
}

// take is the next key whose first held message may go; 0: none.
func (o *order) take() uint64 {
	for len(o.free) > 0 {
		key := o.free[0]
		o.free = o.free[1:]
		if k := o.keys[key]; k != nil && k.blocker.IsZero() && k.held > 0 && k.early == 0 {
			return key
		}
	}
	return 0
}

// took notes that the held message is under way, and no longer counts as held once it is settled.
func (o *order) took(key uint64, message webhook.ID) {
	k := o.key(key)
	k.held--
	k.blocker = message
}

// lost notes that nothing of that key is held after all.
func (o *order) lost(key uint64) {
	k := o.key(key)
	k.held = 0
	o.release(key, k)
}
