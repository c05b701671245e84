package wal

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"hookwheel/webhook"
)

// setCheck checks the retry sets, held sets and manual sets of endpoints, and counts their lines.
type setCheck struct {
	*checkedCatalog
	chunks *checkedChunks
	tasks  *taskCheck
	lines  map[webhook.ID]uint64 // of an endpoint's retry set
	held   map[webhook.ID]uint64 // of its held set
	manual map[webhook.ID]uint64 // of its manual set
}

func newSetCheck(catalog *checkedCatalog, chunks *checkedChunks, tasks *taskCheck) setCheck {
	return setCheck{checkedCatalog: catalog, chunks: chunks, tasks: tasks,
		lines: make(map[webhook.ID]uint64), held: make(map[webhook.ID]uint64), manual: make(map[webhook.ID]uint64)}
}

// checkRetry checks one line of a retry set.
func (c *setCheck) checkRetry(key, value []byte) error {
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
func (c *setCheck) checkPlanned(key, value []byte) error {
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
func (c *setCheck) checkNoted(what string, key []byte) error {
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
func (c *setCheck) checkLastAttempt(what string, endpoint webhook.ID, m *webhook.Message, line *webhook.Retry) error {
	list, err := c.chunks.attemptsAt(endpoint, m.ID)
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
func (c *setCheck) checkHeld(key, value []byte) error {
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
func (c *setCheck) checkManual(key, value []byte) error {
	endpoint, message := webhook.ID(key[1:1+idSize]), webhook.ID(key[1+idSize:])
	what := fmt.Sprintf("the line of %s in the manual set of %s", messageName(message), endpointName(endpoint))
	c.manual[endpoint]++
	switch line, err := decodeManual(key, value); {
	case err != nil || line.Number == 0:
		c.violated("%s can't be read: %x", what, value)
	case !line.Task.IsZero() && c.endpoints[endpoint] != nil:
		c.tasks.checkLine(what, line.Task)
	}
	_, err := c.checkOwned(what, endpoint, message)
	return err
}

// checkOwned looks for the endpoint and the message of a line; nil: one of them is gone, which is
// said if it must not be.
func (c *setCheck) checkOwned(what string, endpoint, message webhook.ID) (*webhook.Message, error) {
	e := c.endpoints[endpoint]
	if e == nil {
		if !c.removed[endpoint] && !c.leaving[endpoint] {
			c.violated("%s belongs to an endpoint that does not exist and is not being removed", what)
		}
		return nil, nil
	}
	m, err := c.chunks.message(e.App, message)
	if err == nil && m == nil {
		c.violated("%s names a message that is missing from the log of %s", what, appName(e.App))
	}
	return m, err
}

// checkCounts compares the counts of cursors with the records.
func (c *setCheck) checkCounts() {
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
