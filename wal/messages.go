package wal

import (
	"bytes"
	"slices"
	"strings"

	"hookwheel/webhook"
)

// MessageFilter narrows a list of messages. The zero value matches all of them.
type MessageFilter struct {
	EventTypes []string // any of them
	Channel    string
	Tag        string
	Text       string // at the beginning of the ID or the event ID, or anywhere in the payload

	WithoutPayload bool // of the listed messages
}

// keep copies a message out of its chunk, and returns its size in bytes.
func (f MessageFilter) keep(m *webhook.Message) int {
	if f.WithoutPayload {
		m.Payload = nil
	}
	m.Payload = slices.Clone(m.Payload)
	return messageCost + len(m.Payload)
}

// messageCost is roughly the memory that a message takes in addition to its payload, in bytes.
const messageCost = 512

func (f MessageFilter) wants(m *webhook.Message) bool {
	return (len(f.EventTypes) == 0 || slices.Contains(f.EventTypes, m.EventType)) &&
		(f.Channel == "" || slices.Contains(m.Channels, f.Channel)) &&
		(f.Tag == "" || slices.Contains(m.Tags, f.Tag)) &&
		(f.Text == "" || f.contains(m))
}

func (f MessageFilter) contains(m *webhook.Message) bool {
	return strings.HasPrefix(m.EventID, f.Text) || strings.HasPrefix(m.ID.Text(webhook.KindMessage), f.Text) ||
		bytes.Contains(m.Payload, []byte(f.Text))
}

// matchesAll reports whether the filter matches all messages.
func (f MessageFilter) matchesAll() bool {
	return len(f.EventTypes) == 0 && f.Channel == "" && f.Tag == "" && f.Text == ""
}

func messageID(m *webhook.Message) webhook.ID { return m.ID }

// Message finds a message of an application by its ID or event ID. If it is unknown, the error is
// a *webhook.Error.
func (r *Reader) Message(app webhook.ID, name string) (m *webhook.Message, err error) {
	err = r.read(func(v dbView) error {
		var id webhook.ID
		if strings.HasPrefix(name, string(webhook.KindMessage)+"_") {
			if id, err = webhook.ParseID(webhook.KindMessage, name); err != nil {
				return errNoMessage
			}
		} else {
			value, found, err := v.get(uniqueKey(app, name))
			if err != nil {
				return err
			}
			if !found {
				return errNoMessage
			}
			copy(id[:], value)
		}
		m, err = v.message(app, id)
		return err
	})
	return m, err
}

// Messages returns a page of an application's log. next is the From of the next page, or zero at
// the end. A page may be short before the end, because each call looks at a limited number of
// messages.
func (r *Reader) Messages(app webhook.ID, page Page, filter MessageFilter) (list []webhook.Message, next webhook.ID, err error) {
	found := search[webhook.Message]{page: page, id: messageID, keep: filter.keep}
	found.want = func(m *webhook.Message) (bool, error) { return filter.wants(m), nil }
	err = r.read(func(v dbView) error {
		return v.look(page, idKey(keyLog, app), entrySize, func(key, value []byte) error {
			chunk, err := decodeMessages(key, value, app)
			if err != nil {
				return err
			}
			found.hasRead(len(value))
			return found.take(chunk)
		})
	})
	return found.list, found.next, err
}
