package wal

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/webhook"
)

// checkedCatalog is what nearly all other records refer to.
type checkedCatalog struct {
	*checkedStore
	apps      map[webhook.ID]*webhook.Application
	endpoints map[webhook.ID]*webhook.Endpoint
	byApp     map[webhook.ID][]*webhook.Endpoint
	owners    map[webhook.ID]webhook.ID // applications of endpoints, also of those that are leaving
	cursors   map[webhook.ID]*cursor
	fronts    map[webhook.ID]front // of logs, by application
	removed   map[webhook.ID]bool  // endpoints
	dropped   map[webhook.ID]bool  // messages that have left the log but not all of whose attempts are gone
	goneApps  map[webhook.ID]bool  // applications that are being removed
	leaving   map[webhook.ID]bool  // their endpoints
}

func newCheckedCatalog(store *checkedStore) *checkedCatalog {
	return &checkedCatalog{checkedStore: store,
		apps: make(map[webhook.ID]*webhook.Application), endpoints: make(map[webhook.ID]*webhook.Endpoint),
		byApp: make(map[webhook.ID][]*webhook.Endpoint), owners: make(map[webhook.ID]webhook.ID),
		cursors: make(map[webhook.ID]*cursor), fronts: make(map[webhook.ID]front),
		removed: make(map[webhook.ID]bool), dropped: make(map[webhook.ID]bool),
		goneApps: make(map[webhook.ID]bool), leaving: make(map[webhook.ID]bool)}
}

// load reads it into memory.
func (c *checkedCatalog) load() error {
	if err := c.loadMeta(); err != nil {
		return err
	}
	err := c.each(keyApplication, func(key, value []byte) error {
		app := new(webhook.Application)
		c.apps[webhook.ID(key[1:])] = app
		return decodeJSON(value, app)
	})
	if err != nil {
		return err
	}
	for kind, list := range map[byte]map[webhook.ID]bool{keyRemoved: c.removed, keyRemovedApp: c.goneApps, keyDropped: c.dropped} {
		err := c.each(kind, func(key, _ []byte) error {
			list[webhook.ID(key[1:])] = true
			return nil
		})
		if err != nil {
			return err
		}
	}
	err = c.each(keyEndpoint, func(key, value []byte) error {
		endpoint := new(webhook.Endpoint)
		app, id := webhook.ID(key[1:1+idSize]), webhook.ID(key[1+idSize:])
		c.owners[id] = app
		if c.goneApps[app] {
			c.leaving[id] = true
		} else {
			c.endpoints[id] = endpoint
			c.byApp[app] = append(c.byApp[app], endpoint)
		}
		return decodeJSON(value, endpoint)
	})
	if err != nil {
		return err
	}
	err = c.each(keyFront, func(key, value []byte) (err error) {
		c.fronts[webhook.ID(key[1:])], err = decodeFront(value)
		return err
	})
	if err != nil {
		return err
	}
	return c.each(keyCursor, func(key, value []byte) error {
		place := new(cursor)
		c.cursors[webhook.ID(key[1:])] = place
		return place.decode(value)
	})
}

// each calls see for each record of a kind whose key is as it should be; what is wrong with the
// others is said later.
func (c *checkedCatalog) each(kind byte, see func(key, value []byte) error) error {
	return c.db.scan([]byte{kind}, func(key, value []byte) error {
		if len(key) != recordKinds[kind].size {
			return nil
		}
		if err := see(key, value); err != nil {
			c.violated("the record %q (%s) can't be read: %v", key, recordKinds[kind].name, err)
		}
		return nil
	})
}

