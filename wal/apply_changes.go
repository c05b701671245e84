package wal

import (
	"bytes"
	"time"

	"hookwheel/webhook"
)

const (
	changesKept   = 7 * 24 * time.Hour // how long state changes can be read
	changesForget = 4                  // entries whose changes one entry forgets at most, when it adds some
)

// changed records a state change, and whose command made it.
func (e *entry) changed(change webhook.StateChange) {
	change.By = e.actor
	e.states = append(e.states, change)
}

// haveSameRecord reports whether two objects are stored as the same bytes.
func haveSameRecord(a, b any) (bool, error) {
	x, err := encodeJSON(a)
	if err != nil {
		return false, err
	}
	y, err := encodeJSON(b)
	return bytes.Equal(x, y), err
}

func (e *entry) endpointChanged(change webhook.Change, endpoint *webhook.Endpoint) {
	e.changed(webhook.StateChange{Change: change, App: endpoint.App, Endpoint: endpoint.ID})
}

// endpointUpdated records what changed about an endpoint.
func (e *entry) endpointUpdated(before, after *webhook.Endpoint) {
	change := webhook.EndpointUpdated
	switch {
	case after.Disabled && !before.Disabled:
		change = webhook.EndpointDisabled
	case before.Disabled && !after.Disabled:
		change = webhook.EndpointEnabled
	case after.Paused && !before.Paused:
		change = webhook.EndpointPaused
	case before.Paused && !after.Paused:
		change = webhook.EndpointResumed
	}
	e.endpointChanged(change, after)
}

// tellHealth records that the breaker of an endpoint opened or closed.
func (e *entry) tellHealth(id webhook.ID, before, after *webhook.Health) {
	endpoint := e.store.catalog.endpoints[id]
	if endpoint == nil || before.Parked == after.Parked {
		return
	}
	if after.Parked {
		e.endpointChanged(webhook.EndpointParked, endpoint)
	} else {
		e.endpointChanged(webhook.EndpointUnparked, endpoint)
	}
}

// tailAttempt adds an attempt to the event stream, without its response and its headers, which would keep
// the whole command in memory.
func (e *entry) tailAttempt(endpoint webhook.ID, a *webhook.Attempt) {
	told := *a
	told.Endpoint, told.Response = endpoint, tailedResponse(a)
	if a.Trace != nil {
		trace := *a.Trace
		trace.Headers, told.Trace = nil, &trace
	}
	event := Event{ID: a.ID, Endpoint: endpoint, Attempt: &told}
	if at := e.store.catalog.endpoints[endpoint]; at != nil {
		event.App = at.App
	}
	e.changes.events = append(e.changes.events, event)
}

// maxTailedResponse is how many bytes of an error the event stream keeps.
const maxTailedResponse = 256

// tailedResponse returns a copy of the error of an attempt that got no response.
func tailedResponse(a *webhook.Attempt) []byte {
	if a.StatusCode != 0 {
		return nil
	}
	return bytes.Clone(a.Response[:min(len(a.Response), maxTailedResponse)])
}

// keepChanges writes the state changes of this entry, and forgets old ones.
func (e *entry) keepChanges() error {
	if len(e.states) == 0 {
		return nil
	}
	for i := range e.states {
		var err error
		if e.states[i].ID, err = e.id(); err != nil {
			return err
		}
	}
	record, err := encodeJSON(e.states)
	if err != nil {
		return err
	}
	old, err := e.firstKeys([]byte{keyChange}, changesForget)
	if err != nil {
		return err
	}
	for _, key := range old {
		if placedID(key, 0).Millis() < e.batch.meta.clock-changesKept.Milliseconds() {
			e.batch.delete(key)
		}
	}
	e.batch.set(changeKey(e.first()), record)
	if e.store.tails.isAnyOpen() {
		for i := range e.states {
			change := &e.states[i]
			e.changes.events = append(e.changes.events, Event{ID: change.ID, App: change.App, Endpoint: change.Endpoint, Change: change})
		}
	}
	return nil
}

// changeKey returns the key of the state changes of the entry that created id.
func changeKey(id webhook.ID) []byte { return append([]byte{keyChange}, id[:entrySize]...) }

func decodeChanges(value []byte) (list []webhook.StateChange, err error) {
	return list, decodeJSON(value, &list)
}
