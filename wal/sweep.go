package wal

import (
	"bytes"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/webhook"
)

const (
	// sweepPerEntry is roughly how many records of deleted objects each entry removes, so that no
	// single entry is slow.
	sweepPerEntry = 256
	// sweepEndpoints is how many endpoints of a deleted application one entry hands on, at three
	// records and three tallies each.
	sweepEndpoints = sweepPerEntry / 8
)

// sweep removes some records of deleted endpoints and applications, and of messages that had many
// attempts.
func (e *entry) sweep() error {
	n := &e.store.catalog
	switch {
	case len(n.removed) > 0:
		return e.sweepEndpoint(n.removed[0])
	case len(n.dropped) > 0:
		return e.sweepDropped()
	case len(n.removedApps) > 0:
		return e.sweepApplication(n.removedApps[0])
	}
	return nil
}

// leaveToSweep deletes an endpoint except for its sets, which sweepEndpoint removes, its tallies,
// and its history. tallies is a gathering, or nil: they stay until their time is over.
func (e *entry) leaveToSweep(app, endpoint webhook.ID, tallies []byte) {
	n := &e.store.catalog
	n.removed = append(n.removed, endpoint)
	slices.SortFunc(n.removed, webhook.ID.Compare) // the order in which a restarted node finds them
	e.batch.delete(idKey(keyEndpoint, app, endpoint))
	e.batch.delete(idKey(keyCursor, endpoint))
	e.batch.set(idKey(keyRemoved, endpoint), tallies)
}

// sweepEndpoint deletes some lines of an endpoint's sets, and once none are left gathers some of
// its tallies.
func (e *entry) sweepEndpoint(gone webhook.ID) error {
	var keys [][]byte
	for _, set := range []byte{keyRetry, keyHeld, keyManual} {
		more, err := e.firstKeys(idKey(set, gone), sweepPerEntry-len(keys))
		if err != nil {
			return err
		}
		keys = append(keys, more...)
	}
	for _, key := range keys {
		e.batch.delete(key)
		if key[0] == keyRetry {
			_, message := parseRetryKey(key)
			e.batch.delete(plannedKey(message, gone))
		}
	}
	if len(keys) == sweepPerEntry {
		return nil
	}
	if all, err := e.sweepTallies(gone, sweepPerEntry-len(keys)); err != nil || !all {
		return err
	}
	e.store.catalog.removed = e.store.catalog.removed[1:]
	e.batch.delete(idKey(keyRemoved, gone))
	return nil
}

func (e *entry) sweepTallies(gone webhook.ID, budget int) (all bool, err error) {
	key := idKey(keyRemoved, gone)
	value, _, err := e.store.get(key)
	if err != nil || len(value) == 0 {
		return true, err
	}
	var g gathering
	if err := g.decode(value); err != nil {
		return false, err
	}
	if all, err = (tallyTable{e}).gather(gone, &g, budget); err == nil && !all {
		e.batch.set(key, g.encode())
	}
	return all, err
}

// sweepApplication first hands the endpoints of an application on to sweepEndpoint, then removes
// the log.
func (e *entry) sweepApplication(gone webhook.ID) error {
	endpoints, err := e.firstKeys(idKey(keyEndpoint, gone), sweepEndpoints)
	if err != nil {
		return err
	}
	for _, key := range endpoints {
		endpoint := webhook.ID(key[1+idSize:])
		if err := (tallyTable{e}).keepRecentOf(endpoint, AttemptsAt(endpoint)); err != nil {
			return err
		}
		e.leaveToSweep(gone, endpoint, nil)
	}
	if len(endpoints) > 0 {
		return nil
	}
	budget, prefix := sweepPerEntry, idKey(keyLog, gone)
	from := prefix
	if n := &e.store.catalog; bytes.HasPrefix(n.swept, prefix) {
		from = n.swept // else each entry would walk over all that Badger still holds of deleted parts
	}
	err = e.store.seek(prefix, from, func(key, value []byte) error {
		if budget <= 0 {
			return errStop
		}
		e.store.catalog.swept = bytes.Clone(key)
		return e.sweepLog(gone, bytes.Clone(key), bytes.Clone(value), &budget)
	})
	if err != nil || budget <= 0 {
		return err
	}
	e.store.catalog.removedApps = e.store.catalog.removedApps[1:]
	e.batch.delete(idKey(keyRemovedApp, gone))
	return nil
}

// sweepLog removes a part of an application's log: first a bounded number of attempts of its
// messages, and once none are left the messages with their event IDs.
func (e *entry) sweepLog(app webhook.ID, key, value []byte, budget *int) error {
	list, err := decodeMessages(key, value, app)
	if err != nil {
		return err
	}
	for i := range list {
		if err := e.sweepAttempts(app, list[i].ID, budget); err != nil || *budget <= 0 {
			return err
		}
	}
	for i := range list {
		if list[i].EventID != "" {
			e.batch.delete(uniqueKey(app, list[i].EventID))
		}
		if list[i].Retention != 0 {
			e.batch.delete(expiryKey(leavesAt(&list[i]), app, list[i].ID))
		}
	}
	e.setChunk(app, key, value, nil)
	*budget -= 1 + len(list)
	return nil
}

// sweepAttempts deletes attempts of a message, together with all others that the same entries
// recorded for the same endpoints. The index then names exactly the attempts that are in the
// history.
func (e *entry) sweepAttempts(app, message webhook.ID, budget *int) error {
	prefix := idKey(keyIndex, message)
	return e.store.seek(prefix, prefix, func(line, endpoint []byte) error {
		if *budget <= 0 {
			return errStop
		}
		chunk := chunkKey(keyHistory, webhook.ID(endpoint), webhook.ID(line[1+idSize:]))
		value, found, err := e.store.get(chunk)
		if err != nil {
			return err
		}
		e.batch.delete(line)
		*budget--
		if !found { // it went with another attempt of this message, or its time was over
			return nil
		}
		attempts, err := decodeAttempts(chunk, value, webhook.ID(endpoint))
		for i := range attempts {
			e.batch.delete(idKey(keyIndex, attempts[i].Message, attempts[i].ID))
		}
		e.setChunk(app, chunk, value, nil)
		*budget -= 1 + len(attempts)
		return err
	})
}

// firstKeys returns copies of the first n keys with a prefix, including what this entry and those
// before it have staged.
func (e *entry) firstKeys(prefix []byte, n int) (keys [][]byte, err error) {
	if n <= 0 {
		return nil, nil
	}
	err = e.store.seek(prefix, prefix, func(key, _ []byte) error {
		if keys = append(keys, bytes.Clone(key)); len(keys) >= n {
			return errStop
		}
		return nil
	})
	return keys, err
}

// firstKeysIn returns copies of the first n keys with a prefix in a transaction.
func firstKeysIn(txn *badger.Txn, prefix []byte, n int) ([][]byte, error) {
	opts := badger.DefaultIteratorOptions
	opts.Prefix, opts.PrefetchValues = prefix, false
	it := txn.NewIterator(opts)
	defer it.Close()
	var keys [][]byte
	for it.Rewind(); it.Valid() && len(keys) < n; it.Next() {
		if isRecord(it.Item()) {
			keys = append(keys, it.Item().KeyCopy(nil))
		}
	}
	return keys, nil
}
