package wal

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"hookwheel/webhook"
)

// recorded is the part of an attempt that the check needs.
type recorded struct {
	id, message webhook.ID
	number      uint32
	trigger     webhook.Trigger
	next        time.Time
}

// historyChunk returns the attempts of a chunk. A chunk that is missing or unreadable, which is
// reported elsewhere, has none.
func (c *checker) historyChunk(key []byte) ([]recorded, error) {
	if list, found := c.histories.get(key); found {
		return list, nil
	}
	value, found, err := c.get(key)
	if err != nil {
		return nil, err
	}
	var list []recorded
	if found {
		attempts, _ := decodeAttempts(key, value, webhook.ID{})
		for i := range attempts {
			a := &attempts[i]
			list = append(list, recorded{id: a.ID, message: a.Message, number: a.Number, trigger: a.Trigger, next: a.Next})
		}
	}
	c.histories.put(key, list)
	return list, nil
}

// attempt finds one in the history of an endpoint.
func (c *checker) attempt(endpoint, id webhook.ID) (a recorded, found bool, err error) {
	list, err := c.historyChunk(chunkKey(keyHistory, endpoint, id))
	i := slices.IndexFunc(list, func(a recorded) bool { return a.id == id })
	if i < 0 {
		return a, false, err
	}
	return list[i], true, err
}

