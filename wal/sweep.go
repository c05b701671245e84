package wal

import (
	"bytes"
	"slices"

	"hookwheel/webhook"
)

const (
	// sweepPerEntry is roughly how many records of deleted objects one entry removes, so that no
	// single entry is slow.
	sweepPerEntry = 256
	// sweepBytes is roughly how many bytes of chunks it reads for that.
	sweepBytes = 1 << 20
	// handOnCost is how many records it costs to hand on an endpoint of a deleted application:
	// three records and three tallies.
	handOnCost = 8
)

// sweep is the body of kindSweep.
type sweep struct {
	Records int `json:"records"` // to remove, about
}

// apply only says that the entry sweeps. It does so at its end, when all it adds is written.
func (c *sweep) apply(e *entry) ([]byte, error) {
	e.sweeps = max(e.sweeps, c.Records)
	return nil, nil
}

// sweeper removes some of what deleted endpoints and applications, and messages that had many
// attempts, have left. It goes on where the last entry stopped, because to look for the first
// record that is left would mean to pass over all that Badger still holds of those removed before.
// The place is part of the records D, O and J, so it is the same on all nodes and after a restart.
type sweeper struct {
	*entry
	records int // that may yet be removed
	bytes   int // of chunks that may yet be read
	index   *walk
}

