package scheduler

import (
	"slices"

	"hookwheel/webhook"
)

// order keeps the messages of an ordered endpoint from overtaking each other. A message blocks its
// key from when it is handed out until its last outcome is recorded; for an endpoint that is
// ordered as a whole, all messages have the key wholeEndpoint. Messages held while an endpoint was
// ordered per key are sent by key, whatever its ordering has become.
type order struct {
	ordering webhook.Ordering
	keys     map[uint64]*orderKey
	counts   *keyCount
	free     []uint64 // keys that have held messages and are not blocked

	// lineup are the lines of messages that failed before the endpoint was ordered as a whole,
	// oldest message first. Each blocks the endpoint in turn. more reports that there are others,
	// which must be scanned when these are settled.
	lineup []webhook.Retry
	more   bool

	scanned bool // the lines in the store are known, see isScanned

	// overflow reports that there was no room for all keys. What waits of those that are not here
	// is in the held set, and whatever else has one of them must follow it there.
	overflow bool

	// gate is the last of the messages that were held when the lane began. The messages that they
	// wait for may have been in flight then, of which nothing but the cursor is recorded. So no
	// held message up to gate is sent before the log has been read up to gate.
	gate webhook.ID
}

// orderKey is a key that is blocked or has held messages.
type orderKey struct {
	blocker webhook.ID // zero: none
	sent    bool       // the blocker was handed out, and its outcome is not recorded
	held    int        // messages in the held set
	holding int        // messages to be held: decided, but not recorded
	early   int        // those of them up to the gate, which may be the first of the key
	free    bool       // the key is among the free ones
}

const wholeEndpoint = 1

// newOrder returns the order of a lane whose keys count there; nil: they do not count yet.
func newOrder(ordering webhook.Ordering, counts *keyCount) order {
	return order{ordering: ordering, counts: counts}
}

// keyOf returns the key that keeps a message in order; 0: none does.
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

// recordedKey returns the key under which a message that was handed out is recorded; 0: none.
func (o *order) recordedKey(m *webhook.Message) uint64 {
	key := webhook.OrderingKeyHash(m.OrderingKey)
	if o.ordering != webhook.OrderingKey && o.keys[key] == nil {
		return 0
	}
	return key
}

// blocksLog reports whether the log must wait, because the endpoint's next message may not overtake
// one that is in flight or waiting.
func (o *order) blocksLog() bool {
	return !o.isScanned() || o.ordering == webhook.OrderingEndpoint && len(o.keys)+len(o.lineup) > 0
}

// blocker returns the message that an endpoint ordered as a whole waits for, if it waits for one.
func (o *order) blocker() (message webhook.ID, blocked bool) {
	if k := o.keys[wholeEndpoint]; k != nil && o.ordering == webhook.OrderingEndpoint {
		return k.blocker, true
	}
	return message, false
}

// isBlocker reports whether an endpoint ordered as a whole waits for this message.
func (o *order) isBlocker(message webhook.ID) bool {
	blocker, blocked := o.blocker()
	return blocked && blocker == message
}

// queue inserts a line that failed into the lineup, which keeps the first limit lines.
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

// next lets the first line of the lineup block the endpoint, unless something else does. It reports
// whether there was a line to do so.
func (o *order) next() (line webhook.Retry, blocks bool) {
	if o.keys[wholeEndpoint] != nil {
		return line, false
	}
	if len(o.lineup) == 0 {
		o.scanned, o.more = o.scanned && !o.more, false
		return line, false
	}
	line = o.lineup[0]
	o.lineup = withoutFirst(o.lineup)
	o.block(wholeEndpoint, line.Message)
	return line, true
}

func compareMessage(line webhook.Retry, message webhook.ID) int { return line.Message.Compare(message) }

// isBlocked reports whether a message with that key must wait.
func (o *order) isBlocked(key uint64) bool {
	k := o.keys[key]
	return k != nil && (!k.blocker.IsZero() || k.held+k.holding > 0)
}

// holdsBack reports whether a message must be held, because another of its key comes first, or may.
func (o *order) holdsBack(d *webhook.Delivery) bool {
	key, perKey := o.keyOf(d.Message), o.ordering == webhook.OrderingKey
	retry := d.Source == webhook.SourceRetry && perKey
	switch {
	case key == 0 || d.Source != webhook.SourceLog && !retry:
		return false
	case o.isBlocked(key):
		return !retry || o.keys[key].blocker != d.ID
	default:
		scheduled := retry && d.Number == 1
		return perKey && o.keys[key] == nil && (o.overflow || scheduled && o.isFull())
	}
}

