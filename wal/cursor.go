package wal

import (
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/webhook"
)

// Cursor is an endpoint's place in its log: all up to position is attempted or filtered out, and so is what done holds,
// in log order, of what comes after.
func (s *Store) Cursor(endpoint webhook.ID) (position webhook.ID, done []webhook.ID) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := s.nouns.cursors[endpoint]
	if c == nil {
		return endpoint, nil
	}
	return c.position, slices.Clone(c.done)
}

// Retries reads an endpoint's retry set in order of due time: the first most lines that are due at from or later.
// A further line that is due at the very millisecond of the last one is read too, so that the next call can begin a
// millisecond later.
func (s *Store) Retries(endpoint webhook.ID, from time.Time, most int) (list []webhook.Retry, err error) {
	prefix := idKey(keyRetry, endpoint)
	err = s.view(func(txn *badger.Txn) error {
		opts := badger.DefaultIteratorOptions
		opts.Prefix = prefix
		it := txn.NewIterator(opts)
		defer it.Close()
		for it.Seek(retryKey(endpoint, from, webhook.ID{})); it.Valid(); it.Next() {
			due, message := parseRetryKey(it.Item().Key())
			if len(list) >= most && due.After(list[len(list)-1].Due) {
				return nil
			}
			retry := webhook.Retry{Message: message, Due: due}
			err := it.Item().Value(func(value []byte) error {
				r := reader{rest: value}
				retry.Attempts = uint32(r.uvarint())
				return r.err
			})
			if err != nil {
				return err
			}
			list = append(list, retry)
		}
		return nil
	})
	return list, err
}
