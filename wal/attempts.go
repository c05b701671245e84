package wal

import (
	"errors"
	"slices"
	"time"

	"hookwheel/webhook"
)

// Attempts reads the history: attempts, and the messages and endpoints that they connect.
type Attempts struct{ store *Reader }

// Attempts returns what reads the attempts of the store.
func (r *Reader) Attempts() Attempts { return Attempts{r} }

// AttemptFilter narrows a list of attempts. The zero value matches all of them.
type AttemptFilter struct {
	Status     *webhook.Status
	CodeClass  *int // 0 (no response), 100, 200 … 500
	EndpointID webhook.ID
	After      time.Time     // attempts that began later; zero: no limit
	Before     time.Time     // attempts that began earlier; zero: no limit
	App        webhook.ID    // with Message: the application of the messages
	Message    MessageFilter // a filter for the attempted messages
}

func (f AttemptFilter) wants(a *webhook.Attempt) bool {
	return (f.Status == nil || a.Status == *f.Status) &&
		(f.CodeClass == nil || int(a.StatusCode)/100*100 == *f.CodeClass) &&
		(f.EndpointID.IsZero() || a.Endpoint == f.EndpointID) &&
		(f.After.IsZero() || a.Start.After(f.After)) &&
		(f.Before.IsZero() || a.Start.Before(f.Before))
}

func attemptID(a *webhook.Attempt) webhook.ID { return a.ID }

// keepAttempt copies an attempt out of its chunk, and returns its size in bytes.
func keepAttempt(a *webhook.Attempt) int {
	a.Response = slices.Clone(a.Response)
	if a.Trace != nil {
		a.Trace.Headers = slices.Clone(a.Trace.Headers)
	}
	return sizeOfAttempt(a)
}

func sizeOfAttempt(a *webhook.Attempt) int {
	size := attemptCost + len(a.URL) + len(a.Response)
	if a.Trace != nil {
		size += traceCost + len(a.Trace.Headers)
	}
	return size
}

// The memory that an attempt and its trace take in addition to their texts, roughly, in bytes.
const (
	attemptCost = 256
	traceCost   = 160
)

// search begins a search for the attempts that pass the filter.
func (f AttemptFilter) search(v dbView, page Page) *attemptSearch {
	found := &attemptSearch{search[webhook.Attempt]{page: page, id: attemptID, keep: keepAttempt}}
	log := logReader{view: v.view}
	found.want = func(a *webhook.Attempt) (bool, error) {
		if !f.wants(a) {
			return false, nil
		}
		if f.Message.matchesAll() {
			return true, nil
		}
		before := log.bytes
		m, err := log.message(f.App, a.Message)
		found.hasRead(log.bytes - before)
		return m != nil && f.Message.wants(m), err
	}
	return found
}

// attemptSearch is a search for attempts.
type attemptSearch struct{ search[webhook.Attempt] }

// ByEndpoint returns a page of an endpoint's history; next is as in Reader.Messages.
func (r Attempts) ByEndpoint(endpoint webhook.ID, page Page, filter AttemptFilter) (list []webhook.Attempt, next webhook.ID, err error) {
	err = r.store.read(func(v dbView) error {
		found := filter.search(v, page)
		err := found.history(v, endpoint)
		list, next = found.list, found.next
		return err
	})
	return list, next, err
}

// history takes the attempts of one endpoint.
func (s *attemptSearch) history(v dbView, endpoint webhook.ID) error {
	return v.look(s.page, idKey(keyHistory, endpoint), entrySize, func(key, value []byte) error {
		chunk, err := decodeAttempts(key, value, endpoint)
		if err != nil {
			return err
		}
		s.hasRead(len(value))
		return s.take(chunk)
	})
}

// ByMessage returns a page of the attempts of one message at all endpoints; next is as in
// Reader.Messages.
func (r Attempts) ByMessage(message webhook.ID, page Page, filter AttemptFilter) (list []webhook.Attempt, next webhook.ID, err error) {
	prefix := idKey(keyIndex, message)
	err = r.store.read(func(v dbView) error {
		found := filter.search(v, page)
		err := v.look(page, prefix, idSize, func(key, value []byte) error {
			a := &webhook.Attempt{ID: webhook.ID(key[len(prefix):]), Message: message, Endpoint: webhook.ID(value)}
			if filter.EndpointID.IsZero() || a.Endpoint == filter.EndpointID {
				if a, err = v.attempt(a.Endpoint, a.ID); err != nil {
					return err
				}
			}
			return found.take([]webhook.Attempt{*a})
		})
		list, next = found.list, found.next
		return err
	})
	return list, next, err
}

// ByID finds an attempt of a message. If it is unknown, the error is a *webhook.Error.
func (r Attempts) ByID(message, id webhook.ID) (a *webhook.Attempt, err error) {
	err = r.store.read(func(v dbView) error {
		endpoint, found, err := v.endpointOf(message, id)
		if err != nil {
			return err
		}
		if !found {
			return errNoAttempt
		}
		a, err = v.attempt(endpoint, id)
		return err
	})
	return a, err
}

var errNoChunk = errors.New("wal: the index names an attempt that the history does not hold")