// sweep removes some of what is left of deleted objects, if a command of this entry asks for it.
func (e *entry) sweep() error {
	if e.sweeps == 0 {
		return nil
	}
	s := &sweeper{entry: e, records: e.sweeps, bytes: sweepBytes}
	defer func() {
		if s.index != nil {
			s.index.close()
		}
	}()
	n := &e.store.catalog
	for err := error(nil); !s.isSpent(); s.records-- { // also if nothing is left of an object
		switch {
		case len(n.removed) > 0:
			err = s.sweepEndpoint(&n.removed[0])
		case len(n.dropped) > 0:
			err = s.sweepDropped()
		case len(n.removedApps) > 0:
			err = s.sweepApplication(&n.removedApps[0])
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isSpent reports whether the entry has done its part.
func (s *sweeper) isSpent() bool { return s.records <= 0 || s.bytes <= 0 }

// leaveToSweep deletes an endpoint except for its sets, which sweepEndpoint removes, its tallies,
// and its history. Without a gathering the tallies stay until their time is over.
func (e *entry) leaveToSweep(app, endpoint webhook.ID, tallies *gathering) {
	n := &e.store.catalog
	gone := removal{endpoint: endpoint, tallies: tallies}
	i, _ := slices.BinarySearchFunc(n.removed, endpoint, func(r removal, id webhook.ID) int { return r.endpoint.Compare(id) })
	n.removed = slices.Insert(n.removed, i, gone) // the order in which a restarted node finds them
	e.batch.delete(idKey(keyEndpoint, app, endpoint))
	e.batch.delete(idKey(keyCursor, endpoint))
	e.batch.set(idKey(keyRemoved, endpoint), gone.encode())
}

// sweepEndpoint removes lines of an endpoint's sets, and once none are left gathers its tallies.
func (s *sweeper) sweepEndpoint(gone *removal) error {
	for _, set := range []byte{keyHeld, keyManual, keyRetry} { // in order of key
		if err := s.sweepSet(gone, idKey(set, gone.endpoint)); err != nil {
			return err
		}
	}
	all := !s.isSpent()
	if all && gone.tallies != nil {
		var err error
		if all, err = (tallyTable{s.entry}).gather(gone.endpoint, gone.tallies, &s.records); err != nil {
			return err
		}
	}
	if !all {
		s.batch.set(idKey(keyRemoved, gone.endpoint), gone.encode())
		return nil
	}
	s.batch.delete(idKey(keyRemoved, gone.endpoint))
	s.store.catalog.removed = s.store.catalog.removed[1:]
	return nil
}

// sweepSet removes lines of one set.
func (s *sweeper) sweepSet(gone *removal, prefix []byte) error {
	if bytes.Compare(gone.after, prefix) > 0 && !bytes.HasPrefix(gone.after, prefix) {
		return nil // it is empty
	}
	return s.store.pending.seek(prefix, laterKey(gone.after, prefix), func(key, value []byte) error {
		if s.isSpent() {
			return errStop
		}
		gone.after = bytes.Clone(key)
		s.batch.setChunk(gone.after, append([]byte{}, value...), nil) // some are empty, but not nil
		s.records--
		if key[0] == keyRetry {
			_, message := parseRetryKey(gone.after)
			s.batch.delete(plannedKey(message, gone.endpoint))
			s.records--
		}
		return nil
	})
}

// sweepApplication first hands the endpoints of an application on to sweepEndpoint, then removes
// the log.
func (s *sweeper) sweepApplication(gone *removedApp) error {
	if prefix := idKey(keyEndpoint, gone.id); bytes.Compare(gone.after, prefix) <= 0 || bytes.HasPrefix(gone.after, prefix) {
		if err := s.handOn(gone, prefix); err != nil || len(s.store.catalog.removed) > 0 {
			s.batch.set(idKey(keyRemovedApp, gone.id), gone.encode())
			return err
		}
	}
	prefix := idKey(keyLog, gone.id)
	err := s.store.pending.seek(prefix, laterKey(gone.after, prefix), func(key, value []byte) error {
		if s.isSpent() {
			return errStop
		}
		if !bytes.Equal(gone.after, key) {
			gone.after, gone.line = bytes.Clone(key), nil
		}
		err := s.sweepLog(gone, bytes.Clone(value))
		s.bytes -= len(value)
		return err
	})
	if err != nil {
		return err
	}
	if s.isSpent() {
		s.batch.set(idKey(keyRemovedApp, gone.id), gone.encode())
		return nil
	}
	s.batch.delete(idKey(keyRemovedApp, gone.id))
	s.store.catalog.removedApps = s.store.catalog.removedApps[1:]
	return nil
}

// handOn has sweepEndpoint remove endpoints of a deleted application.
func (s *sweeper) handOn(gone *removedApp, prefix []byte) error {
	var endpoints []webhook.ID
	err := s.store.pending.seek(prefix, laterKey(gone.after, prefix), func(key, _ []byte) error {
		if s.isSpent() {
			return errStop
		}
		s.records -= handOnCost
		gone.after = bytes.Clone(key)
		endpoints = append(endpoints, webhook.ID(key[1+idSize:]))
		return nil
	})
	for _, endpoint := range endpoints {
		if err := (tallyTable{s.entry}).keepRecentOf(endpoint, AttemptsAt(endpoint)); err != nil {
			return err
		}
		s.leaveToSweep(gone.id, endpoint, nil)
	}
	return err
}

// sweepLog removes the part of an application's log at gone.after: first attempts of its messages,
// and once none are left the messages with their event IDs.
func (s *sweeper) sweepLog(gone *removedApp, value []byte) error {
	list, err := decodeMessages(gone.after, value, gone.id)
	if err != nil {
		return err
	}
	for i := range list {
		prefix := idKey(keyIndex, list[i].ID)
		if bytes.Compare(gone.line, prefix) > 0 && !bytes.HasPrefix(gone.line, prefix) {
			continue // the attempts of this one are gone
		}
		if err := s.sweepAttempts(gone, prefix); err != nil || s.isSpent() {
			return err
		}
	}
	for i := range list {
		if list[i].EventID != "" {
			s.batch.delete(uniqueKey(gone.id, list[i].EventID))
		}
		if key := expiryKey(&list[i]); key != nil {
			s.batch.delete(key)
		}
	}
	s.setChunk(gone.id, gone.after, value, nil)
	s.records -= 1 + len(list)
	return nil
}

// sweepAttempts removes attempts of a message, together with all others that the same entries
// recorded for the same endpoints. The index then names exactly the attempts that are in the
// history.
func (s *sweeper) sweepAttempts(gone *removedApp, prefix []byte) error {
	if s.index == nil {
		s.index = newWalk(s.store.pending.durable(), []byte{keyIndex})
	}
	return s.store.pending.seekOn(s.index, prefix, laterKey(gone.line, prefix), func(line, endpoint []byte) error {
		if s.isSpent() {
			return errStop
		}
		chunk := chunkKey(keyHistory, webhook.ID(endpoint), webhook.ID(line[1+idSize:]))
		value, found, err := s.store.pending.get(chunk)
		if err != nil {
			return err
		}
		gone.line = bytes.Clone(line)
		s.batch.delete(gone.line)
		s.records--
		if !found { // it went with another attempt of this message, or its time was over
			return nil
		}
		attempts, err := decodeAttempts(chunk, value, webhook.ID(endpoint))
		for i := range attempts {
			s.batch.delete(idKey(keyIndex, attempts[i].Message, attempts[i].ID))
		}
		s.setChunk(gone.id, chunk, value, nil)
		s.records -= 1 + len(attempts)
		s.bytes -= len(value)
		return err
	})
}

// sweepDropped removes some attempts of a message that has left the log.
func (s *sweeper) sweepDropped() error {
	r := retainer{entry: s.entry, budget: s.records, bytes: s.bytes,
		history: make(map[string]*goneAttempts), freed: make(map[webhook.ID]int64)}
	if err := r.goOn(); err != nil {
		return err
	}
	r.rewriteHistory()
	s.records, s.bytes = r.budget, r.bytes
	return nil
}

// laterKey returns the key from which a range is to be read on: its beginning, or after if that is
// in it.
func laterKey(after, prefix []byte) []byte {
	if bytes.HasPrefix(after, prefix) {
		return after
	}
	return prefix
}

// firstKeys returns copies of the first n keys with a prefix, from a key on, including what this
// entry and those before it have staged.
func (e *entry) firstKeys(prefix, from []byte, n int) (keys [][]byte, err error) {
	err = e.store.pending.seek(prefix, from, func(key, _ []byte) error {
		if keys = append(keys, bytes.Clone(key)); len(keys) >= n {
			return errStop
		}
		return nil
	})
	return keys, err
}

// firstKeysIn returns copies of the first n keys with a prefix in a view.
func firstKeysIn(v view, prefix []byte, n int) ([][]byte, error) {
	var keys [][]byte
	err := v.seek(prefix, prefix, func(key, _ []byte) error {
		if keys = append(keys, bytes.Clone(key)); len(keys) >= n {
			return errStop
		}
		return nil
	})
	return keys, err
}
