package wal

import (
	"bytes"
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

// retainPasses is how many lines of deleted applications one look passes in a class. Sweep removes
// them, which may take long.
const retainPasses = 16 << 10

// Cleaner removes what is kept no longer: it finds that in a store, and proposes its removal. Each
// call does a bounded part of the work; more reports whether some is left.
type Cleaner struct {
	store  *Store
	writer *Writer
	passed [expiryClasses][]byte // up to these keys all lines under X are of deleted applications, while there are any
}

// NewCleaner returns a Cleaner of a store.
func NewCleaner(s *Store, w *Writer) *Cleaner { return &Cleaner{store: s, writer: w} }

// Retain removes messages whose retention has ended, for the leader: those from before that time,
// and those with a retention of their own.
func (c *Cleaner) Retain(ctx context.Context, before, now time.Time) (more bool, err error) {
	o, err := c.overdue(before.UnixMilli(), now.UnixMilli())
	if err != nil {
		return false, err
	}
	forgets, err := c.forgets(now.UnixMilli())
	if err != nil || len(o.command.Parts)+len(o.command.Looked) == 0 && !c.needsSweep() && !forgets {
		return o.passes, err
	}
	o.command.Tallies = c.tallyRoom()
	return true, c.writer.client.proposeEnd(ctx, kindRetain, o.command)
}

// needsSweep reports whether there are attempts of messages that have left the log.
func (c *Cleaner) needsSweep() bool {
	c.store.mu.RLock()
	defer c.store.mu.RUnlock()
	return len(c.store.catalog.dropped) > 0
}

// removesApplications reports whether anything is left of deleted applications.
func (c *Cleaner) removesApplications() bool {
	c.store.pending.Lock()
	defer c.store.pending.Unlock()
	return len(c.store.catalog.removedApps) > 0
}

// isDeleted reports whether an application was deleted.
func (m *memory) isDeleted(app webhook.ID) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.catalog.applications[app] == nil
}

// overdue is one look for messages whose retention has ended.
type overdue struct {
	command retain
	due     retainer
	looks   int  // parts of logs
	bytes   int  // of them
	seen    int  // versions of records that were passed, deleted ones too
	passes  bool // there were too many lines of deleted applications to pass at once
}

// overdue looks for messages whose retention has ended.
func (c *Cleaner) overdue(before, now int64) (o overdue, err error) {
	c.store.mu.RLock()
	apps := slices.Collect(maps.Keys(c.store.catalog.applications))
	c.store.mu.RUnlock()
	if !c.removesApplications() {
		c.passed = [expiryClasses][]byte{}
	}
	o.command = retain{Before: before, Records: retainRecords}
	o.due = retainer{entry: &entry{batch: &batch{meta: meta{clock: now}}}, before: before}
	err = c.store.read(func(v dbView) error {
		places := c.store.snapshots.last().expiries
		err := c.lines(&o, v, expiryOwn, places[expiryOwn], now)
		if err == nil {
			err = c.lines(&o, v, expiryDelayed, places[expiryDelayed], before-1)
		}
		log := newWalk(v.txn, []byte{keyLog})
		defer func() { o.seen += log.seen; log.close() }()
		for i := 0; i < len(apps) && err == nil && !o.isDone(); i++ {
			err = o.log(log, apps[i], c.store.front(apps[i]))
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

// lines looks at the lines under X of a class that are due until then, but for those of deleted
// applications.
func (c *Cleaner) lines(o *overdue, v dbView, class byte, from, until int64) error {
	w := newWalk(v.txn, []byte{keyExpiry, class})
	defer func() { o.seen += w.seen; w.close() }()
	w.end = expiryFrom(class, until+1)
	first := expiryFrom(class, from)
	if bytes.Compare(c.passed[class], first) > 0 {
		first = c.passed[class]
	}
	leading, passed := true, 0
	err := w.items([]byte{keyExpiry, class}, first, func(item *badger.Item) error {
		_, _, app, message := parseExpiryKey(item.Key())
		if c.store.isDeleted(app) {
			if leading {
				c.passed[class] = item.KeyCopy(c.passed[class][:0])
			}
			if passed++; passed >= retainPasses {
				o.passes = true
				return errStop
			}
			return nil
		}
		leading = false
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
// entry with no other purpose.
func (c *Cleaner) Sweep(ctx context.Context) (more bool, err error) {
	if !c.isSweeping() {
		return false, nil
	}
	err = c.writer.client.proposeEnd(ctx, kindSweep, sweep{Records: sweepPerEntry})
	return err == nil && c.isSweeping(), err
}

// isSweeping reports whether anything is left of what was deleted.
func (c *Cleaner) isSweeping() bool {
	c.store.pending.Lock()
	defer c.store.pending.Unlock()
	n := &c.store.catalog
	return len(n.removed)+len(n.dropped)+len(n.removedApps) > 0
}

// Tidy proposes an entry that changes nothing if the store waits for one: values in blob files are
// moved only together with an entry. more reports whether the store waited for one. Every node
// calls it for its own store.
func (c *Cleaner) Tidy(ctx context.Context) (more bool, err error) {
	if !c.store.lacksEntry.Load() {
		return false, nil
	}
	return true, c.writer.client.proposeEnd(ctx, kindSweep, sweep{Records: sweepPerEntry})
}

// tallyShare is the part of the limit of the store's size that one queue of tallies may take.
const tallyShare = 32

// tallyRoom returns how many bytes one queue of tallies may take; 0: any number.
func (c *Cleaner) tallyRoom() int64 { return c.store.space.maxSize / tallyShare }

// forgets reports whether a tally is kept no longer.
func (c *Cleaner) forgets(now int64) (forgets bool, err error) {
	queues := c.store.pending.state().tallies
	room := c.tallyRoom()
	err = c.store.read(func(v dbView) error {
		for p := range Period(len(periods)) {
			for of := range scope(scopes) {
				queue := queues.of(p, of)
				if room > 0 && queue.bytes > room {
					forgets = true
					return nil
				}
				prefix := tallyPrefix(p, of)
				c.store.mu.RLock()
				from := c.store.catalog.forgotten.from(prefix)
				c.store.mu.RUnlock()
				err := v.keys(prefix, from, func(key []byte) error {
					_, _, start := parseTallyKey(key)
					forgets = start < queue.floor || p.over(start, now)
					return errStop
				})
				if err != nil || forgets {
					return err
				}
			}
		}
		return nil
	})
	return forgets, err
}