// checkHistory checks one chunk of a history. The endpoint may be gone, its history stays.
func (c *checker) checkHistory(key, value []byte) {
	endpoint := webhook.ID(key[1 : 1+idSize])
	follows := c.follows(key)
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
func (c *checker) checkIndex(key, value []byte) error {
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
	a, found, err := c.attempt(endpoint, id)
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
func (c *checker) endMessage() error {
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
func (c *checker) isBeingRemoved(message webhook.ID) (bool, error) {
	for app := range c.goneApps {
		if m, err := c.message(app, message); err != nil || m != nil {
			return err == nil, err
		}
	}
	return false, nil
}

// checkAttemptedMessage checks whether the message that was sent to an endpoint is in its log. Of
// an endpoint that is gone it is not known which log that was.
func (c *checker) checkAttemptedMessage(endpoint webhook.ID) error {
	e := c.endpoints[endpoint]
	if e == nil {
		return nil
	}
	m, err := c.message(e.App, c.indexed.id)
	switch {
	case err != nil:
		return err
	case m == nil:
		c.violated("%s has attempts at %s, but is missing from the log of %s", messageName(c.indexed.id), endpointName(endpoint), appName(e.App))
	case c.leftBehind(e, m):
		c.reached[endpoint]++
	}
	return nil
}

// checkDropped checks the record that a message has left the log before all of its attempts.
func (c *checker) checkDropped(key, value []byte) error {
	id := webhook.ID(key[1:])
	what := "the record of the attempts left of " + messageName(id)
	c.checkID(id, what)
	m, err := decodeDropped(id, value)
	switch {
	case err != nil:
		c.violated("%s can't be read: %x", what, value)
	case c.apps[m.app] == nil && !c.goneApps[m.app]:
		c.violated("%s names %s, which does not exist", what, appName(m.app))
	default:
		c.shares.addMessage(m.app, id)
	}
	found, err := c.checkPassed(what, idKey(keyIndex, id), idKey(keyIndex, id, m.after))
	if err == nil && !found {
		c.violated("%s exists, but no attempts are left", what)
	}
	return err
}

// checkPassed checks that no record with this prefix is before the one to which the removal of
// records has come, and reports whether there is any.
func (c *checker) checkPassed(what string, prefix, after []byte) (found bool, err error) {
	first, err := firstKeysIn(c.db.view, prefix, 1)
	if err == nil && len(first) > 0 && bytes.Compare(first[0], after) < 0 {
		c.violated("%s is past a record that is left: %x", what, first[0])
	}
	return len(first) > 0, err
}

// findUnindexed reports the attempts that are missing from the index.
func (c *checker) findUnindexed() error {
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

// checkRetry checks one line of a retry set.
func (c *checker) checkRetry(key, value []byte) error {
	endpoint := webhook.ID(key[1 : 1+idSize])
	due, message := parseRetryKey(key)
	what := fmt.Sprintf("the line of %s in the retry set of %s, due at %s,", messageName(message), endpointName(endpoint), due.Format(time.RFC3339Nano))
	line, err := decodeRetry(key, value)
	if err != nil {
		c.violated("%s has an invalid number of attempts: %x", what, value)
		return nil
	}
	c.lines[endpoint]++
	if err := c.checkNoted(what, key); err != nil {
		return err
	}
	m, err := c.checkOwned(what, endpoint, message)
	if err != nil || m == nil {
		return err
	}
	if place := c.cursors[endpoint]; place != nil && m.ID.After(endpoint) && place.isFresh(message) {
		c.violated("%s names a message that the endpoint's cursor has not reached", what)
	}
	return c.checkLastAttempt(what, endpoint, m, &line)
}

// checkPlanned checks the index entry of when a message is due at an endpoint.
func (c *checker) checkPlanned(key, value []byte) error {
	message, endpoint := webhook.ID(key[1:1+idSize]), webhook.ID(key[1+idSize:])
	what := fmt.Sprintf("the index entry of the planned attempt of %s at %s", messageName(message), endpointName(endpoint))
	line, err := plannedLine(key, value)
	if err != nil {
		c.violated("%s can't be read: %x", what, value)
		return nil
	}
	_, found, err := c.get(line)
	if err == nil && !found {
		c.violated("%s does not match a line of the retry set", what)
	}
	return err
}

// checkNoted checks whether a line of a retry set is noted.
func (c *checker) checkNoted(what string, key []byte) error {
	due, message := parseRetryKey(key)
	value, found, err := c.get(plannedKey(message, webhook.ID(key[1:1+idSize])))
	switch {
	case err != nil:
		return err
	case !found:
		c.violated("%s is missing from the index of planned attempts", what)
	case !bytes.Equal(value, encodePlanned(due)):
		c.violated("%s is in the index of planned attempts with a different time: %x", what, value)
	}
	return nil
}

// checkLastAttempt compares a line of a retry set with what wrote it: the last scheduled attempt,
// or one of several that have its number, or a manual one; or the message, which was not to be
// sent before.
func (c *checker) checkLastAttempt(what string, endpoint webhook.ID, m *webhook.Message, line *webhook.Retry) error {
	list, err := c.attemptsAt(endpoint, m.ID)
	if err != nil {
		return err
	}
	last, agrees := uint32(0), line.Made == 0 // put off before any attempt
	for _, a := range list {
		if a.trigger == webhook.TriggerScheduled {
			last = max(last, a.number)
		}
	}
	for _, a := range list {
		switch {
		case a.trigger == webhook.TriggerScheduled && a.number != last || a.next.IsZero():
		case a.next.Equal(line.Due):
			agrees = true
		case a.next.After(line.Due): // told with the earlier one of the two
			_, second, err := c.get(retryKey(endpoint, a.next, m.ID))
			if err != nil {
				return err
			}
			if second {
				c.violated("%s is a duplicate; the other line is due at %s", what, a.next.Format(time.RFC3339Nano))
			}
		}
	}
	switch {
	case last != line.Made:
		c.violated("%s counts %d attempts, but the last recorded one has number %d", what, line.Made, last)
	case !agrees:
		c.violated("%s does not match the last attempt, number %d", what, last)
	}
	return nil
}

// checkHeld checks one line of a held set.
func (c *checker) checkHeld(key, value []byte) error {
	endpoint, line := webhook.ID(key[1:1+idSize]), parseHeldKey(key)
	what := fmt.Sprintf("the line of %s in the held set of %s", messageName(line.Message), endpointName(endpoint))
	c.held[endpoint]++
	if len(value) != 0 {
		c.violated("%s has %d bytes", what, len(value))
	}
	m, err := c.checkOwned(what, endpoint, line.Message)
	if err != nil || m == nil {
		return err
	}
	if hash := webhook.OrderingKeyHash(m.OrderingKey); hash != line.Key {
		c.violated("%s has the key %x, but the message has the ordering key %x", what, line.Key, hash)
	}
	if place := c.cursors[endpoint]; place != nil && place.isFresh(line.Message) {
		c.violated("%s names a message that the endpoint's cursor has not reached", what)
	}
	return nil
}

// checkManual checks one line of a manual set.
func (c *checker) checkManual(key, value []byte) error {
	endpoint, message := webhook.ID(key[1:1+idSize]), webhook.ID(key[1+idSize:])
	what := fmt.Sprintf("the line of %s in the manual set of %s", messageName(message), endpointName(endpoint))
	c.manual[endpoint]++
	switch line, err := decodeManual(key, value); {
	case err != nil || line.Number == 0:
		c.violated("%s can't be read: %x", what, value)
	case !line.Task.IsZero() && c.endpoints[endpoint] != nil:
		c.checkTaskLine(what, line.Task)
	}
	_, err := c.checkOwned(what, endpoint, message)
	return err
}

// checkOwned looks for the endpoint and the message of a line; nil: one of them is gone, which is
// said if it must not be.
func (c *checker) checkOwned(what string, endpoint, message webhook.ID) (*webhook.Message, error) {
	e := c.endpoints[endpoint]
	if e == nil {
		if !c.removed[endpoint] && !c.leaving[endpoint] {
			c.violated("%s belongs to an endpoint that does not exist and is not being removed", what)
		}
		return nil, nil
	}
	m, err := c.message(e.App, message)
	if err == nil && m == nil {
		c.violated("%s names a message that is missing from the log of %s", what, appName(e.App))
	}
	return m, err
}

// checkCounts compares the counts of cursors with the records.
func (c *checker) checkCounts() {
	for _, id := range slices.SortedFunc(maps.Keys(c.cursors), webhook.ID.Compare) {
		place := c.cursors[id]
		for _, count := range []struct {
			what           string
			counted, there uint64
		}{{"retry", place.counts.waiting, c.lines[id]}, {"held", place.counts.held, c.held[id]}, {"manual", place.counts.manual, c.manual[id]}} {
			if count.counted != count.there {
				c.violated("the cursor of %s counts %d lines in its %s set, but it has %d", endpointName(id), count.counted, count.what, count.there)
			}
		}
	}
}

// attemptsAt returns the attempts to deliver a message to an endpoint.
func (c *checker) attemptsAt(endpoint, message webhook.ID) (list []recorded, err error) {
	prefix := idKey(keyIndex, message)
	err = c.db.scan(prefix, func(key, value []byte) error {
		if len(key) != recordKinds[keyIndex].size || len(value) != idSize || webhook.ID(value) != endpoint {
			return nil
		}
		a, found, err := c.attempt(endpoint, webhook.ID(key[1+idSize:]))
		if found {
			list = append(list, a)
		}
		return err
	})
	return list, err
}
