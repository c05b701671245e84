package wal

import (
	"slices"

	"hookwheel/webhook"
)

// historyCheck checks histories, and the index of attempts by message.
type historyCheck struct {
	*checkedCatalog
	chunks  *checkedChunks
	shares  *shareCheck
	passed  *passedCheck
	read    chunkPlace
	indexed messageHistory // of the message whose index is being read
}

// checkHistory checks one chunk of a history. The endpoint may be gone, its history stays.
func (c *historyCheck) checkHistory(key, value []byte) {
	endpoint := webhook.ID(key[1 : 1+idSize])
	follows := c.read.follows(key)
	list, err := decodeAttempts(key, value, endpoint)
	if err != nil {
		c.violated("the part of the history of %s from entry %d can't be read: %v", endpointName(endpoint), entryOf(key).Index(), err)
	}
	c.shares.addHistory(endpoint, len(key)+len(value), list)
	for i := range list {
		a := &list[i]
		what := attemptName(a.ID)
		if !c.checkID(a.ID, what) {
			continue
		}
		c.report.Attempts++
		switch {
		case i > 0 && !a.ID.After(list[i-1].ID):
			c.violated("%s is in the history of %s after %s", what, endpointName(endpoint), attemptName(list[i-1].ID))
		case i == 0 && !follows:
			c.violated("%s of entry %d is in the history of %s after an attempt of a later entry", what, a.ID.Index(), endpointName(endpoint))
		case endpoint.After(a.ID):
			c.violated("%s is older than its %s", what, endpointName(endpoint))
		case a.Message.After(a.ID):
			c.violated("%s is older than its %s", what, messageName(a.Message))
		case a.Number == 0:
			c.violated("%s has the number 0; the first is 1", what)
		}
	}
}

// messageHistory are the attempts of one message, whose lines in the index follow one another.
type messageHistory struct {
	id       webhook.ID
	attempts []indexed
}

type indexed struct {
	endpoint webhook.ID
	recorded
}

// checkIndex checks one line of the index of attempts.
func (c *historyCheck) checkIndex(key, value []byte) error {
	message, id := webhook.ID(key[1:1+idSize]), webhook.ID(key[1+idSize:])
	if message != c.indexed.id {
		if err := c.endMessage(); err != nil {
			return err
		}
		c.indexed = messageHistory{id: message, attempts: c.indexed.attempts[:0]}
	}
	if len(value) != idSize {
		c.violated("the index entry of %s of %s has an invalid endpoint id: %x", attemptName(id), messageName(message), value)
		return nil
	}
	endpoint := webhook.ID(value)
	a, found, err := c.chunks.attempt(endpoint, id)
	switch {
	case err != nil:
		return err
	case !found:
		c.violated("the index names %s of %s, which is missing from the history of %s", attemptName(id), messageName(message), endpointName(endpoint))
		return nil
	case a.message != message:
		c.violated("the index lists %s under %s, but it belongs to %s", attemptName(id), messageName(message), messageName(a.message))
	}
	c.indexed.attempts = append(c.indexed.attempts, indexed{endpoint, a})
	return nil
}

// endMessage looks at all attempts of the message whose part of the index has just been read.
func (c *historyCheck) endMessage() error {
	list := c.indexed.attempts
	if c.dropped[c.indexed.id] { // some may be gone
		return nil
	}
	slices.SortStableFunc(list, func(a, b indexed) int { return a.endpoint.Compare(b.endpoint) })
	highest := uint32(0)
	for i, a := range list {
		if i == 0 || a.endpoint != list[i-1].endpoint {
			highest = 0
			if err := c.checkAttemptedMessage(a.endpoint); err != nil {
				return err
			}
		}
		switch {
		case a.trigger != webhook.TriggerScheduled:
			continue
		case a.number > highest+1:
			if some, err := c.isBeingRemoved(c.indexed.id); err != nil || some {
				return err
			}
			c.violated("%s of %s to %s has the number %d, but the one before it has number %d", attemptName(a.id),
				messageName(c.indexed.id), endpointName(a.endpoint), a.number, highest)
		case a.number <= highest:
			c.report.Repeated++
		}
		highest = max(highest, a.number)
	}
	c.indexed.attempts = list[:0]
	return nil
}

// isBeingRemoved reports whether a message belongs to an application that is being removed, so
// that some of its attempts may be gone.
func (c *historyCheck) isBeingRemoved(message webhook.ID) (bool, error) {
	for app := range c.goneApps {
		if m, err := c.chunks.message(app, message); err != nil || m != nil {
			return err == nil, err
		}
	}
	return false, nil
}

// checkAttemptedMessage checks whether the message that was sent to an endpoint is in its log. Of
// an endpoint that is gone it is not known which log that was.
func (c *historyCheck) checkAttemptedMessage(endpoint webhook.ID) error {
	e := c.endpoints[endpoint]
	if e == nil {
		return nil
	}
	m, err := c.chunks.message(e.App, c.indexed.id)
	switch {
	case err != nil:
		return err
	case m == nil:
		c.violated("%s has attempts at %s, but is missing from the log of %s", messageName(c.indexed.id), endpointName(endpoint), appName(e.App))
	default:
		c.passed.addAttempted(e, m)
	}
	return nil
}

// findUnindexed reports the attempts that are missing from the index.
func (c *historyCheck) findUnindexed() error {
	if c.report.Attempts == c.count(keyIndex) {
		return nil
	}
	return c.db.scan([]byte{keyHistory}, func(key, value []byte) error {
		if len(key) != recordKinds[keyHistory].size {
			return nil
		}
		endpoint := webhook.ID(key[1 : 1+idSize])
		list, _ := decodeAttempts(key, value, endpoint)
		for i := range list {
			a := &list[i]
			_, found, err := c.get(idKey(keyIndex, a.Message, a.ID))
			if err != nil {
				return err
			}
			if !found {
				c.violated("%s of %s to %s is not in the index", attemptName(a.ID), messageName(a.Message), endpointName(endpoint))
			}
		}
		return nil
	})
}
