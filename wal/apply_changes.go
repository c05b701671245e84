package wal

import (
	"time"

	"hookwheel/webhook"
)

const (
	changesKept   = 7 * 24 * time.Hour // that state changes can be read
	changesForget = 4                  // entries of them that one which adds some forgets at most
)

// changed notes a change of state for who follows along.
func (e *entry) changed(change webhook.StateChange) { e.states = append(e.states, change) }

func (e *entry) endpointChanged(change webhook.Change, endpoint *webhook.Endpoint) {
	e.changed(webhook.StateChange{Change: change, App: endpoint.App, Endpoint: endpoint.ID})
}

// endpointUpdated says what of an endpoint has changed, in a word.
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

// tellHealth says when the breaker of an endpoint opens or closes.
func (e *entry) tellHealth(id webhook.ID, before, after *webhook.Health) {
	endpoint := e.store.nouns.endpoints[id]
	if endpoint == nil || before.Parked == after.Parked {
		return
	}
	if after.Parked {
		e.endpointChanged(webhook.EndpointParked, endpoint)
	} else {
		e.endpointChanged(webhook.EndpointUnparked, endpoint)
	}
}

// tailAttempt tells of an attempt; its response is left out: it would hold on to the whole command.
func (e *entry) tailAttempt(endpoint webhook.ID, a *webhook.Attempt) {
	told := *a
	told.Endpoint, told.Response = endpoint, nil
	event := Event{ID: a.ID, Endpoint: endpoint, Attempt: &told}
	if at := e.store.nouns.endpoints[endpoint]; at != nil {
		event.App = at.App
	}
	e.changes.events = append(e.changes.events, event)
}

// keepChanges writes the changes of state of the entry, and forgets old ones.
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
	if e.store.tails.any() {
		for i := range e.states {
			change := &e.states[i]
			e.changes.events = append(e.changes.events, Event{ID: change.ID, App: change.App, Endpoint: change.Endpoint, Change: change})
		}
	}
	return nil
}

// changeKey is where the changes of state of the entry that made id stand.
func changeKey(id webhook.ID) []byte { return append([]byte{keyChange}, id[:entrySize]...) }

func decodeChanges(value []byte) (list []webhook.StateChange, err error) {
	return list, decodeJSON(value, &list)
}
