package wal

import (
	"slices"

	"hookwheel/webhook"
)

// expungedResponse replaces an expunged response.
const expungedResponse = "EXPUNGED"

// expungeMessage deletes the payload of a message permanently. Deliveries of it that are not yet
// made are canceled when their turn comes.
func (e *entry) expungeMessage(c *expungeMessage) error {
	key := chunkKey(keyLog, c.App, c.Message)
	data, found, err := e.store.pending.get(key)
	if err != nil {
		return err
	}
	if !found || e.store.catalog.applications[c.App] == nil {
		return errNoMessage
	}
	list, err := decodeMessages(key, data, c.App)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(m webhook.Message) bool { return m.ID == c.Message })
	if i < 0 {
		return errNoMessage
	}
	list[i].Payload, list[i].Expunged = nil, true
	e.setChunk(c.App, key, data, encodeMessages(list))
	e.changes.Expunged = append(e.changes.Expunged, new(list[i]))
	e.changed(webhook.StateChange{Change: webhook.MessageExpunged, App: c.App, Message: c.Message})
	return nil
}

// expungeAttempt deletes the response to an attempt permanently.
func (e *entry) expungeAttempt(c *expungeAttempt) error {
	v := e.view()
	switch m, err := e.log.message(c.App, c.Message); {
	case err != nil:
		return err
	case m == nil:
		return errNoAttempt
	}
	endpoint, found, err := v.endpointOf(c.Message, c.Attempt)
	if err != nil {
		return err
	}
	if !found {
		return errNoAttempt
	}
	key := chunkKey(keyHistory, endpoint, c.Attempt)
	data, found, err := e.store.pending.get(key)
	if err != nil {
		return err
	}
	if !found { // this entry made it, so nobody can have seen it
		return errNoAttempt
	}
	list, err := decodeAttempts(key, data, endpoint)
	if err != nil {
		return err
	}
	for i := range list {
		if list[i].ID == c.Attempt {
			list[i].Response = []byte(expungedResponse)
			if t := list[i].Trace; t != nil {
				t.Headers, t.HeadersCut = nil, len(t.Headers) > 0
			}
		}
	}
	e.setChunk(c.App, key, data, encodeAttempts(list))
	e.changed(webhook.StateChange{Change: webhook.AttemptExpunged, App: c.App, Endpoint: endpoint, Message: c.Message, Attempt: c.Attempt})
	return nil
}

// encodeMessages writes a chunk of the log again.
func encodeMessages(list []webhook.Message) (chunk []byte) {
	for i := range list {
		chunk = appendMessage(appendPlaced(chunk, messageVersion, list[i].ID.Place()), &list[i])
	}
	return chunk
}

// encodeAttempts writes a chunk of the history again.
func encodeAttempts(list []webhook.Attempt) (chunk []byte) {
	before := &noAttempt
	for i := range list {
		chunk = appendAttempt(appendPlaced(chunk, attemptVersion, list[i].ID.Place()), &list[i], before)
		before = &list[i]
	}
	return chunk
}
