package wal

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"hookwheel/webhook"
)

func clockTime(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// cachedItems is the limit of a chunkCache.
const cachedItems = 100_000

// chunkCache caches the chunks that were read last.
type chunkCache[T any] struct {
	chunks map[string][]T
	order  []string
	items  int
}

func (h *chunkCache[T]) get(key []byte) ([]T, bool) {
	list, found := h.chunks[string(key)]
	return list, found
}

func (h *chunkCache[T]) put(key []byte, list []T) {
	if h.chunks == nil {
		h.chunks = make(map[string][]T)
	}
	for h.items > cachedItems {
		h.items -= 1 + len(h.chunks[h.order[0]])
		delete(h.chunks, h.order[0])
		h.order = h.order[1:]
	}
	h.chunks[string(key)] = list
	h.order = append(h.order, string(key))
	h.items += 1 + len(list)
}

// logChunk returns the messages in a chunk, without payloads. A chunk that is missing or
// unreadable, which is reported elsewhere, has none.
func (c *checker) logChunk(key []byte) ([]webhook.Message, error) {
	if list, found := c.logs.get(key); found {
		return list, nil
	}
	value, found, err := c.get(key)
	if err != nil {
		return nil, err
	}
	var list []webhook.Message
	if found {
		list, _ = decodeMessages(key, value, webhook.ID(key[1:1+idSize]))
	}
	for i := range list {
		list[i].Payload = nil
	}
	c.logs.put(key, list)
	return list, nil
}

// message finds a message in the log of an application, or returns nil.
func (c *checker) message(app, id webhook.ID) (*webhook.Message, error) {
	list, err := c.logChunk(chunkKey(keyLog, app, id))
	i := slices.IndexFunc(list, func(m webhook.Message) bool { return m.ID == id })
	if i < 0 {
		return nil, err
	}
	return &list[i], nil
}

// checkMessages checks one chunk of a log.
func (c *checker) checkMessages(key, value []byte) error {
	app := webhook.ID(key[1 : 1+idSize])
	follows := c.follows(key)
	c.shares.held[app] += int64(len(key) + len(value))
	if c.fronts[app].first.After(entryOf(key)) {
		c.violated("the log of %s has messages of entry %d, from before its recorded front", appName(app), entryOf(key).Index())
	}
	if c.apps[app] == nil && !c.goneApps[app] {
		c.violated("there is a log of the unknown %s", appName(app))
	}
	list, err := decodeMessages(key, value, app)
	if err != nil {
		c.violated("the part of the log of %s from entry %d can't be read: %v", appName(app), entryOf(key).Index(), err)
	}
	for i := range list {
		m := &list[i]
		c.shares.addMessage(app, m.ID)
		what := messageName(m.ID)
		if !c.checkID(m.ID, what) {
			continue
		}
		c.report.Messages++
		switch {
		case i > 0 && !m.ID.After(list[i-1].ID):
			c.violated("%s is in the log of %s after %s", what, appName(app), messageName(list[i-1].ID))
		case i == 0 && !follows:
			c.violated("%s of entry %d is in the log of %s after a message of a later entry", what, m.ID.Index(), appName(app))
		case app.After(m.ID):
			c.violated("%s is older than its %s", what, appName(app))
		}
		if expiryKey(m) != nil {
			c.expiries++
		} else if c.fronts[app].aged.After(entryOf(key)) {
			c.violated("%s in the log of %s is overlooked: retention has passed it", what, appName(app))
		}
		if err := c.checkUnique(m); err != nil {
			return err
		}
		for _, endpoint := range c.byApp[app] {
			if c.leftBehind(endpoint, m) {
				c.passed[endpoint.ID]++
			}
		}
	}
	return nil
}

// checkUnique looks for the event id of a message.
func (c *checker) checkUnique(m *webhook.Message) error {
	if m.EventID == "" {
		return nil
	}
	c.eventIDs++
	value, found, err := c.get(uniqueKey(m.App, m.EventID))
	switch {
	case err != nil:
		return err
	case !found:
		c.violated("%s has the event id %q, which is not recorded, so it could be used again", messageName(m.ID), m.EventID)
	case !bytes.Equal(value, m.ID[:]):
		c.violated("%s has the event id %q, which is recorded for another message: %x", messageName(m.ID), m.EventID, value)
	}
	return nil
}

// checkExpiry checks one line of the list of messages by expiry.
func (c *checker) checkExpiry(key, value []byte) error {
	_, due, app, id := parseExpiryKey(key)
	what := fmt.Sprintf("the line that says that %s expires at %s", messageName(id), clockTime(due).Format(time.RFC3339Nano))
	if len(value) != 0 {
		c.violated("%s has %d bytes", what, len(value))
	}
	m, err := c.message(app, id)
	switch {
	case err != nil:
		return err
	case m == nil:
		c.violated("%s names a message that is missing from the log of %s", what, appName(app))
	case !bytes.Equal(expiryKey(m), key):
		c.violated("%s does not match the message's retention", what)
	case due < c.meta.expiries[key[1]]:
		c.violated("%s is overlooked: all due before %s count as gone", what, clockTime(c.meta.expiries[key[1]]).Format(time.RFC3339Nano))
	}
	return nil
}

// checkFront checks the recorded front of a log.
func (c *checker) checkFront(key, value []byte) {
	app := webhook.ID(key[1:])
	f, err := decodeFront(value)
	switch {
	case err != nil:
		c.violated("the front of the log of %s can't be read: %v", appName(app), err)
	case c.apps[app] == nil:
		c.violated("the front of the log of %s is recorded, which does not exist", appName(app))
	case f == front{}:
		c.violated("the front of the log of %s is recorded as its beginning", appName(app))
	}
}

// leftBehind reports whether an endpoint wants a message and is past it, so that it must have been
// sent it.
func (c *checker) leftBehind(endpoint *webhook.Endpoint, m *webhook.Message) bool {
	place := c.cursors[endpoint.ID]
	if place == nil || !m.ID.After(endpoint.ID) || !m.ID.After(endpoint.FilterSince) || place.isFresh(m.ID) || !endpoint.Wants(m) {
		return false
	}
	_, skipped := place.skipped(m.ID)
	return !skipped
}

// findPassed names the messages that endpoints have left behind without an attempt. Nearly always
// as many were attempted, and then it finds none.
func (c *checker) findPassed() error {
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

func (c *checker) checkAttempted(endpoint *webhook.Endpoint, m *webhook.Message) error {
	if !c.leftBehind(endpoint, m) {
		return nil
	}
	list, err := c.attemptsAt(endpoint.ID, m.ID)
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

// checkEventID checks only the form: checkUnique has found those of all messages, and
// findLooseEventIDs looks for others if there are more.
func (c *checker) checkEventID(key, value []byte) {
	if len(value) != idSize {
		c.violated("the event id %q is recorded for an invalid message id: %x", key[1+idSize:], value)
	}
}

// findLooseEventIDs reports event ids that no message has.
func (c *checker) findLooseEventIDs() error {
	return c.db.scan([]byte{keyUnique}, func(key, value []byte) error {
		if len(key) <= 1+idSize || len(value) != idSize {
			return nil
		}
		app, id := webhook.ID(key[1:1+idSize]), webhook.ID(value)
		m, err := c.db.message(app, id)
		if webhook.ErrorCode(err) == webhook.CodeNotFound {
			c.violated("the event id %q is recorded for %s, which is missing from the log of %s", key[1+idSize:], messageName(id), appName(app))
			return nil
		}
		if err == nil && m.EventID != string(key[1+idSize:]) {
			c.violated("the event id %q is recorded for %s, which has a different one: %q", key[1+idSize:], messageName(id), m.EventID)
		}
		return nil // what can't be read has been said
	})
}
