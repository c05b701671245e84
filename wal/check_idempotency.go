package wal

import "fmt"

// replyCheck checks idempotency keys.
type replyCheck struct {
	*checkedStore
	replies int // that the entry lists that has made them
}

func replyText(name []byte) string {
	return fmt.Sprintf("idempotency key %x", name)
}

// checkReply checks only the form of the record. checkAging finds the replies of all entries, and
// findLooseReplies looks for replies that no entry has.
func (c *replyCheck) checkReply(key, value []byte) {
	if _, err := decodeKeptReply(value); err != nil {
		c.violated("the reply kept for %s can't be read: %v", replyText(key[1:]), err)
	}
}

// checkAging checks the idempotency keys that one entry was the first to use.
func (c *replyCheck) checkAging(key, value []byte) error {
	entry := entryOf(key)
	c.checkID(entry, fmt.Sprintf("the list of idempotency keys of entry %d", entry.Index()))
	seen := make(map[string]bool)
	r := newReader(value, repliesVersion)
	for r.more() {
		name := r.take(replyNameSize)
		if r.err != nil {
			break
		}
		if seen[string(name)] {
			c.violated("entry %d lists %s twice", entry.Index(), replyText(name))
			continue
		}
		seen[string(name)] = true
		if err := c.checkAged(key, name); err != nil {
			return err
		}
	}
	if r.err != nil || len(seen) == 0 {
		c.violated("the idempotency keys of entry %d can't be read: %v", entry.Index(), r.end())
	}
	return nil
}

// checkAged checks the reply that an entry has given. If a key was too old, a later entry may have
// given a new one.
func (c *replyCheck) checkAged(key, name []byte) error {
	data, found, err := c.get(replyKey(name))
	if err != nil {
		return err
	}
	kept, damaged := decodeKeptReply(data)
	switch of := entryOf(key); {
	case !found:
		c.violated("entry %d lists %s, which has no reply", of.Index(), replyText(name))
	case damaged != nil: // checkReply has reported it
	case kept.entry == of:
		c.replies++
	case of.After(kept.entry):
		c.violated("entry %d lists %s, which the earlier entry %d replied to", of.Index(), replyText(name), kept.entry.Index())
	}
	return nil
}

// findLooseReplies reports idempotency keys that would never be forgotten.
func (c *replyCheck) findLooseReplies() error {
	if c.replies == c.count(keyReply) {
		return nil
	}
	return c.db.scan([]byte{keyReply}, func(key, value []byte) error {
		kept, err := decodeKeptReply(value)
		if err != nil || len(key) != recordKinds[keyReply].size {
			return nil // already reported
		}
		names, _, err := c.get(agingKey(kept.entry))
		if err != nil {
			return err
		}
		for r := newReader(names, repliesVersion); r.more(); {
			if string(r.take(replyNameSize)) == string(key[1:]) {
				return nil
			}
		}
		c.violated("entry %[2]d replied to %[1]s but does not list it", replyText(key[1:]), kept.entry.Index())
		return nil
	})
}
