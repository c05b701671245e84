package wal

import "fmt"

func answerText(name []byte) string {
	return fmt.Sprintf("idempotency key %x", name)
}

// checkAnswer looks at the form only: checkAging finds those of all entries, and findLooseAnswers looks for others if there
// are more.
func (c *checker) checkAnswer(key, value []byte) {
	if _, err := decodeAnswer(value); err != nil {
		c.violated("the answer to %s can't be read: %v", answerText(key[1:]), err)
	}
}

// checkAging looks at the idempotency keys that one entry has met first.
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
			c.violated("entry %d has met %s twice", entry.Index(), answerText(name))
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

// checkAged looks for the answer that an entry has given. A key that became too old may have been answered anew.
func (c *checker) checkAged(key, name []byte) error {
	data, found, err := c.get(answerKey(name))
	if err != nil {
		return err
	}
	kept, damaged := decodeAnswer(data)
	switch of := entryOf(key); {
	case !found:
		c.violated("entry %d has met %s, to which there is no answer", of.Index(), answerText(name))
	case damaged != nil: // is said of the answer itself
	case kept.entry == of:
		c.answers++
	case of.After(kept.entry):
		c.violated("entry %d has met %s, which entry %d had answered before", of.Index(), answerText(name), kept.entry.Index())
	}
	return nil
}

// findLooseAnswers names the idempotency keys that would never be forgotten.
func (c *checker) findLooseAnswers() error {
	return scan(c.txn, []byte{keyAnswer}, func(key, value []byte) error {
		kept, err := decodeAnswer(value)
		if err != nil || len(key) != keySizes[keyAnswer] {
			return nil // has been said
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
		c.violated("%s was answered by entry %d, which does not list it", answerText(key[1:]), kept.entry.Index())
		return nil
	})
}
