package wal

import (
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/webhook"
)

// Attempted describes the state of a message at an endpoint where it was attempted.
type Attempted struct {
	Message  *webhook.Message // nil in a list of destinations
	Endpoint webhook.ID
	URL      string // of the last attempt
	Status   webhook.Status
	Next     time.Time // with StatusSending: the time of the next attempt; zero: as soon as its turn comes
}

// sum derives the state from the attempts, which are in the order in which they were made. One
// success is enough. While another attempt is planned, the message is being sent.
func (a *Attempted) sum(attempts []webhook.Attempt) {
	last := attempts[len(attempts)-1]
	a.Endpoint, a.URL, a.Status = last.Endpoint, last.URL, last.Status
	for i := range attempts {
		switch attempt := &attempts[i]; {
		case attempt.Status == webhook.StatusSuccess:
			a.Status, a.Next = webhook.StatusSuccess, time.Time{}
			return
		case attempt.Trigger == webhook.TriggerScheduled || !attempt.Next.IsZero():
			a.Next = attempt.Next
			if a.Status = attempt.Status; !a.Next.IsZero() {
				a.Status = webhook.StatusSending
			}
		}
	}
}

// await finds out whether a message waits although none of its attempts planned another one: it
// may be in a set of the endpoint, or waiting for its first turn.
func (a *Attempted) await(v dbView, m *webhook.Message, endpoint *webhook.Endpoint, attempts []webhook.Attempt) error {
	if a.Status == webhook.StatusSuccess || !a.Next.IsZero() {
		return nil
	}
	e := explainer{view: v.view, m: m, attempts: attempts, x: Explanation{Endpoint: endpoint}}
	err := e.explain()
	switch e.x.State {
	case StateRetrying, StateHeld, StateRequested, StateWaiting:
		a.Status, a.Next = webhook.StatusSending, e.x.Due
	}
	return err
}

// Messages returns a page of the messages that were attempted at an endpoint; next is as in
// Reader.Messages.
func (r Attempts) Messages(endpoint *webhook.Endpoint, page Page, filter MessageFilter, status *webhook.Status) (list []Attempted, next webhook.ID, err error) {
	err = r.store.read(func(v dbView) error {
		index := newIndexReader(v)
		defer index.close()
		found := search[Attempted]{page: page, id: func(a *Attempted) webhook.ID { return a.Message.ID }}
		found.keep = func(a *Attempted) int {
			m := *a.Message
			a.Message = &m
			return filter.keep(a.Message)
		}
		found.want = func(a *Attempted) (bool, error) {
			if !filter.wants(a.Message) {
				return false, nil
			}
			attempts, looked, err := index.attempts(a.Message.ID, endpoint.ID)
			found.looked += looked
			if err != nil || len(attempts) == 0 {
				return false, err
			}
			a.sum(attempts)
			err = a.await(v, a.Message, endpoint, attempts)
			return status == nil || a.Status == *status, err
		}
		err := v.look(page, idKey(keyLog, endpoint.App), entrySize, func(key, value []byte) error {
			messages, err := decodeMessages(key, value, endpoint.App)
			if err != nil {
				return err
			}
			chunk := make([]Attempted, len(messages))
			for i := range messages {
				chunk[i].Message = &messages[i]
			}
			found.hasRead(len(value))
			return found.take(chunk)
		})
		list, next = found.list, found.next
		return err
	})
	return list, next, err
}

// Destinations returns a page of the endpoints at which a message was attempted, deleted ones
// included, and reports whether there are more in the page's direction.
func (r Attempts) Destinations(m *webhook.Message, page Page) (list []Attempted, more bool, err error) {
	err = r.store.read(func(v dbView) error {
		index := newIndexReader(v)
		defer index.close()
		list, more, err = r.destinations(index, m, page)
		return err
	})
	return list, more, err
}

