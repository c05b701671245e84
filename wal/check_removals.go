package wal

import (
	"bytes"

	"hookwheel/webhook"
)

// removalCheck checks the records of what is being removed.
type removalCheck struct {
	*checkedCatalog
	shares *shareCheck
}

func (c *removalCheck) checkRemoved(key, value []byte) error {
	id := webhook.ID(key[1:])
	what := "the record of the removal of " + endpointName(id)
	c.checkID(id, endpointName(id))
	if c.endpoints[id] != nil {
		c.violated("%s is being removed but still exists", endpointName(id))
	}
	gone, err := decodeRemoval(id, value)
	if err != nil {
		c.violated("%s can't be read: %x", what, value)
		return nil
	}
	for _, set := range []byte{keyHeld, keyManual, keyRetry} {
		if _, err := c.checkRemovedUpTo(what, idKey(set, id), gone.after); err != nil {
			return err
		}
	}
	return nil
}

func (c *removalCheck) checkRemovedApp(key, value []byte) error {
	id := webhook.ID(key[1:])
	what := "the record of the removal of " + appName(id)
	c.checkID(id, appName(id))
	if c.apps[id] != nil {
		c.violated("%s is being removed but still exists", appName(id))
	}
	gone, err := decodeRemovedApp(id, value)
	if err != nil {
		c.violated("%s can't be read: %x", what, value)
		return nil
	}
	for _, kind := range []byte{keyEndpoint, keyLog} {
		if _, err := c.checkRemovedUpTo(what, idKey(kind, id), gone.after); err != nil {
			return err
		}
	}
	return nil
}

// checkDropped checks the record that a message has left the log before all of its attempts.
func (c *removalCheck) checkDropped(key, value []byte) error {
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
	found, err := c.checkRemovedUpTo(what, idKey(keyIndex, id), idKey(keyIndex, id, m.after))
	if err == nil && !found {
		c.violated("%s exists, but no attempts are left", what)
	}
	return err
}

// checkRemovedUpTo checks that no record with this prefix is before the one to which the removal of
// records has come, and reports whether there is any.
func (c *removalCheck) checkRemovedUpTo(what string, prefix, after []byte) (found bool, err error) {
	first, err := firstKeysIn(c.db.view, prefix, 1)
	if err == nil && len(first) > 0 && bytes.Compare(first[0], after) < 0 {
		c.violated("%s is past a record that is left: %x", what, first[0])
	}
	return len(first) > 0, err
}
