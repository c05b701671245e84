package wal

import (
	"hookwheel/webhook"
)

var (
	errNoEventType = &webhook.Error{Code: webhook.CodeNotFound, Detail: "Event type not found"}
	errTypeExists  = &webhook.Error{Code: webhook.CodeTypeExists, Detail: "an event type with this name exists already"}
)

// createEventType takes the name of an archived one, too. The reply is the event type.
func (e *entry) createEventType(t *webhook.EventType) ([]byte, error) {
	switch before, err := e.eventType(t.Name); {
	case webhook.ErrorCode(err) == webhook.CodeNotFound:
	case err != nil:
		return nil, err
	case !before.Archived:
		return nil, errTypeExists
	}
	t.CreatedAt = e.now()
	return e.putEventType(t)
}

// updateEventType puts an event type in the place of the one that it was made from. The reply is the event type.
func (e *entry) updateEventType(t *webhook.EventType) ([]byte, error) {
	before, err := e.eventType(t.Name)
	switch {
	case err != nil:
		return nil, err
	case before.Revision != t.Revision:
		return nil, errChanged
	}
	t.CreatedAt = before.CreatedAt
	return e.putEventType(t)
}

// deleteEventType archives an event type or, to expunge it, forgets it. Endpoints that chose it keep it.
func (e *entry) deleteEventType(c *deleteEventType) error {
	t, err := e.eventType(c.Name)
	switch {
	case err != nil:
		return err
	case c.Expunge:
		e.batch.delete(nameKey(keyEventType, c.Name))
		return nil
	}
	t.Archived = true
	_, err = e.putEventType(t)
	return err
}

func (e *entry) putEventType(t *webhook.EventType) (record []byte, err error) {
	t.UpdatedAt, t.Revision = e.now(), e.batch.meta.index
	if record, err = encodeJSON(t); err != nil {
		return nil, err
	}
	e.source = replySource{key: nameKey(keyEventType, t.Name)}
	e.batch.set(e.source.key, record)
	return record, nil
}

func (e *entry) eventType(name string) (*webhook.EventType, error) {
	record, found, err := e.store.get(nameKey(keyEventType, name))
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, errNoEventType
	}
	t := new(webhook.EventType)
	return t, decodeJSON(record, t)
}