// destinations walks over the attempts of the message twice: first for the endpoints of the page,
// then for the attempts at these endpoints.
func (r Attempts) destinations(index *indexReader, m *webhook.Message, page Page) (list []Attempted, more bool, err error) {
	page.Limit++ // one more, to see whether the list goes on
	endpoints := index.endpoints(m.ID, page)
	page.Limit--
	endpoints, more = cut(page, endpoints)
	attempts, err := index.attemptsAt(m.ID, endpoints)
	if err != nil {
		return nil, false, err
	}
	looked := 0
	for _, id := range endpoints {
		if looked += len(attempts[id]); looked > maxLooked && len(list) > 0 {
			return list, true, nil
		}
		made, err := index.db.attempts(id, attempts[id])
		if err != nil {
			return nil, false, err
		}
		var a Attempted
		a.sum(made)
		r.store.mu.RLock()
		endpoint := r.store.catalog.endpoints[id]
		r.store.mu.RUnlock()
		if endpoint != nil {
			if err := a.await(index.db, m, endpoint, made); err != nil {
				return nil, false, err
			}
		}
		list = append(list, a)
	}
	return list, more, nil
}

// indexReader reads the index of attempts.
type indexReader struct {
	db      dbView
	it      *badger.Iterator
	err     error
	visited int // lines read
}

func newIndexReader(v dbView) *indexReader {
	opts := badger.DefaultIteratorOptions
	opts.Prefix, opts.PrefetchValues = []byte{keyIndex}, false
	return &indexReader{db: v, it: v.txn.NewIterator(opts)}
}

func (r *indexReader) close() { r.it.Close() }

// lines calls see for each attempt of a message, in the order in which they were recorded, and
// returns their number.
func (r *indexReader) lines(message webhook.ID, see func(attempt, endpoint webhook.ID)) (count int) {
	prefix := idKey(keyIndex, message)
	for r.it.Seek(prefix); r.err == nil && r.it.ValidForPrefix(prefix); r.it.Next() {
		count++
		r.visited++
		item := r.it.Item()
		r.err = item.Value(func(value []byte) error {
			see(webhook.ID(item.Key()[len(prefix):]), webhook.ID(value))
			return nil
		})
		r.db.txn.paced(0)
	}
	return count
}

// attempts returns the attempts to deliver a message to an endpoint; looked is the number of
// attempts at all endpoints together.
func (r *indexReader) attempts(message, endpoint webhook.ID) (list []webhook.Attempt, looked int, err error) {
	var ids []webhook.ID
	looked = r.lines(message, func(attempt, at webhook.ID) {
		if at == endpoint {
			ids = append(ids, attempt)
		}
	})
	if r.err != nil {
		return nil, looked, r.err
	}
	list, err = r.db.attempts(endpoint, ids)
	return list, looked, err
}

// attemptsAt finds the attempts to deliver a message to each of these endpoints, in a single walk.
func (r *indexReader) attemptsAt(message webhook.ID, endpoints []webhook.ID) (map[webhook.ID][]webhook.ID, error) {
	found := make(map[webhook.ID][]webhook.ID, len(endpoints))
	for _, id := range endpoints {
		found[id] = nil
	}
	r.lines(message, func(attempt, at webhook.ID) {
		if ids, wanted := found[at]; wanted {
			found[at] = append(ids, attempt)
		}
	})
	return found, r.err
}

// endpoints returns the endpoints at which a message was attempted, each once, in the direction of
// the page. It never holds more endpoints in memory than fit on the page.
func (r *indexReader) endpoints(message webhook.ID, page Page) (list []webhook.ID) {
	order := webhook.ID.Compare
	if !page.Ascending {
		order = func(a, b webhook.ID) int { return b.Compare(a) }
	}
	r.lines(message, func(_, endpoint webhook.ID) {
		if page.isPast(endpoint) || !page.contains(endpoint) {
			return
		}
		at, found := slices.BinarySearchFunc(list, endpoint, order)
		if found || at == page.Limit {
			return
		}
		if list = slices.Insert(list, at, endpoint); len(list) > page.Limit {
			list = list[:page.Limit]
		}
	})
	return list
}
