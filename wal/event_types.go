package wal

import (
	"errors"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/webhook"
)

// NamePage is Page for what is listed by name.
type NamePage struct {
	From      string // is left out itself; "": from the start
	Ascending bool
	Limit     int
	Bytes     int // of the records, after which the page ends; 0: there is no such bound
}

// EventType finds one by its name. The error is a *webhook.Error if there is none.
func (s *Store) EventType(name string) (t *webhook.EventType, err error) {
	err = s.view(func(txn *badger.Txn) error {
		item, err := txn.Get(nameKey(keyEventType, name))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return errNoEventType
		}
		if err != nil {
			return err
		}
		t = new(webhook.EventType)
		return item.Value(func(value []byte) error { return decodeJSON(value, t) })
	})
	return t, err
}

// EventTypes lists a page of those that are wanted, and tells whether there are more in its direction.
func (s *Store) EventTypes(page NamePage, want func(*webhook.EventType) bool) (list []webhook.EventType, more bool, err error) {
	err = s.view(func(txn *badger.Txn) error {
		opts := badger.DefaultIteratorOptions
		opts.Prefix, opts.Reverse = []byte{keyEventType}, !page.Ascending
		it := txn.NewIterator(opts)
		defer it.Close()
		size := 0
		from := nameKey(keyEventType, page.From)
		if page.From == "" && !page.Ascending {
			from = append(from, 0xff)
		}
		for it.Seek(from); it.Valid(); it.Next() {
			var t webhook.EventType
			if err := it.Item().Value(func(value []byte) error { return decodeJSON(value, &t) }); err != nil {
				return err
			}
			if t.Name == page.From || !want(&t) {
				continue
			}
			if size += int(it.Item().ValueSize()); len(list) == page.Limit || page.Bytes > 0 && size > page.Bytes && len(list) > 0 {
				more = true
				return nil
			}
			list = append(list, t)
		}
		return nil
	})
	return list, more, err
}
