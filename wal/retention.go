package wal

import (
	"context"
	"time"

	"hookwheel/webhook"
)

// retainRecords is roughly how many records one retain command looks at; retainParts is how many
// parts of logs it names.
const (
	retainRecords = 2000
	retainParts   = 256
)

// Retain removes messages whose retention has ended, for the leader: those from before that time,
// and those with a retention of their own. It does a bounded part of the work; more reports
// whether some is left.
func (w *Writer) Retain(ctx context.Context, s *Store, before, now time.Time) (more bool, err error) {
	parts, err := s.overdue(before.UnixMilli(), now.UnixMilli())
	if err != nil {
		return false, err
	}
	forgets, err := s.forgets(now.UnixMilli())
	if err != nil || len(parts) == 0 && !s.needsSweep() && !forgets {
		return false, err
	}
	return true, w.proposeEnd(ctx, kindRetain, retain{Before: before.UnixMilli(), Records: retainRecords, Parts: parts, Tallies: s.tallyRoom()})
}

// needsSweep reports whether there are attempts of messages that have left the log.
func (m *memory) needsSweep() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.catalog.dropped) > 0
}

// overdue finds parts of logs with messages whose retention has ended.
func (r *Reader) overdue(before, now int64) (parts []part, err error) {
	r.mu.RLock()
	apps := make([]webhook.ID, 0, len(r.catalog.applications))
	for id := range r.catalog.applications {
		apps = append(apps, id)
	}
	r.mu.RUnlock()
	due := retainer{entry: &entry{batch: &batch{meta: meta{clock: now}}}, before: before}
	err = r.read(func(v dbView) error {
		err := v.scan([]byte{keyExpiry}, func(key, _ []byte) error {
			at, app, message := parseExpiryKey(key)
			if at > now || len(parts) >= retainParts {
				return errStop
			}
			parts = append(parts, part{app, message})
			return nil
		})
		for i := 0; i < len(apps) && err == nil && len(parts) < retainParts; i++ {
			app := apps[i]
			err = v.scan(idKey(keyLog, app), func(key, value []byte) error {
				if entryOf(key).Millis() >= before {
					return errStop
				}
				list, err := decodeMessages(key, value, app)
				if err != nil {
					return err
				}
				for i := range list {
					if due.isDue(&list[i]) {
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

// Sweep deletes some records of deleted endpoints and applications, for the leader, through an
// entry with no other purpose. Each entry deletes a bounded part; more reports whether some is
// left.
func (w *Writer) Sweep(ctx context.Context, s *Store) (more bool, err error) {
	if !s.isSweeping() {
		return false, nil
	}
	err = w.proposeEnd(ctx, kindSweep, sweep{Records: sweepPerEntry})
	return err == nil && s.isSweeping(), err
}

func (r *Reader) isSweeping() bool {
	r.pending.Lock()
	defer r.pending.Unlock()
	return len(r.catalog.removed)+len(r.catalog.dropped)+len(r.catalog.removedApps) > 0
}
