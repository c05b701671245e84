package wal

import (
	"slices"
	"time"

	"hookwheel/webhook"
)

// apiKeys holds all API keys in memory, because every request looks one up. Keys are never changed
// in place, only replaced.
type apiKeys struct {
	byID     map[webhook.ID]*webhook.APIKey
	byApp    map[webhook.ID][]webhook.ID // the keys of each application, oldest first
	expiring []expiry                    // keys with an expiry, the earliest first
}

type expiry struct {
	at  int64 // milliseconds since the Unix epoch
	key webhook.ID
}

func compareExpiry(a, b expiry) int {
	if a.at != b.at {
		return int(min(max(a.at-b.at, -1), 1))
	}
	return a.key.Compare(b.key)
}

func newAPIKeys() apiKeys {
	return apiKeys{byID: make(map[webhook.ID]*webhook.APIKey), byApp: make(map[webhook.ID][]webhook.ID)}
}

// put adds a key, or replaces the key with the same ID.
func (k *apiKeys) put(key *webhook.APIKey) {
	if before := k.byID[key.ID]; before != nil {
		k.remove(before)
	}
	k.byID[key.ID] = key
	if !key.App.IsZero() {
		list := k.byApp[key.App]
		i, _ := slices.BinarySearchFunc(list, key.ID, webhook.ID.Compare)
		k.byApp[key.App] = slices.Insert(list, i, key.ID)
	}
	if !key.ExpiresAt.IsZero() {
		e := expiry{key.ExpiresAt.UnixMilli(), key.ID}
		i, _ := slices.BinarySearchFunc(k.expiring, e, compareExpiry)
		k.expiring = slices.Insert(k.expiring, i, e)
	}
}

func (k *apiKeys) remove(key *webhook.APIKey) {
	delete(k.byID, key.ID)
	if list := k.byApp[key.App]; len(list) > 0 {
		if i, found := slices.BinarySearchFunc(list, key.ID, webhook.ID.Compare); found {
			list = slices.Delete(list, i, i+1)
		}
		if k.byApp[key.App] = list; len(list) == 0 {
			delete(k.byApp, key.App)
		}
	}
	if i, found := slices.BinarySearchFunc(k.expiring, expiry{key.ExpiresAt.UnixMilli(), key.ID}, compareExpiry); found {
		k.expiring = slices.Delete(k.expiring, i, i+1)
	}
}

func (k *apiKeys) load(v view) error {
	return v.scan([]byte{keyAPIKey}, func(_, value []byte) error {
		key := new(webhook.APIKey)
		if err := decodeJSON(value, key); err != nil {
			return err
		}
		k.put(key)
		return nil
	})
}

// APIKey returns the key with this ID. If the key is unknown or expired at now, the error is a
// *webhook.Error.
func (m *memory) APIKey(id webhook.ID, now time.Time) (*webhook.APIKey, error) {
	m.mu.RLock()
	key := m.catalog.apiKeys.byID[id]
	m.mu.RUnlock()
	if key == nil || key.Expired(now) {
		return nil, errNoAPIKey
	}
	return key, nil
}

// KeysOf returns the keys of an application that are valid at now, oldest first. There are few.
func (m *memory) KeysOf(app webhook.ID, now time.Time) (list []webhook.APIKey) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, id := range m.catalog.apiKeys.byApp[app] {
		if key := m.catalog.apiKeys.byID[id]; !key.Expired(now) {
			list = append(list, *key)
		}
	}
	return list
}

// APIKeys returns a page of all keys, those of applications included, and reports whether there
// are more in the page's direction.
func (r *Reader) APIKeys(page Page) (list []webhook.APIKey, more bool, err error) {
	err = r.read(func(v dbView) error {
		return v.page(page, []byte{keyAPIKey}, idSize, func(_, value []byte) (err error) {
			key := make([]webhook.APIKey, 1)
			if err := decodeJSON(value, &key[0]); err != nil {
				return err
			}
			list, err = collect(page, list, key, func(k *webhook.APIKey) webhook.ID { return k.ID }, nil)
			return err
		})
	})
	list, more = cut(page, list)
	return list, more, err
}
