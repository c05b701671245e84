package wal

import (
	"bytes"
	"errors"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/webhook"
)

// Page selects a part of a list: at most Limit items between Low and High, beyond From, going up or
// down in log order. From, Low and High are excluded; a zero one sets no limit.
type Page struct {
	From      webhook.ID
	Ascending bool
	Limit     int
	Bytes     int // a list of messages or attempts ends when its items take more; 0: no limit
	Low, High webhook.ID
}

// start returns where the walk begins; zero means the end of the list.
func (p Page) start() webhook.ID {
	switch {
	case p.Ascending && p.Low.After(p.From):
		return p.Low
	case !p.Ascending && !p.High.IsZero() && (p.From.IsZero() || p.From.After(p.High)):
		return p.High
	default:
		return p.From
	}
}

// contains reports whether the walk has passed its start.
func (p Page) contains(id webhook.ID) bool {
	start := p.start()
	switch {
	case start.IsZero():
		return true
	case p.Ascending:
		return id.After(start)
	default:
		return start.After(id)
	}
}

// isPast reports whether the walk has reached its end.
func (p Page) isPast(id webhook.ID) bool {
	if p.Ascending {
		return !p.High.IsZero() && !p.High.After(id)
	}
	return !id.After(p.Low)
}

// errStop ends a walk early. walk itself returns nil for it.
var errStop = errors.New("wal: enough")

// walk calls see for each key with this prefix in the direction of the page, beginning with the
// chunk that contains its start. suffix is the number of bytes of an ID that follow the prefix.
func (p Page) walk(txn *badger.Txn, prefix []byte, suffix int, see func(key, value []byte) error) error {
	opts := badger.DefaultIteratorOptions
	opts.Prefix, opts.Reverse, opts.PrefetchValues = prefix, !p.Ascending, false
	it := txn.NewIterator(opts)
	defer it.Close()
	first, from := bytes.Clone(prefix), p.start()
	if !from.IsZero() {
		first = append(first, from[:suffix]...)
	}
	if !p.Ascending { // behind everything whose key begins like that
		first = append(first, bytes.Repeat([]byte{0xff}, idSize+2)...)
	}
	for it.Seek(first); it.Valid(); it.Next() {
		if !isRecord(it.Item()) {
			continue
		}
		value, err := copyRecord(txn, it.Item())
		if err != nil {
			return err
		}
		if err := see(it.Item().Key(), value); err != nil {
			if errors.Is(err, errStop) {
				return nil
			}
			return err
		}
	}
	return nil
}

// collect appends the items of one chunk that the page wants, in its direction, until the list has
// one item more than the page. The extra item shows that the list goes on.
func collect[T any](p Page, list []T, chunk []T, id func(*T) webhook.ID, want func(*T) bool) ([]T, error) {
	for i := range chunk {
		item := &chunk[i]
		if !p.Ascending {
			item = &chunk[len(chunk)-1-i]
		}
		if p.isPast(id(item)) {
			return list, errStop
		}
		if !p.contains(id(item)) || want != nil && !want(item) {
			continue
		}
		if list = append(list, *item); len(list) > p.Limit {
			return list, errStop
		}
	}
	return list, nil
}

// cut removes the extra item.
func cut[T any](p Page, list []T) (items []T, more bool) {
	if len(list) > p.Limit {
		return list[:p.Limit], true
	}
	return list, false
}
