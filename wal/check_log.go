package wal

import (
	"bytes"
	"fmt"
	"time"

	"hookwheel/webhook"
)

// logCheck checks logs, and what lists their messages.
type logCheck struct {
	*checkedCatalog
	chunks   *checkedChunks
	shares   *shareCheck
	passed   *passedCheck
	read     chunkPlace
	eventIDs int // messages that have one
	expiries int // messages that belong under X
}

// checkMessages checks one chunk of a log.
func (c *logCheck) checkMessages(key, value []byte) error {
	app := webhook.ID(key[1 : 1+idSize])
	follows := c.read.follows(key)
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
		c.passed.addMessage(app, m)
	}
	return nil
}

// checkUnique looks for the event id of a message.
func (c *logCheck) checkUnique(m *webhook.Message) error {
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
func (c *logCheck) checkExpiry(key, value []byte) error {
	_, due, app, id := parseExpiryKey(key)
	what := fmt.Sprintf("the line that says that %s expires at %s", messageName(id), clockTime(due).Format(time.RFC3339Nano))
	if len(value) != 0 {
		c.violated("%s has %d bytes", what, len(value))
	}
	m, err := c.chunks.message(app, id)
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

// checkExpiries compares the list of messages by expiry with the messages.
func (c *logCheck) checkExpiries() {
	if lines := c.count(keyExpiry); c.expiries != lines {
		c.violated("%d messages leave in an order of their own, but %d are listed by expiry", c.expiries, lines)
	}
}

// checkFront checks the recorded front of a log.
func (c *logCheck) checkFront(key, value []byte) {
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

// checkEventID checks only the form: checkUnique has found those of all messages, and
// findLooseEventIDs looks for others if there are more.
func (c *logCheck) checkEventID(key, value []byte) {
	if len(value) != idSize {
		c.violated("the event id %q is recorded for an invalid message id: %x", key[1+idSize:], value)
	}
}

// findLooseEventIDs reports event ids that no message has.
func (c *logCheck) findLooseEventIDs() error {
	if c.eventIDs == c.count(keyUnique) {
		return nil
	}
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
