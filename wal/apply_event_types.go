package wal

import (
	"fmt"

	"hookwheel/webhook"
)

var (
	errNoEventType = &webhook.Error{Code: webhook.CodeNotFound, Detail: "Event type not found"}
	errTypeExists  = &webhook.Error{Code: webhook.CodeTypeExists, Detail: "an event type with this name exists already"}
)

// eventTypeTable changes the event types for an entry.
type eventTypeTable struct{ *entry }

// create may take the name of an archived event type. The reply is the event type.
func (e eventTypeTable) create(c *createEventType) ([]byte, error) {
	t := &c.EventType
	switch before := e.store.catalog.eventTypes[t.Name]; {
	case before == nil:
		if err := e.checkRoom(c.Max); err != nil {
			return nil, err
		}
	case !before.Archived:
		return nil, errTypeExists
	}
	t.CreatedAt = e.now()
	e.noteChange(webhook.EventTypeCreated, t.Name)
	return e.put(t)
}

// checkRoom counts the event types, archived ones included.
func (e eventTypeTable) checkRoom(limit int) error {
	if limit > 0 && len(e.store.catalog.eventTypes) >= limit {
		return &webhook.Error{Code: webhook.CodeLimit, Detail: fmt.Sprintf("There are %d event types, which is the limit: delete one with expunge=true, "+
			"or raise limits.event_types in the configuration.", limit)}
	}
	return nil
}

// update replaces an event type with an edited copy of it. The reply is the event type.
func (e eventTypeTable) update(t *webhook.EventType) ([]byte, error) {
	before, err := e.find(t.Name)
	switch {
	case err != nil:
		return nil, err
	case before.Revision != t.Revision:
		return nil, errChanged
	}
	t.CreatedAt = before.CreatedAt
	same := *before
	same.UpdatedAt, same.Revision = t.UpdatedAt, t.Revision
	switch isSame, err := haveSameRecord(&same, t); {
	case err != nil:
		return nil, err
	case t.Archived && !before.Archived:
		e.noteChange(webhook.EventTypeArchived, t.Name)
	case !isSame:
		e.noteChange(webhook.EventTypeUpdated, t.Name)
	}
	return e.put(t)
}

// remove archives an event type, or forgets it when it is expunged. Endpoints that chose
// it keep it.
func (e eventTypeTable) remove(c *deleteEventType) error {
	t, err := e.find(c.Name)
	switch {
	case err != nil:
		return err
	case c.Expunge:
		e.noteChange(webhook.EventTypeDeleted, c.Name)
		e.store.mu.Lock()
		delete(e.store.catalog.eventTypes, c.Name)
		e.store.mu.Unlock()
		e.batch.delete(nameKey(keyEventType, c.Name))
		return nil
	}
	if !t.Archived {
		e.noteChange(webhook.EventTypeArchived, c.Name)
	}
	t.Archived = true
	_, err = e.put(t)
	return err
}

func (e eventTypeTable) noteChange(change webhook.Change, name string) {
	e.changed(webhook.StateChange{Change: change, EventType: name})
}

func (e eventTypeTable) put(t *webhook.EventType) (record []byte, err error) {
	t.UpdatedAt, t.Revision = e.now(), e.batch.meta.index
	if record, err = encodeJSON(t); err != nil {
		return nil, err
	}
	e.store.mu.Lock()
	e.store.catalog.eventTypes[t.Name] = headOf(t)
	e.store.mu.Unlock()
	e.source = replySource{key: nameKey(keyEventType, t.Name)}
	e.batch.set(e.source.key, record)
	return record, nil
}

// find reads a whole event type. What the catalog has is enough for those that only name it.
func (e eventTypeTable) find(name string) (*webhook.EventType, error) {
	record, found, err := e.store.pending.get(nameKey(keyEventType, name))
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errNoEventType
	}
	t := new(webhook.EventType)
	return t, decodeJSON(record, t)
}
