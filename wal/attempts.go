package wal

import (
	"errors"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/webhook"
)

// AttemptFilter narrows a list of attempts; the zero value wants all.
type AttemptFilter struct {
	Status     *webhook.Status
	CodeClass  *int // 0 (no answer), 100, 200 … 500
	EndpointID webhook.ID
}

func (f AttemptFilter) wants(a *webhook.Attempt) bool {
	return (f.Status == nil || a.Status == *f.Status) &&
		(f.CodeClass == nil || int(a.StatusCode)/100*100 == *f.CodeClass) &&
		(f.EndpointID.IsZero() || a.Endpoint == f.EndpointID)
}

func attemptID(a *webhook.Attempt) webhook.ID { return a.ID }

// AttemptsByEndpoint lists a page of an endpoint's history, and tells whether there are more in its direction.
func (s *Store) AttemptsByEndpoint(endpoint webhook.ID, page Page, filter AttemptFilter) (list []webhook.Attempt, more bool, err error) {
	err = s.view(func(txn *badger.Txn) error {
		return page.walk(txn, idKey(keyHistory, endpoint), entrySize, func(key, value []byte) error {
			chunk, err := decodeAttempts(key, value, endpoint)
			if err != nil {
				return err
			}
			list, err = collect(page, list, chunk, attemptID, filter.wants)
			return err
		})
	})
	list, more = cut(page, list)
	return list, more, err
}

// AttemptsByMessage lists a page of the attempts of one message at all endpoints, and tells whether there are more in its
// direction.
func (s *Store) AttemptsByMessage(message webhook.ID, page Page, filter AttemptFilter) (list []webhook.Attempt, more bool, err error) {
	err = s.view(func(txn *badger.Txn) error {
		prefix := idKey(keyIndex, message)
		return page.walk(txn, prefix, idSize, func(key, value []byte) error {
			a, err := readAttemptAt(txn, webhook.ID(value), webhook.ID(key[len(prefix):]))
			if err != nil {
				return err
			}
			list, err = collect(page, list, []webhook.Attempt{*a}, attemptID, filter.wants)
			return err
		})
	})
	list, more = cut(page, list)
	return list, more, err
}

func readAttemptAt(txn *badger.Txn, endpoint, id webhook.ID) (*webhook.Attempt, error) {
	key := chunkKey(keyHistory, endpoint, id)
	item, err := txn.Get(key)
	if err != nil {
		return nil, err
	}
	data, err := item.ValueCopy(nil)
	if err != nil {
		return nil, err
	}
	return findAttempt(key, data, endpoint, id)
}

// findAttempt finds one in a chunk.
func findAttempt(key, data []byte, endpoint, id webhook.ID) (*webhook.Attempt, error) {
	list, err := decodeAttempts(key, data, endpoint)
	if err != nil {
		return nil, err
	}
	i, found := slices.BinarySearchFunc(list, id, func(a webhook.Attempt, id webhook.ID) int { return a.ID.Compare(id) })
	if !found {
		return nil, errors.New("wal: the index names an attempt that the history does not hold")
	}
	return &list[i], nil
}
