package httpapi

import (
	"encoding/json"
	"slices"

	"hookwheel/wal"
	"hookwheel/webhook"
)

// listing is the page of a list that a client asks for. An iterator is the id of the last item of
// the previous page; or "-" and the id of its first item, to go back.
type listing struct {
	wal.Page
	kind     webhook.Kind
	paced    *pacedRead
	backward bool // opposite to the order that the client sees
}

// listResponse is a page of a list.
type listResponse struct {
	Data         []json.RawMessage `json:"data"`
	Iterator     *string           `json:"iterator"`
	PrevIterator *string           `json:"prevIterator,omitempty"`
	Done         bool              `json:"done"`
}

// encode encodes the page, with more fields if there are any; more begins with a comma. It does not
// use encoding/json, which looks at each byte of all items again: that takes most of the time for a
// page of large messages.
func (l *listResponse) encode(more ...byte) (rawJSON, error) {
	end, err := json.Marshal(struct {
		Iterator     *string `json:"iterator"`
		PrevIterator *string `json:"prevIterator,omitempty"`
		Done         bool    `json:"done"`
	}{l.Iterator, l.PrevIterator, l.Done})
	if err != nil {
		return nil, err
	}
	size := len(`{"data":[]`) + len(end) + len(more)
	for _, item := range l.Data {
		size += len(item) + 1
	}
	dst := append(make([]byte, 0, size), `{"data":[`...)
	for i, item := range l.Data {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, item...)
	}
	end[0] = ',' // continues the object
	dst = append(append(dst, ']'), end[:len(end)-1]...)
	return append(append(dst, more...), '}'), nil
}

// respondPage responds with the items of a page, of which there may be more.
func respondPage[T, Out any](l listing, items []T, more bool, id func(*T) webhook.ID, out func(*T) Out) (*response, error) {
	var next webhook.ID
	if more {
		next = id(&items[len(items)-1])
	}
	return respondSearch(l, items, next, id, func(item *T) (Out, error) { return out(item), nil })
}

// respondSearch is respondPage for a search, which may end before the page is full. The client
// continues from next, or is done if that is zero.
func respondSearch[T, Out any](l listing, items []T, next webhook.ID, id func(*T) webhook.ID, out func(*T) (Out, error)) (*response, error) {
	page, err := fillPage(l, items, next, id, out)
	if err != nil {
		return nil, err
	}
	text, err := page.encode()
	if err != nil {
		return nil, err
	}
	return ok(text), nil
}

func fillPage[T, Out any](l listing, items []T, next webhook.ID, id func(*T) webhook.ID, out func(*T) (Out, error)) (page listResponse, err error) {
	if page.Data, err = fill(l.paced, items, out); err != nil {
		return page, err
	}
	last, first := next, webhook.ID{}
	if len(page.Data) > 0 {
		first = id(&items[0])
	}
	if rest := items[len(page.Data):]; len(rest) > 0 || len(items) > 0 && next.IsZero() {
		last = id(&items[len(page.Data)-1])
	}
	page.Done = next.IsZero() && len(page.Data) == len(items)
	if l.backward {
		slices.Reverse(page.Data)
		last, first = first, last
	}
	if !last.IsZero() {
		page.Iterator = new(last.Text(l.kind))
	}
	if !first.IsZero() {
		page.PrevIterator = new("-" + first.Text(l.kind))
	}
	return page, nil
}

// fill encodes items, unless they are encoded, until the page has pageBytes, but at least one.
func fill[T, Out any](paced *pacedRead, items []T, out func(*T) (Out, error)) ([]json.RawMessage, error) {
	list, size := make([]json.RawMessage, 0, len(items)), 0
	for i := range items {
		shown, err := out(&items[i])
		if err != nil {
			return nil, err
		}
		text, encoded := any(shown).(rawJSON)
		if !encoded {
			if text, err = json.Marshal(shown); err != nil {
				return nil, err
			}
		}
		if size += len(text); size > pageBytes && i > 0 {
			break
		}
		list = append(list, json.RawMessage(text))
		paced.step(0)
	}
	return list, nil
}
