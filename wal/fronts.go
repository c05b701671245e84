package wal

import (
	"maps"
	"slices"

	"hookwheel/webhook"
)

// front says where to begin to read the log of an application, so that retention does not pass over
// what Badger still holds of messages that have left, nor again and again over those that stay.
// Both are the first ID of an entry.
type front struct {
	first webhook.ID // all messages from before have left
	aged  webhook.ID // those from before that are left have a line under X
}

func frontKey(app webhook.ID) []byte { return idKey(keyFront, app) }

// encode: first 20 | aged 20
func (f *front) encode() []byte {
	return append(append([]byte{frontVersion}, f.first[:]...), f.aged[:]...)
}

func decodeFront(value []byte) (front, error) {
	r := newReader(value, frontVersion)
	f := front{first: r.id(), aged: r.id()}
	return f, r.end()
}

func (n *catalog) loadFronts(v view) error {
	return v.scan([]byte{keyFront}, func(key, value []byte) (err error) {
		n.fronts[webhook.ID(key[1:])], err = decodeFront(value)
		return err
	})
}

// keepFronts records where the logs begin of which this command has removed parts, and how far
// retention by age has come in those that the leader has looked at.
func (r *retainer) keepFronts(looked []part) error {
	if len(r.removed) == 0 && len(looked) == 0 {
		return nil
	}
	fronts := make(map[webhook.ID]front) // as they are to be
	for app := range r.removed {
		fronts[app] = r.store.catalog.fronts[app]
	}
	for _, p := range looked {
		if r.store.catalog.applications[p.App] == nil {
			continue
		}
		f := r.store.catalog.fronts[p.App]
		place := entryOf(p.Entry[:entrySize])
		if left, found := r.left[p.App]; found && place.After(left) {
			place = left
		}
		f.aged = latest(f.aged, place)
		fronts[p.App] = f
	}
	log := newWalk(r.store.pending.durable(), []byte{keyLog})
	defer log.close()
	for app, last := range r.removed { // any order will do: each front is a record of its own
		f := fronts[app]
		first, err := r.firstOf(log, app, f.first)
		if err != nil {
			return err
		}
		if first.IsZero() {
			first = last
		}
		f.first = latest(f.first, first)
		fronts[app] = f
	}
	for _, app := range slices.SortedFunc(maps.Keys(fronts), webhook.ID.Compare) {
		f := fronts[app]
		if f == r.store.catalog.fronts[app] {
			continue
		}
		r.store.mu.Lock()
		r.store.catalog.fronts[app] = f
		r.store.mu.Unlock()
		r.batch.set(frontKey(app), f.encode())
	}
	return nil
}

// firstOf returns the entry of the first part of a log, or zero if the log is empty.
func (r *retainer) firstOf(log *walk, app, from webhook.ID) (first webhook.ID, err error) {
	err = r.store.pending.seekOn(log, idKey(keyLog, app), chunkKey(keyLog, app, from), func(key, _ []byte) error {
		first = entryOf(key)
		return errStop
	})
	return first, err
}

// latest returns the later one of two IDs.
func latest(a, b webhook.ID) webhook.ID {
	if a.After(b) {
		return a
	}
	return b
}

// dropFront forgets the front of the log of a deleted application.
func (e applicationTable) dropFront(app webhook.ID) {
	e.store.mu.Lock()
	delete(e.store.catalog.fronts, app)
	e.store.mu.Unlock()
	e.batch.delete(frontKey(app))
}

// front returns where the log of an application begins.
func (m *memory) front(app webhook.ID) front {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.catalog.fronts[app]
}