func (o *order) key(key uint64) *orderKey {
	k := o.keys[key]
	if k == nil {
		k = new(orderKey)
		if o.keys == nil {
			o.keys = make(map[uint64]*orderKey)
		}
		o.keys[key] = k
		o.counts.add(1)
	}
	return k
}

// block notes that a message with that key waits for its next attempt.
func (o *order) block(key uint64, message webhook.ID) {
	if key != 0 {
		k := o.key(key)
		k.blocker, k.sent = message, false
	}
}

// send notes that a message with that key is sent.
func (o *order) send(key uint64, message webhook.ID) {
	if key != 0 {
		k := o.key(key)
		k.blocker, k.sent = message, true
	}
}

// failed notes that the outcome of a message that was sent is recorded, and that it is sent again.
func (o *order) failed(key uint64, message webhook.ID) {
	for _, key := range [...]uint64{key, wholeEndpoint} {
		if k := o.keys[key]; k != nil && k.blocker == message {
			k.sent = false
		}
	}
}

// delivered notes that a manual attempt has delivered a message. If another attempt at the message
// is under way, its outcome unblocks the key: until then the store may have the message as held.
func (o *order) delivered(key uint64, message webhook.ID) {
	for _, key := range [...]uint64{key, wholeEndpoint} {
		if k := o.keys[key]; k != nil && k.blocker == message && k.sent {
			return
		}
	}
	o.unblock(key, message)
}

// hold notes that a message with that key is to be put into the held set, where a scan will find it
// if there is no room for the key.
func (o *order) hold(key uint64, message webhook.ID) {
	if o.keys[key] == nil && (o.overflow || o.isFull()) {
		o.overflow = true
		return
	}
	k := o.key(key)
	k.holding++
	if !message.After(o.gate) {
		k.early++
	}
}

// recordedHold notes that the message is in the held set.
func (o *order) recordedHold(key uint64, message webhook.ID) {
	k := o.keys[key]
	if k == nil { // there was no room for it
		return
	}
	k.holding--
	if !message.After(o.gate) {
		k.early--
	}
	k.held++
	o.release(key, k)
}

// release makes the first held message of a key ready to be sent, if the key is not blocked.
func (o *order) release(key uint64, k *orderKey) {
	switch {
	case !k.blocker.IsZero():
	case k.held > 0:
		o.setFree(key, k)
	case k.holding == 0:
		o.counts.add(-1)
		if delete(o.keys, key); len(o.keys) == 0 {
			o.keys = nil
		}
	}
}

// setFree puts a key among the free ones, unless it is there.
func (o *order) setFree(key uint64, k *orderKey) {
	if !k.free {
		o.free, k.free = append(o.free, key), true
	}
}

// blockedBy returns the key that a message blocks; 0: none.
func (o *order) blockedBy(message webhook.ID) uint64 {
	for key, k := range o.keys {
		if k.blocker == message {
			return key
		}
	}
	return 0
}

// unblock notes that the final outcome of a message is recorded; key is its key, or 0.
func (o *order) unblock(key uint64, message webhook.ID) {
	if i, waits := slices.BinarySearchFunc(o.lineup, message, compareMessage); waits {
		o.lineup = without(o.lineup, i)
	}
	for _, key := range [...]uint64{key, wholeEndpoint} {
		if k := o.keys[key]; k != nil && k.blocker == message {
			k.blocker, k.sent = webhook.ID{}, false
			o.release(key, k)
		}
	}
}

// take returns the next key whose first held message may be sent; 0: none.
func (o *order) take() uint64 {
	for len(o.free) > 0 {
		key := o.free[0]
		o.free = withoutFirst(o.free)
		k := o.keys[key]
		if k == nil {
			continue
		}
		k.free = false
		if k.blocker.IsZero() && k.held > 0 && k.early == 0 {
			return key
		}
	}
	return 0
}

// giveBack returns a key whose first held message could not be sent.
func (o *order) giveBack(key uint64) {
	if k := o.keys[key]; k != nil { // the lane is not gone
		o.setFree(key, k)
	}
}

// took notes that a held message is in flight. It no longer counts as held.
func (o *order) took(key uint64, message webhook.ID) {
	k := o.key(key)
	k.held--
	k.blocker, k.sent = message, true
}

// lost notes that the store has none of the held messages of a key that were counted when it was
// asked. Those that were recorded since then are there.
func (o *order) lost(key uint64, counted int) {
	k := o.key(key)
	k.held -= counted
	o.release(key, k)
}
