package wal

import (
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/webhook"
)

// Attempted is what has become of a message at an endpoint that it was attempted at.
type Attempted struct {
	Message  *webhook.Message // nil in a list of destinations
	Endpoint webhook.ID
	URL      string // of the last attempt
	Status   webhook.Status
	Next     time.Time // with StatusSending: when it is tried again; zero: when its turn comes
}

// sum takes what attempts say together, which are in the order in which they were made: one success is enough, and while another
// attempt is planned the message is under way.
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

// await looks whether a message of which no attempt says when it is tried again waits all the same: in a set, or for its first turn.
func (a *Attempted) await(txn *badger.Txn, m *webhook.Message, endpoint *webhook.Endpoint, attempts []webhook.Attempt) error {
	if a.Status == webhook.StatusSuccess || !a.Next.IsZero() {
		return nil
	}
	e := explainer{txn: txn, m: m, attempts: attempts, x: Explanation{Endpoint: endpoint}}
	err := e.explain()
	switch e.x.Fate {
	case FateRetrying, FateHeld, FateRequested, FateWaiting:
		a.Status, a.Next = webhook.StatusSending, e.x.Due
	}
	return err
}

// AttemptedMessages lists a page of the messages that were attempted at an endpoint; next is as in Messages.
func (s *Store) AttemptedMessages(endpoint *webhook.Endpoint, page Page, filter MessageFilter, status *webhook.Status) (list []Attempted, next webhook.ID, err error) {
	err = s.view(func(txn *badger.Txn) error {
		index := newIndexReader(txn)
		defer index.close()
		found := search[Attempted]{page: page, id: func(a *Attempted) webhook.ID { return a.Message.ID }}
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
			err = a.await(txn, a.Message, endpoint, attempts)
			return status == nil || a.Status == *status, err
		}
		err := page.walk(txn, idKey(keyLog, endpoint.App), entrySize, func(key, value []byte) error {
			messages, err := decodeMessages(key, value, endpoint.App)
			if err != nil {
				return err
			}
			chunk := make([]Attempted, len(messages))
			for i := range messages {
				chunk[i].Message = &messages[i]
			}
			return found.take(chunk)
		})
		list, next = found.list, found.next
		return err
	})
	return list, next, err
}

// Destinations lists a page of the endpoints at which a message was attempted, those that are gone among them, and tells whether
// there are more in its direction.
func (s *Store) Destinations(m *webhook.Message, page Page) (list []Attempted, more bool, err error) {
	err = s.view(func(txn *badger.Txn) error {
		index := newIndexReader(txn)
		defer index.close()
		var all []webhook.ID
		index.lines(m.ID, func(_, endpoint webhook.ID) { all = append(all, endpoint) })
		slices.SortFunc(all, webhook.ID.Compare)
		all = slices.Compact(all)
		all, _ = collect(page, nil, all, func(id *webhook.ID) webhook.ID { return *id }, nil)
		all, more = cut(page, all)
		for _, id := range all {
			attempts, _, err := index.attempts(m.ID, id)
			if err != nil {
				return err
			}
			var a Attempted
			a.sum(attempts)
			s.mu.RLock()
			endpoint := s.nouns.endpoints[id]
			s.mu.RUnlock()
			if endpoint != nil {
				err = a.await(txn, m, endpoint, attempts)
			}
			if err != nil {
				return err
			}
			list = append(list, a)
		}
		return index.err
	})
	return list, more, err
}

// indexReader reads the index of attempts.
type indexReader struct {
	txn *badger.Txn
	it  *badger.Iterator
	err error
}

func newIndexReader(txn *badger.Txn) *indexReader {
	opts := badger.DefaultIteratorOptions
	opts.Prefix, opts.PrefetchValues = []byte{keyIndex}, false
	return &indexReader{txn: txn, it: txn.NewIterator(opts)}
}

func (r *indexReader) close() { r.it.Close() }

// lines calls see for each attempt at a message, in the order in which they were recorded, and tells how many there are.
func (r *indexReader) lines(message webhook.ID, see func(attempt, endpoint webhook.ID)) (count int) {
	prefix := idKey(keyIndex, message)
	for r.it.Seek(prefix); r.err == nil && r.it.ValidForPrefix(prefix); r.it.Next() {
		count++
		item := r.it.Item()
		r.err = item.Value(func(value []byte) error {
			see(webhook.ID(item.Key()[len(prefix):]), webhook.ID(value))
			return nil
		})
	}
	return count
}

// attempts are those at delivering a message to an endpoint; looked is how many there are at all endpoints together.
func (r *indexReader) attempts(message, endpoint webhook.ID) (list []webhook.Attempt, looked int, err error) {
	var ids []webhook.ID
	looked = r.lines(message, func(attempt, at webhook.ID) {
		if at == endpoint {
			ids = append(ids, attempt)
		}
	})
	for _, id := range ids {
		a, err := readAttemptAt(r.txn, endpoint, id)
		if err != nil {
			return nil, looked, err
		}
		list = append(list, *a)
	}
	return list, looked, r.err
}
