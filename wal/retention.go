package wal

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/webhook"
)

// retainRecords is roughly how many records one retain command looks at; retainParts is how many
// parts of logs it names.
const (
	retainRecords = 2000
	retainParts   = 256
)

// retainLooks and retainLookBytes are roughly how many parts of logs one look for overdue messages
// reads, and how many bytes of them.
const (
	retainLooks     = 4096
	retainLookBytes = 16 << 20
)

// Retain removes messages whose retention has ended, for the leader: those from before that time,
// and those with a retention of their own. It does a bounded part of the work; more reports
// whether some is left.
func (w *Writer) Retain(ctx context.Context, s *Store, before, now time.Time) (more bool, err error) {
	o, err := s.overdue(before.UnixMilli(), now.UnixMilli())
	if err != nil {
		return false, err
	}
	forgets, err := s.forgets(now.UnixMilli())
	if err != nil || len(o.command.Parts)+len(o.command.Looked) == 0 && !s.needsSweep() && !forgets {
		return false, err
	}
	o.command.Tallies = s.tallyRoom()
	return true, w.proposeEnd(ctx, kindRetain, o.command)
}

// needsSweep reports whether there are attempts of messages that have left the log.
func (m *memory) needsSweep() bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return len(m.catalog.dropped) > 0
}

// overdue is one look for messages whose retention has ended.
type overdue struct {
	command retain
	due     retainer
	looks   int // parts of logs
	bytes   int // of them
	seen    int // versions of records that were passed, deleted ones too
}

// overdue looks for messages whose retention has ended.
func (r *Reader) overdue(before, now int64) (o overdue, err error) {
	r.mu.RLock()
	apps := slices.Collect(maps.Keys(r.catalog.applications))
	r.mu.RUnlock()
	o.command = retain{Before: before, Records: retainRecords}
	o.due = retainer{entry: &entry{batch: &batch{meta: meta{clock: now}}}, before: before}
	err = r.read(func(v dbView) error {
		places := r.snapshots.last().expiries
		err := o.lines(v, expiryOwn, places[expiryOwn], now)
		if err == nil {
			err = o.lines(v, expiryDelayed, places[expiryDelayed], before-1)
		}
		log := newWalk(v.txn, []byte{keyLog})
		defer func() { o.seen += log.seen; log.close() }()
		for i := 0; i < len(apps) && err == nil && !o.isDone(); i++ {
			err = o.log(log, apps[i], r.front(apps[i]))
		}
		return err
	})
	return o, err
}

func (o *overdue) isDone() bool {
	return len(o.command.Parts) >= retainParts || o.looks >= retainLooks || o.bytes >= retainLookBytes
}

// idStep is how exact the time of an ID is, in milliseconds.
const idStep = 4

// add adds a part to the command, unless it was added last.
func (o *overdue) add(app, entry webhook.ID) {
	p := part{app, entryOf(entry[:entrySize])}
	if n := len(o.command.Parts); n == 0 || o.command.Parts[n-1] != p {
		o.command.Parts = append(o.command.Parts, p)
	}
}

// lines looks at the lines under X of a class that are due until then.
func (o *overdue) lines(v dbView, class byte, from, until int64) error {
	w := newWalk(v.txn, []byte{keyExpiry, class})
	defer func() { o.seen += w.seen; w.close() }()
	w.end = expiryFrom(class, until+1)
	err := w.items([]byte{keyExpiry, class}, expiryFrom(class, from), func(item *badger.Item) error {
		_, _, app, message := parseExpiryKey(item.Key())
		o.add(app, message)
		if len(o.command.Parts) >= retainParts {
			return errStop
		}
		return nil
	})
	return unlessStopped(err)
}

// log looks at what an application was sent before that time, on from where the last look ended.
func (o *overdue) log(w *walk, app webhook.ID, f front) error {
	w.end = chunkKey(keyLog, app, webhook.NewID(o.command.Before+idStep, 0, 0))
	last, stays := webhook.ID{}, false
	err := w.seek(idKey(keyLog, app), chunkKey(keyLog, app, latest(f.first, f.aged)), func(key, value []byte) error {
		entry := entryOf(key)
		if entry.Millis() >= o.command.Before || o.isDone() {
			return errStop
		}
		list, err := decodeMessages(key, value, app)
		if err != nil {
			return err
		}
		o.looks++
		o.bytes += len(value)
		last = entry
		due := 0
		for i := range list {
			if o.due.isDue(&list[i]) {
				due++
			}
		}
		if due > 0 {
			o.add(app, entry)
		}
		stays = stays || due < len(list)
		return nil
	})
	if stays && last.After(f.aged) {
		o.command.Looked = append(o.command.Looked, part{app, last})
	}
	return unlessStopped(err)
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

// Tidy proposes an entry that changes nothing if the store of this node waits for one: values in
// blob files are moved only together with an entry. more reports whether the store waited for one.
func (w *Writer) Tidy(ctx context.Context, s *Store) (more bool, err error) {
	if !s.lacksEntry.Load() {
		return false, nil
	}
	return true, w.proposeEnd(ctx, kindSweep, sweep{Records: sweepPerEntry})
}

func (r *Reader) isSweeping() bool {
	r.pending.Lock()
	defer r.pending.Unlock()
	return len(r.catalog.removed)+len(r.catalog.dropped)+len(r.catalog.removedApps) > 0
}