func (c *checkedCatalog) loadMeta() error {
	value, found, err := c.get(metaKey)
	if err != nil {
		return err
	}
	if !found {
		if first, err := firstKeysIn(c.db.view, nil, 1); err != nil || len(first) > 0 {
			c.violated("the store has records but no applied index")
			return err
		}
		return nil
	}
	m := &c.meta
	if err := m.decode(value); err != nil {
		c.violated("the record with the applied index can't be read: %v", err)
	}
	c.report.Index, c.report.Term, c.report.Clock = m.index, m.term, clockTime(m.clock)
	if m.index == 0 || m.term == 0 {
		c.violated("the store is at entry %d of term %d, which is impossible", m.index, m.term)
	}
	if m.left > m.clock {
		c.violated("a message of %s has left the log, but the log's clock is at %s", clockTime(m.left), c.clock())
	}
	if latest := slices.Max(m.expiries[:]); latest > m.clock {
		c.violated("messages have expired up to %s, but the log's clock is at %s", clockTime(latest), c.clock())
	}
	if m.confIndex > m.index {
		c.violated("the cluster's configuration comes from entry %d, but the store is at entry %d", m.confIndex, m.index)
	}
	if (m.confIndex == 0) != (len(m.conf) == 0) {
		c.violated("the cluster's configuration comes from entry %d and has %d bytes", m.confIndex, len(m.conf))
	}
	return nil
}

// catalogCheck checks applications, endpoints, event types, settings and API keys.
type catalogCheck struct {
	*checkedCatalog
	uids map[uid]webhook.ID
}

func (c *catalogCheck) checkApplication(key, _ []byte) {
	id := webhook.ID(key[1:])
	app := c.apps[id]
	c.checkID(id, appName(id))
	if app.ID != id {
		c.violated("%s is stored under the id %s", appName(app.ID), id.Text(webhook.KindApplication))
	}
	if other, taken := c.takeUID(uid{name: app.UID}, id); taken {
		c.violated("%s has the same uid %q as %s", appName(id), app.UID, appName(other))
	}
	c.checkRevision(app.Revision, appName(id))
}

// uid is a uid within an application.
type uid struct {
	app  webhook.ID
	name string
}

// takeUID records the owner of a uid, and returns an earlier owner.
func (c *catalogCheck) takeUID(name uid, id webhook.ID) (other webhook.ID, taken bool) {
	if name.name == "" {
		return other, false
	}
	if other, taken = c.uids[name]; !taken {
		c.uids[name] = id
	}
	return other, taken
}

func (c *catalogCheck) checkEndpoint(key, _ []byte) {
	app, id := webhook.ID(key[1:1+idSize]), webhook.ID(key[1+idSize:])
	endpoint, what := c.endpoints[id], endpointName(id)
	c.checkID(id, what)
	if c.leaving[id] {
		return
	}
	if endpoint.ID != id || endpoint.App != app {
		c.violated("%s of %s is stored under the ids %s and %s", endpointName(endpoint.ID), appName(endpoint.App),
			id.Text(webhook.KindEndpoint), app.Text(webhook.KindApplication))
	}
	if c.apps[app] == nil {
		c.violated("%s belongs to %s, which does not exist", what, appName(app))
	} else if app.After(id) {
		c.violated("%s is older than its %s", what, appName(app))
	}
	if c.cursors[id] == nil {
		c.violated("%s has no cursor", what)
	}
	if other, taken := c.takeUID(uid{app, endpoint.UID}, id); taken {
		c.violated("%s has the same uid %q as %s", what, endpoint.UID, endpointName(other))
	}
	c.checkRevision(endpoint.Revision, what)
	if endpoint.FilterSince.Index() > c.meta.index {
		c.violated("the filters of %s were set by entry %d, but the store is at entry %d", what, endpoint.FilterSince.Index(), c.meta.index)
	}
}

// checkRevision reports whether an entry that is applied can have made the last change.
func (c *catalogCheck) checkRevision(revision uint64, what string) {
	if revision == 0 || revision > c.meta.index {
		c.violated("%s was last changed by entry %d, but the store is at entry %d", what, revision, c.meta.index)
	}
}

func (c *catalogCheck) checkEventType(key, value []byte) {
	name := string(key[1:])
	var t webhook.EventType
	if err := decodeJSON(value, &t); err != nil {
		c.violated("the event type %q can't be read: %v", name, err)
		return
	}
	if t.Name != name {
		c.violated("the event type %q is stored under the name %q", t.Name, name)
	}
	c.checkRevision(t.Revision, fmt.Sprintf("the event type %q", name))
}

