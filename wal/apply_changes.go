package wal

import (
	"bytes"
	"maps"
	"slices"
	"time"

	"hookwheel/webhook"
)

const (
	changesKept   = 7 * 24 * time.Hour // how long state changes can be read
	changesForget = 4                  // records of changes that are forgotten at most when one is added
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

// changeTable notes for an entry what changed, for the list of changes and for those who watch.
type changeTable struct{ *entry }

func (e changeTable) endpointChanged(change webhook.Change, endpoint *webhook.Endpoint) {
	e.changed(webhook.StateChange{Change: change, App: endpoint.App, Endpoint: endpoint.ID})
}

// endpointUpdated records what changed about an endpoint.
func (e changeTable) endpointUpdated(before, after *webhook.Endpoint) {
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
func (e changeTable) tellHealth(id webhook.ID, before, after *webhook.Health) {
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

// tailAttempt adds an attempt to the event stream, without its response and its headers, which
// would keep the whole command in memory.
func (e changeTable) tailAttempt(endpoint webhook.ID, a *webhook.Attempt) {
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

// keep writes the state changes of this entry, and forgets old ones. Those of one maker are
// in one record, so they follow each other.
func (e changeTable) keep() error {
	if len(e.states) == 0 {
		return nil
	}
	slices.SortStableFunc(e.states, func(a, b webhook.StateChange) int { return makerOf(&a).compare(makerOf(&b)) })
	for i := range e.states {
		var err error
		if e.states[i].ID, err = e.id(); err != nil {
			return err
		}
	}
	e.store.mu.Lock()
	defer e.store.mu.Unlock()
	runs := byMaker(e.states)
	for _, list := range runs {
		if err := e.keepOf(makerOf(&list[0]), list); err != nil {
			return err
		}
	}
	if err := e.makeRoom(runs); err != nil {
		return err
	}
	if e.store.tails.isAnyOpen() {
		for i := range e.states {
			change := &e.states[i]
			e.changes.events = append(e.changes.events, Event{ID: change.ID, App: change.App, Endpoint: change.Endpoint, Change: change})
		}
	}
	return nil
}

// keepOf writes what one maker has changed, and forgets some of the oldest changes of all.
func (e changeTable) keepOf(by maker, list []webhook.StateChange) error {
	if err := e.forget(); err != nil {
		return err
	}
	text, err := encodeJSON(list)
	if err != nil {
		return err
	}
	record := changeRecord{count: uint64(len(list)), list: text}
	key, value := changeKey(e.first(), by), record.encode()
	e.batch.add(key, value)
	e.store.catalog.changes.add(by, changePlace{e.first(), uint32(len(key) + len(value)), uint32(len(list))})
	return nil
}

// forget removes some changes that are kept no longer.
func (e changeTable) forget() error {
	kept := &e.store.catalog.changes
	var old [][]byte
	err := e.store.pending.seek([]byte{keyChange}, kept.oldest, func(key, _ []byte) error {
		kept.oldest = bytes.Clone(key)
		if entryOf(key[:1+entrySize]).Millis() >= e.batch.meta.clock-changesKept.Milliseconds() || len(old) == changesForget {
			return errStop
		}
		old = append(old, kept.oldest)
		return nil
	})
	for _, key := range old {
		_, by := parseChangeKey(key)
		made := kept.makers[by]
		kept.drop(by, made)
		made.removed = 0 // those were older
		e.batch.delete(key)
	}
	return err
}

// makeRoom removes the oldest changes of makers that have more than their share, and then
// of those that have most, until the changes of each class of makers take no more than they may.
func (e changeTable) makeRoom(runs [][]webhook.StateChange) error {
	kept := &e.store.catalog.changes
	cut := make(map[maker]bool)
	for _, list := range runs {
		by := makerOf(&list[0])
		for made := kept.makers[by]; by.class != makerOperator && made.bytes > kept.share && len(made.records) > 1; {
			e.cut(by, made)
			cut[by] = true
		}
	}
	for class := range makerClass(makerClasses) {
		for kept.bytes[class] > kept.room {
			by := kept.largest(class)
			e.cut(by, kept.makers[by])
			cut[by] = true
		}
	}
	for _, by := range slices.SortedFunc(maps.Keys(cut), maker.compare) {
		if made := kept.makers[by]; made != nil {
			if err := e.noteRemoved(by, made); err != nil {
				return err
			}
		}
	}
	return nil
}

// cut removes the oldest record of a maker, and counts its changes.
func (e changeTable) cut(by maker, made *madeChanges) {
	gone := e.store.catalog.changes.drop(by, made)
	made.removed += uint64(gone.count)
	e.batch.delete(changeKey(gone.entry, by))
	total := &e.batch.meta.removed[by.class]
	total.count += uint64(gone.count)
	total.newest = max(total.newest, gone.entry.Millis())
}

// noteRemoved writes to the oldest record of a maker how many changes before it were removed.
func (e changeTable) noteRemoved(by maker, made *madeChanges) error {
	key := changeKey(made.records[0].entry, by)
	was, _, err := e.store.pending.get(key)
	if err != nil {
		return err
	}
	var record changeRecord
	if err := record.decode(was); err != nil {
		return err
	}
	record.removed = made.removed
	e.batch.setChunk(key, was, record.encode()) // of the same size
	return nil
}
