package wal

import "fmt"

func answerText(name []byte) string {
	return fmt.Sprintf("idempotency key %x", name)
}

// checkAnswer checks only the form of the record. checkAging finds the answers of all entries, and
// findLooseAnswers looks for answers that no entry has.
func (c *checker) checkAnswer(key, value []byte) {
	if _, err := decodeAnswer(value); err != nil {
		c.violated("the reply kept for %s can't be read: %v", answerText(key[1:]), err)
	}
}

// checkAging checks the idempotency keys that one entry was the first to use.
func (c *checker) checkAging(key, value []byte) error {
	entry := entryOf(key)
	c.checkID(entry, fmt.Sprintf("the list of idempotency keys of entry %d", entry.Index()))
	seen := make(map[string]bool)
	r := newReader(value, answersVersion)
	for r.more() {
		name := r.take(answerNameSize)
		if r.err != nil {
			break
		}
		if seen[string(name)] {
			c.violated("entry %d lists %s twice", entry.Index(), answerText(name))
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

// checkAged checks the answer that an entry has given. If a key was too old, a later entry may have
// given a new one.
func (c *checker) checkAged(key, name []byte) error {
	data, found, err := c.get(answerKey(name))
	if err != nil {
		return err
	}
	kept, damaged := decodeAnswer(data)
	switch of := entryOf(key); {
	case !found:
		c.violated("entry %d lists %s, which has no reply", of.Index(), answerText(name))
	case damaged != nil: // checkAnswer has reported it
	case kept.entry == of:
		c.answers++
	case of.After(kept.entry):
		c.violated("entry %d lists %s, which the earlier entry %d replied to", of.Index(), answerText(name), kept.entry.Index())
	}
	return nil
}

// findLooseAnswers reports idempotency keys that would never be forgotten.
func (c *checker) findLooseAnswers() error {
	return scan(c.txn, []byte{keyAnswer}, func(key, value []byte) error {
		kept, err := decodeAnswer(value)
		if err != nil || len(key) != keySizes[keyAnswer] {
			return nil // already reported
		}
		names, _, err := c.get(agingKey(kept.entry))
		if err != nil {
			return err
		}
		for r := newReader(names, answersVersion); r.more(); {
			if string(r.take(answerNameSize)) == string(key[1:]) {
				return nil
			}
		}
		c.violated("entry %[2]d replied to %[1]s but does not list it", answerText(key[1:]), kept.entry.Index())
		return nil
	})
}
