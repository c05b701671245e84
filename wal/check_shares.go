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
	owners map[webhook.ID]webhook.ID // applications of endpoints
	held   map[webhook.ID]int64      // by application
	shares map[webhook.ID]int64      // as the store has them

	// The history of an endpoint that is gone counts to the application of its messages.
	orphans  map[webhook.ID]int64        // bytes of the histories of such endpoints
	messages map[webhook.ID][]webhook.ID // such endpoints, each by one message that it was sent
}

func newShareCheck() shareCheck {
	return shareCheck{owners: make(map[webhook.ID]webhook.ID), held: make(map[webhook.ID]int64), shares: make(map[webhook.ID]int64),
		orphans: make(map[webhook.ID]int64), messages: make(map[webhook.ID][]webhook.ID)}
}

// addHistory counts a chunk of the history of an endpoint with these attempts.
func (s *shareCheck) addHistory(endpoint webhook.ID, size int, list []webhook.Attempt) {
	if app, found := s.owners[endpoint]; found {
		s.held[app] += int64(size)
		return
	}
	if _, found := s.orphans[endpoint]; !found && len(list) > 0 {
		s.messages[list[0].Message] = append(s.messages[list[0].Message], endpoint)
	}
	s.orphans[endpoint] += int64(size)
}

// addMessage is told, behind all histories, to which application a message belongs.
func (s *shareCheck) addMessage(app, message webhook.ID) {
	for _, endpoint := range s.messages[message] {
		s.held[app] += s.orphans[endpoint]
		delete(s.orphans, endpoint)
	}
	delete(s.messages, message)
}

// checkShare checks the recorded share of an application.
func (c *checker) checkShare(key, value []byte) {
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
	c.shares.shares[app] = held
}

// checkShares compares the shares with what was counted.
func (c *checker) checkShares() {
	s := &c.shares
	for _, endpoint := range slices.SortedFunc(maps.Keys(s.orphans), webhook.ID.Compare) {
		c.violated("the messages in the history of the deleted %s are missing from the log of every application", endpointName(endpoint))
	}
	if len(s.orphans) > 0 { // to whom these count nobody knows
		return
	}
	for _, app := range slices.SortedFunc(maps.Keys(s.shares), webhook.ID.Compare) {
		if s.shares[app] != s.held[app] {
			c.violated("the log of %s and the histories of its endpoints take %d bytes, but the store counts %d", appName(app), s.held[app], s.shares[app])
		}
		delete(s.held, app)
	}
	for _, app := range slices.SortedFunc(maps.Keys(s.held), webhook.ID.Compare) {
		c.violated("the log of %s and the histories of its endpoints take %d bytes, but the store counts none", appName(app), s.held[app])
	}
}
