package wal

import (
	"fmt"
	"slices"
	"time"

	"hookwheel/webhook"
)

const (
	maxAPIKeys         = 10_000 // keys that belong to no application
	maxApplicationKeys = 100    // per application; creating another one ends the oldest
	expiredPerEntry    = 64     // expired keys that one entry removes
)

var (
	errNoAPIKey    = &webhook.Error{Code: webhook.CodeNotFound, Detail: "API key not found"}
	errManyAPIKeys = &webhook.Error{Code: webhook.CodeConflict, Detail: fmt.Sprintf("there are %d API keys: revoke those that nobody uses", maxAPIKeys)}
)

// revokeKeys is the body of kindRevokeKeys: it ends one key, or all keys and JWTs of an
// application.
type revokeKeys struct {
	Key  webhook.ID `json:"key,omitzero"`
	App  webhook.ID `json:"app,omitzero"`
	Last int64      `json:"last,omitempty"` // with App: existing tokens stay valid for at most this many seconds
	// With App: only keys of these sessions end; none: all of them, and JWTs.
	Sessions []string `json:"sessions,omitempty"`
}

// touchKeys is the body of kindTouchKeys.
type touchKeys []touchKey

type touchKey struct {
	Key  webhook.ID `json:"key"`
	Used time.Time  `json:"used"`
}

// keyTable changes the API keys for an entry.
type keyTable struct{ *entry }

// create assigns a key its ID. The reply is the key.
func (e keyTable) create(key *webhook.APIKey) ([]byte, error) {
	keys := &e.store.catalog.apiKeys
	if key.Role == webhook.RoleApplication {
		if e.store.catalog.applications[key.App] == nil {
			return nil, errNoApplication
		}
		if of := keys.byApp[key.App]; len(of) >= maxApplicationKeys {
			e.noteChange(webhook.KeyRevoked, keys.byID[of[0]])
			e.drop(keys.byID[of[0]])
		}
	} else if len(keys.byID)-keys.ofApplications() >= maxAPIKeys {
		return nil, errManyAPIKeys
	}
	var err error
	if key.ID, err = e.id(); err != nil {
		return nil, err
	}
	key.CreatedAt = key.ID.Time()
	e.noteChange(webhook.KeyCreated, key)
	return e.put(key)
}

// ofApplications returns the number of keys that belong to applications.
func (k *apiKeys) ofApplications() (count int) {
	for _, list := range k.byApp {
		count += len(list)
	}
	return count
}

func (e keyTable) noteChange(change webhook.Change, key *webhook.APIKey) {
	e.changed(webhook.StateChange{Change: change, App: key.App, Key: key.ID})
}

func (e keyTable) put(key *webhook.APIKey) (record []byte, err error) {
	if record, err = encodeJSON(key); err != nil {
		return nil, err
	}
	e.store.mu.Lock()
	e.store.catalog.apiKeys.put(key)
	e.store.mu.Unlock()
	e.source = replySource{key: idKey(keyAPIKey, key.ID)}
	e.batch.set(e.source.key, record)
	return record, nil
}

func (e keyTable) drop(key *webhook.APIKey) {
	e.store.mu.Lock()
	e.store.catalog.apiKeys.remove(key)
	e.store.mu.Unlock()
	e.batch.delete(idKey(keyAPIKey, key.ID))
}

func (e keyTable) revoke(c *revokeKeys) error {
	if !c.App.IsZero() {
		return e.expireAll(c)
	}
	key := e.store.catalog.apiKeys.byID[c.Key]
	if key == nil {
		return errNoAPIKey
	}
	e.noteChange(webhook.KeyRevoked, key)
	e.drop(key)
	return nil
}

// expireAll ends tokens of an application after some seconds. An application has few keys, so one
// entry can do it.
func (e keyTable) expireAll(c *revokeKeys) error {
	before := e.store.catalog.applications[c.App]
	if before == nil {
		return errNoApplication
	}
	e.changed(webhook.StateChange{Change: webhook.AppTokensExpired, App: c.App})
	until := e.now().Add(time.Duration(c.Last) * time.Second)
	if len(c.Sessions) == 0 {
		app := *before
		app.TokensSince, app.TokensUntil = e.now(), until
		if _, err := applicationTable(e).put(&app); err != nil {
			return err
		}
	}
	for _, id := range slices.Clone(e.store.catalog.apiKeys.byApp[c.App]) {
		key := *e.store.catalog.apiKeys.byID[id]
		if len(c.Sessions) > 0 && !slices.Contains(c.Sessions, key.SessionID) {
			continue
		}
		if c.Last == 0 {
			e.drop(&key)
			continue
		}
		if key.ExpiresAt.IsZero() || key.ExpiresAt.After(until) {
			key.ExpiresAt = until
			if _, err := e.put(&key); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeOf ends the tokens of an application that is being deleted.
func (e keyTable) removeOf(app webhook.ID) {
	for _, id := range slices.Clone(e.store.catalog.apiKeys.byApp[app]) {
		e.drop(e.store.catalog.apiKeys.byID[id])
	}
}

// touch records when keys were used. Some of the keys may no longer exist.
func (e keyTable) touch(list []touchKey) error {
	for _, touch := range list {
		before := e.store.catalog.apiKeys.byID[touch.Key]
		if before == nil || !touch.Used.After(before.LastUsed) {
			continue
		}
		key := *before
		key.LastUsed = touch.Used
		if _, err := e.put(&key); err != nil {
			return err
		}
	}
	return nil
}

// forgetExpired removes a few expired keys.
func (e keyTable) forgetExpired() {
	keys := &e.store.catalog.apiKeys
	for range expiredPerEntry {
		if len(keys.expiring) == 0 || keys.expiring[0].at > e.batch.meta.clock {
			return
		}
		e.drop(keys.byID[keys.expiring[0].key])
	}
}
