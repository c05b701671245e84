package wal

import (
	"maps"
	"slices"

	"hookwheel/webhook"
)

// passedCheck checks that endpoints have left no message behind that they want without an attempt.
type passedCheck struct {
	*checkedCatalog
	chunks  *checkedChunks
	passed  map[webhook.ID]int // messages that an endpoint wants and has left behind
	reached map[webhook.ID]int // of them, those that were attempted
}

func newPassedCheck(catalog *checkedCatalog, chunks *checkedChunks) passedCheck {
	return passedCheck{catalog, chunks, make(map[webhook.ID]int), make(map[webhook.ID]int)}
}

// addMessage counts a message of a log.
func (c *passedCheck) addMessage(app webhook.ID, m *webhook.Message) {
	for _, endpoint := range c.byApp[app] {
		if c.leftBehind(endpoint, m) {
			c.passed[endpoint.ID]++
		}
	}
}

// addAttempted counts a message that an endpoint was sent.
func (c *passedCheck) addAttempted(endpoint *webhook.Endpoint, m *webhook.Message) {
	if c.leftBehind(endpoint, m) {
		c.reached[endpoint.ID]++
	}
}

// leftBehind reports whether an endpoint wants a message and is past it, so that it must have been
// sent it.
func (c *passedCheck) leftBehind(endpoint *webhook.Endpoint, m *webhook.Message) bool {
	place := c.cursors[endpoint.ID]
	if place == nil || !m.ID.After(endpoint.ID) || !m.ID.After(endpoint.FilterSince) || place.isFresh(m.ID) || !endpoint.Wants(m) {
		return false
	}
	_, skipped := place.skipped(m.ID)
	return !skipped
}

// findPassed names the messages that endpoints have left behind without an attempt. Nearly always
// as many were attempted, and then it finds none.
func (c *passedCheck) findPassed() error {
	for _, id := range slices.SortedFunc(maps.Keys(c.endpoints), webhook.ID.Compare) {
		if c.passed[id] == c.reached[id] {
			continue
		}
		endpoint := c.endpoints[id]
		err := c.db.scan(idKey(keyLog, endpoint.App), func(key, value []byte) error {
			if len(key) != recordKinds[keyLog].size {
				return nil
			}
			list, _ := decodeMessages(key, value, endpoint.App)
			for i := range list {
				if err := c.checkAttempted(endpoint, &list[i]); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *passedCheck) checkAttempted(endpoint *webhook.Endpoint, m *webhook.Message) error {
	if !c.leftBehind(endpoint, m) {
		return nil
	}
	list, err := c.chunks.attemptsAt(endpoint.ID, m.ID)
	if err != nil || len(list) > 0 {
		return err
	}
	waits := [][]byte{heldKey(endpoint.ID, webhook.OrderingKeyHash(m.OrderingKey), m.ID), plannedKey(m.ID, endpoint.ID)}
	for _, key := range waits {
		if _, found, err := c.get(key); found || err != nil {
			return err
		}
	}
	c.violated("the cursor of %[2]s has passed %[1]s, which the endpoint wants, without any attempt", messageName(m.ID), endpointName(endpoint.ID))
	return nil
}
