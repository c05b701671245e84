package wal

import (
	"bytes"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/webhook"
)

// sweepPerEntry is how many lines of a removed endpoint's retry set each entry deletes, so that none pays for all.
const sweepPerEntry = 256

func (e *entry) createApplication(body []byte) ([]byte, error) {
	var c createApplication
	if err := decodeJSON(body, &c); err != nil {
		return nil, err
	}
	app := c.Application
	if app.UID != "" {
		if existing := e.store.nouns.application(app.UID); existing != nil {
			if !c.GetIfExists {
				return nil, &webhook.Error{Code: webhook.CodeConflict, Detail: "an application with this uid exists already"}
			}
			return encodeJSON(createApplication{Application: *existing})
		}
	}
	var err error
	if app.ID, err = e.id(); err != nil {
		return nil, err
	}
	app.CreatedAt, app.UpdatedAt = app.ID.Time(), app.ID.Time()
	record, err := encodeJSON(&app)
	if err != nil {
		return nil, err
	}
	e.store.mu.Lock()
	e.store.nouns.putApplication(&app)
	e.store.mu.Unlock()
	e.batch.set(idKey(keyApplication, app.ID), record)
	return encodeJSON(createApplication{Application: app, Created: true})
}

func (e *entry) createEndpoint(body []byte) ([]byte, error) {
	endpoint := new(webhook.Endpoint)
	if err := decodeJSON(body, endpoint); err != nil {
		return nil, err
	}
	if e.store.nouns.applications[endpoint.App] == nil {
		return nil, errNoApplication
	}
	if endpoint.UID != "" && e.store.nouns.endpoint(endpoint.App, endpoint.UID) != nil {
		return nil, &webhook.Error{Code: webhook.CodeConflict, Detail: "an endpoint with this uid exists already"}
	}
	var err error
	if endpoint.ID, err = e.id(); err != nil {
		return nil, err
	}
	endpoint.CreatedAt, endpoint.UpdatedAt = endpoint.ID.Time(), endpoint.ID.Time()
	record, err := encodeJSON(endpoint)
	if err != nil {
		return nil, err
	}
	// Its own ID is a place in the log: it wants what comes after.
	c := &cursor{position: endpoint.ID}
	e.store.mu.Lock()
	e.store.nouns.putEndpoint(endpoint)
	e.store.nouns.cursors[endpoint.ID] = c
	e.store.mu.Unlock()
	e.batch.set(idKey(keyEndpoint, endpoint.App, endpoint.ID), record)
	e.putCursor(endpoint.ID, c)
	e.changes.Endpoints = append(e.changes.Endpoints, endpoint)
	return record, nil
}

// deleteEndpoint leaves the endpoint's history. Its retry set may be long, so sweep empties that bit by bit.
func (e *entry) deleteEndpoint(body []byte) error {
	var c deleteEndpoint
	if err := decodeJSON(body, &c); err != nil {
		return err
	}
	endpoint := e.store.nouns.endpoints[c.Endpoint]
	if endpoint == nil || endpoint.App != c.App {
		return errNoEndpoint
	}
	e.store.mu.Lock()
	e.store.nouns.removeEndpoint(endpoint)
	e.store.mu.Unlock()
	e.store.nouns.removed = append(e.store.nouns.removed, endpoint.ID)
	slices.SortFunc(e.store.nouns.removed, webhook.ID.Compare) // as a node finds them that starts now
	e.changes.Removed = append(e.changes.Removed, endpoint.ID)
	e.batch.delete(idKey(keyEndpoint, c.App, c.Endpoint))
	e.batch.delete(idKey(keyCursor, c.Endpoint))
	e.batch.set(idKey(keyRemoved, c.Endpoint), nil)
	return nil
}

// sweep deletes some of the retry sets that removed endpoints left.
func (e *entry) sweep() error {
	if len(e.store.nouns.removed) == 0 {
		return nil
	}
	gone := e.store.nouns.removed[0]
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
	}
	if len(keys) == sweepPerEntry {
		return nil
	}
	e.store.nouns.removed = e.store.nouns.removed[1:]
	e.batch.delete(idKey(keyRemoved, gone))
	return nil
}

// firstKeys copies the first n keys with that prefix.
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

// firstKeys copies the first n keys with that prefix.
func firstKeys(txn *badger.Txn, prefix []byte, n int) ([][]byte, error) {
	opts := badger.DefaultIteratorOptions
	opts.Prefix, opts.PrefetchValues = prefix, false
	it := txn.NewIterator(opts)
	defer it.Close()
	var keys [][]byte
	for it.Rewind(); it.Valid() && len(keys) < n; it.Next() {
		keys = append(keys, it.Item().KeyCopy(nil))
	}
	return keys, nil
}
