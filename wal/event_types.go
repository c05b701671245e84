package wal

import (
	"github.com/dgraph-io/badger/v4"

	"hookwheel/webhook"
)

// eventTypeHead is what the catalog has of an event type. Endpoints and replays may name a thousand
// types, so Apply must not read each of them with its schemas.
type eventTypeHead struct {
	Archived     bool     `json:"archived"`
	FeatureFlags []string `json:"featureFlags"`
}

func headOf(t *webhook.EventType) *eventTypeHead { return &eventTypeHead{t.Archived, t.FeatureFlags} }

func (n *catalog) loadEventTypes(v view) error {
	return v.scan([]byte{keyEventType}, func(key, value []byte) error {
		t := new(eventTypeHead) // the schemas are passed over, not decoded
		n.eventTypes[string(key[1:])] = t
		return decodeJSON(value, t)
	})
}

// NamePage is a Page of a list sorted by name.
type NamePage struct {
	From      string // excluded from the page; "": from the start
	Ascending bool
	Limit     int
	Bytes     int // size of the records after which the page ends; 0: no limit
}

// EventType finds an event type by its name. If it is unknown, the error is a *webhook.Error.
func (r *Reader) EventType(name string) (t *webhook.EventType, err error) {
	err = r.read(func(v dbView) error {
		value, found, err := v.get(nameKey(keyEventType, name))
		if err != nil {
			return err
		}
		if !found {
			return errNoEventType
		}
		t = new(webhook.EventType)
		return decodeJSON(value, t)
	})
	return t, err
}

// EventTypes returns a page of the event types that want accepts, and reports whether there are
// more in the page's direction.
func (r *Reader) EventTypes(page NamePage, want func(*webhook.EventType) bool) (list []webhook.EventType, more bool, err error) {
	err = r.read(func(v dbView) error {
		opts := badger.DefaultIteratorOptions
		opts.Prefix, opts.Reverse = []byte{keyEventType}, !page.Ascending
		it := v.txn.NewIterator(opts)
		defer it.Close()
		size := 0
		from := nameKey(keyEventType, page.From)
		if page.From == "" && !page.Ascending {
			from = append(from, 0xff)
		}
		for it.Seek(from); it.Valid(); it.Next() {
			var t webhook.EventType
			if err := v.txn.read(it.Item(), func(value []byte) error { return decodeJSON(value, &t) }); err != nil {
				return err
			}
			if t.Name == page.From || !want(&t) {
				continue
			}
			value, err := valueSize(it.Item())
			if err != nil {
				return err
			}
			if size += int(value); len(list) == page.Limit || page.Bytes > 0 && size > page.Bytes && len(list) > 0 {
				more = true
				return nil
			}
			list = append(list, t)
		}
		return nil
	})
	return list, more, err
}
