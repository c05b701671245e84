package wal

import "hookwheel/webhook"

// Page selects a part of a list: at most Limit items between Low and High, beyond From, going up
// or down in log order. From, Low and High are excluded; a zero one sets no limit.
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
