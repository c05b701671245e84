package wal

import (
	"bytes"
	"maps"
	"slices"

	"hookwheel/webhook"
)

// shareCheck sums up what each application holds, to compare it with the shares that the store
// counts.
type shareCheck struct {
	*checkedCatalog
	held   map[webhook.ID]int64 // by application
	shares map[webhook.ID]int64 // as the store has them

	// The history of an endpoint that is gone counts to the application of its messages.
	orphans  map[webhook.ID]int64        // bytes of the histories of such endpoints
	messages map[webhook.ID][]webhook.ID // such endpoints, each by one message that it was sent
}

func newShareCheck(catalog *checkedCatalog) shareCheck {
	return shareCheck{checkedCatalog: catalog, held: make(map[webhook.ID]int64), shares: make(map[webhook.ID]int64),
		orphans: make(map[webhook.ID]int64), messages: make(map[webhook.ID][]webhook.ID)}
}

// addHistory counts a chunk of the history of an endpoint with these attempts.
func (c *shareCheck) addHistory(endpoint webhook.ID, size int, list []webhook.Attempt) {
	if app, found := c.owners[endpoint]; found {
		c.held[app] += int64(size)
		return
	}
	if _, found := c.orphans[endpoint]; !found && len(list) > 0 {
		c.messages[list[0].Message] = append(c.messages[list[0].Message], endpoint)
	}
	c.orphans[endpoint] += int64(size)
}

// addMessage is told, behind all histories, to which application a message belongs.
func (c *shareCheck) addMessage(app, message webhook.ID) {
	for _, endpoint := range c.messages[message] {
		c.held[app] += c.orphans[endpoint]
		delete(c.orphans, endpoint)
	}
	delete(c.messages, message)
}

// checkShare checks the recorded share of an application.
func (c *shareCheck) checkShare(key, value []byte) {
	app := webhook.ID(key[1:])
	held, err := decodeShare(value)
	switch {
	case err != nil:
		c.violated("the share of %s can't be read: %v", appName(app), err)
	case held == 0:
		c.violated("the share of %s is recorded as zero", appName(app))
	case !bytes.Equal(encodeShare(held), value):
		c.violated("the share of %s is not encoded in the shortest form: %x", appName(app), value)
	}
	c.shares[app] = held
}

// checkShares compares the shares with what was counted.
func (c *shareCheck) checkShares() {
	for _, endpoint := range slices.SortedFunc(maps.Keys(c.orphans), webhook.ID.Compare) {
		c.violated("the messages in the history of the deleted %s are missing from the log of every application", endpointName(endpoint))
	}
	if len(c.orphans) > 0 { // to whom these count nobody knows
		return
	}
	for _, app := range slices.SortedFunc(maps.Keys(c.shares), webhook.ID.Compare) {
		if c.shares[app] != c.held[app] {
			c.violated("the log of %s and the histories of its endpoints take %d bytes, but the store counts %d", appName(app), c.held[app], c.shares[app])
		}
		delete(c.held, app)
	}
	for _, app := range slices.SortedFunc(maps.Keys(c.held), webhook.ID.Compare) {
		c.violated("the log of %s and the histories of its endpoints take %d bytes, but the store counts none", appName(app), c.held[app])
	}
}