// checkSettings checks the record of the settings.
func (c *catalogCheck) checkSettings(_, value []byte) {
	var settings webhook.Settings
	err := decodeJSON(value, &settings)
	if err == nil {
		err = settings.Validate()
	}
	if err != nil {
		c.violated("the settings are invalid: %v", err)
	}
	c.checkRevision(settings.Revision, "the record of the settings")
}

// checkAPIKey checks one API key.
func (c *catalogCheck) checkAPIKey(key, value []byte) {
	id := webhook.ID(key[1:])
	what := keyName(id)
	c.checkID(id, what)
	k := new(webhook.APIKey)
	if err := decodeJSON(value, k); err != nil {
		c.violated("%s can't be read: %v", what, err)
		return
	}
	if k.ID != id {
		c.violated("%s is stored under the id %s", keyName(k.ID), id.Text(webhook.KindAPIKey))
	}
	if len(k.Hash) != sha256.Size {
		c.violated("%s has a token hash of %d bytes, which is not valid", what, len(k.Hash))
	}
	if err := k.Validate(); err != nil {
		c.violated("%s is invalid: %v", what, err)
	}
	if !k.App.IsZero() && c.apps[k.App] == nil {
		c.violated("%s belongs to %s, which does not exist", what, appName(k.App))
	}
}

func keyName(id webhook.ID) string { return "API key " + id.Text(webhook.KindAPIKey) }

// cursorCheck checks cursors.
type cursorCheck struct {
	*checkedCatalog
	chunks *checkedChunks
	ends   map[webhook.ID]webhook.ID // last message of an application's log
}

func (c *cursorCheck) checkCursor(key, _ []byte) error {
	id := webhook.ID(key[1:])
	place, endpoint, what := c.cursors[id], c.endpoints[id], "the cursor of "+endpointName(id)
	if c.leaving[id] {
		return nil
	}
	if endpoint == nil {
		c.violated("%s exists, but the endpoint does not", what)
		return nil
	}
	end, err := c.endOf(endpoint.App)
	if err != nil {
		return err
	}
	if id.After(place.position) {
		c.violated("%s is at %s, before the endpoint was created", what, messageName(place.position))
	} else if place.position != id && place.position.After(end) && place.position.Millis() > c.meta.left { // older ones may have left the log
		c.violated("%s is at %s, after the end of the log, %s", what, messageName(place.position), messageName(end))
	}
	for i, done := range place.done {
		switch {
		case !done.After(place.position):
			c.violated("%s lists %s as done ahead of it, but is already past it", what, messageName(done))
		case i > 0 && !done.After(place.done[i-1]):
			c.violated("%s lists what is done ahead of it in the wrong order: %s after %s", what, messageName(done), messageName(place.done[i-1]))
		}
		m, err := c.chunks.message(endpoint.App, done)
		if err != nil {
			return err
		}
		if m == nil {
			c.violated("%s lists %s as done, which is missing from the log of %s", what, messageName(done), appName(endpoint.App))
		}
	}
	return nil
}

// endOf returns the last message of an application's log, or zero if the log is empty.
func (c *cursorCheck) endOf(app webhook.ID) (webhook.ID, error) {
	end, known := c.ends[app]
	if known {
		return end, nil
	}
	opts := badger.DefaultIteratorOptions
	opts.Prefix, opts.Reverse, opts.PrefetchValues = idKey(keyLog, app), true, false
	it := c.db.txn.NewIterator(opts)
	defer it.Close()
	it.Seek(append(slices.Clone(opts.Prefix), 0xff))
	for it.Valid() && !isRecord(it.Item()) {
		it.Next()
	}
	if it.Valid() && len(it.Item().Key()) == recordKinds[keyLog].size {
		key := it.Item().KeyCopy(nil)
		list, err := c.chunks.logChunk(key)
		if err != nil {
			return end, err
		}
		if len(list) > 0 {
			end = list[len(list)-1].ID
		}
	}
	c.ends[app] = end
	return end, nil
}
