package wal

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/webhook"
)

// retainRecords is how many records one retain command looks at, about; retainParts how many parts of logs it names.
const (
	retainRecords = 2000
	retainParts   = 256
)

// Retain has messages leave the log whose time is over, for the leader: those from before that time, and those that say themselves
// how long they are kept. It does a bounded part of the work; more tells that there is some left.
func (w *Writer) Retain(ctx context.Context, s *Store, before, now time.Time) (more bool, err error) {
	parts, err := s.overdue(before.UnixMilli(), now.UnixMilli())
	if err != nil || len(parts) == 0 && !s.sweeps() {
		return false, err
	}
	return true, w.proposeEnd(ctx, kindRetain, retain{Before: before.UnixMilli(), Records: retainRecords, Parts: parts})
}

// sweeps reports whether attempts are left of messages that have left the log.
func (s *Store) sweeps() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.nouns.dropped) > 0
}

// overdue finds parts of logs with messages whose time is over.
func (s *Store) overdue(before, now int64) (parts []part, err error) {
	s.mu.RLock()
	apps := make([]webhook.ID, 0, len(s.nouns.applications))
	for id := range s.nouns.applications {
		apps = append(apps, id)
	}
	s.mu.RUnlock()
	r := retainer{entry: &entry{batch: &batch{meta: meta{clock: now}}}, before: before}
	err = s.view(func(txn *badger.Txn) error {
		err := scan(txn, []byte{keyExpiry}, func(key, _ []byte) error {
			due, app, message := parseExpiryKey(key)
			if due > now || len(parts) >= retainParts {
				return errStop
			}
			parts = append(parts, part{app, message})
			return nil
		})
		for i := 0; i < len(apps) && err == nil && len(parts) < retainParts; i++ {
			app := apps[i]
			err = scan(txn, idKey(keyLog, app), func(key, value []byte) error {
				if entryOf(key).Millis() >= before {
					return errStop
				}
				list, err := decodeMessages(key, value, app)
				if err != nil {
					return err
				}
				for i := range list {
					if r.due(&list[i]) {
						parts = append(parts, part{app, list[i].ID})
						break
					}
				}
				if len(parts) >= retainParts {
					return errStop
				}
				return nil
			})
		}
		return err
	})
	return parts, err
}

// Sweep has some of what removed endpoints and applications have left deleted, for the leader, by an entry that does nothing else: each
// entry deletes a bounded part. more reports whether there is some left.
func (w *Writer) Sweep(ctx context.Context, s *Store) (more bool, err error) {
	if !s.sweeping() {
		return false, nil
	}
	err = w.proposeEnd(ctx, kindRetain, sweepCommand)
	return err == nil && s.sweeping(), err
}

// sweepCommand does nothing by itself.
var sweepCommand = retain{Records: 1}

func (s *Store) sweeping() bool {
	s.applying.Lock()
	defer s.applying.Unlock()
	return len(s.nouns.removed)+len(s.nouns.dropped)+len(s.nouns.removedApps) > 0
}

// Shrink has the oldest messages leave the log that no endpoint waits for, for the leader, until logs and histories take no more than
// size bytes. It does a bounded part of the work, behind an entry; more tells that there is some left, behind next.
func (w *Writer) Shrink(ctx context.Context, s *Store, size int64, behind webhook.ID) (next webhook.ID, more bool, err error) {
	if s.Size() <= size {
		return behind, false, nil
	}
	parts, next, err := s.settled(behind, s.Size()-size)
	if err == nil {
		s.noteWaited(len(parts) == 0)
	}
	if err != nil || len(parts) == 0 {
		return next, false, err
	}
	return next, true, w.proposeEnd(ctx, kindRetain, retain{Size: size, Records: retainRecords, Parts: parts})
}

// settled finds the oldest parts of logs behind an entry with messages that no endpoint waits for, until they take enough bytes. There are none up to next.
func (s *Store) settled(behind webhook.ID, enough int64) (parts []part, next webhook.ID, err error) {
	for {
		all, err := s.passed(behind)
		if err != nil || len(all) == 0 {
			return nil, behind, err
		}
		for i := 0; i < len(all) && enough > 0; i++ {
			wanted, size, err := s.wants(all[i])
			if err != nil {
				return nil, behind, err
			}
			if !wanted {
				parts = append(parts, all[i])
				enough -= size
			}
		}
		if len(parts) > 0 {
			return parts, behind, nil
		}
		behind = all[len(all)-1].Entry
	}
}

// passed finds the oldest parts of logs behind an entry to which all cursors have come, retainParts of them or a few more, in log order.
func (s *Store) passed(behind webhook.ID) (parts []part, err error) {
	places := s.lowestCursors()
	err = s.view(func(txn *badger.Txn) error {
		opts := badger.DefaultIteratorOptions
		opts.Prefix, opts.PrefetchValues = []byte{keyLog}, false
		it := txn.NewIterator(opts)
		defer it.Close()
		limit := newest
		for app, last := range places {
			for it.Seek(chunkKey(keyLog, app, behind)); it.ValidForPrefix(idKey(keyLog, app)); it.Next() {
				if !isRecord(it.Item()) {
					continue
				}
				entry := entryOf(it.Item().Key())
				if entry.After(last) || entry.After(limit) {
					break
				}
				if !entry.After(behind) {
					continue
				}
				if parts = append(parts, part{app, entry}); len(parts) >= 2*retainParts {
					parts = oldest(parts)
					limit = parts[len(parts)-1].Entry
				}
			}
		}
		parts = oldest(parts)
		return nil
	})
	return parts, err
}

// newest is behind every entry.
var newest = webhook.ID(bytes.Repeat([]byte{0xff}, idSize))

// oldest are the first retainParts in log order, and what else is of the last one's entry.
func oldest(parts []part) []part {
	slices.SortFunc(parts, func(a, b part) int { return cmp.Or(a.Entry.Compare(b.Entry), a.App.Compare(b.App)) })
	for n := retainParts; n < len(parts); n++ {
		if parts[n].Entry != parts[n-1].Entry {
			return parts[:n]
		}
	}
	return parts
}

// lowestCursors are, for each application, the place up to which all its endpoints have come.
func (s *Store) lowestCursors() map[webhook.ID]webhook.ID {
	s.mu.RLock()
	defer s.mu.RUnlock()
	lowest := make(map[webhook.ID]webhook.ID, len(s.nouns.applications))
	for app := range s.nouns.applications {
		place := newest
		for _, endpoint := range s.nouns.byApp[app] {
			if c := s.nouns.cursors[endpoint.ID]; place.After(c.position) {
				place = c.position
			}
		}
		lowest[app] = place
	}
	return lowest
}

// wants reports whether endpoints wait for all messages in a part of a log, as the state machine will see it, and how large it is.
func (s *Store) wants(p part) (wanted bool, size int64, err error) {
	s.applying.Lock()
	defer s.applying.Unlock()
	if s.broken != nil {
		return true, 0, s.broken
	}
	wanted = true
	r := retainer{entry: &entry{store: s, batch: &s.staged}}
	err = s.guard(s.db, func() error {
		key := chunkKey(keyLog, p.App, p.Entry)
		data, found, err := s.get(key)
		if err != nil || !found {
			return err
		}
		size = int64(len(data))
		list, err := decodeMessages(key, data, p.App)
		for i := 0; i < len(list) && wanted && err == nil; i++ {
			wanted, err = r.wanted(&list[i])
		}
		return err
	})
	return wanted, size, err
}
