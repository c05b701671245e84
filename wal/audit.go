package wal

import (
	"slices"
	"time"

	"hookwheel/webhook"
)

// AuditFilter selects changes. Zero fields select all.
type AuditFilter struct {
	Changes []webhook.Change
	Type    webhook.ActorType
	Key     webhook.ID // of the actor
	App     webhook.ID
}

func (f *AuditFilter) wants(c *webhook.StateChange) bool {
	if !c.IsAudited() || !f.App.IsZero() && c.App != f.App || !f.Key.IsZero() && c.By.Key != f.Key {
		return false
	}
	if f.Type != "" && c.By.Kind() != f.Type {
		return false
	}
	return len(f.Changes) == 0 || slices.Contains(f.Changes, c.Change)
}

// Audit returns a page of the changes that somebody decided on; next is as in Messages. The names
// that a deleted application gave to its tokens and sessions are left out.
func (r *Reader) Audit(page Page, filter AuditFilter) (list []webhook.StateChange, next webhook.ID, err error) {
	found := search[webhook.StateChange]{page: page, id: func(c *webhook.StateChange) webhook.ID { return c.ID },
		keep: func(*webhook.StateChange) int { return 0 },
		want: func(c *webhook.StateChange) (bool, error) { return filter.wants(c), nil }}
	err = r.read(func(v dbView) error {
		return v.page(page, []byte{keyChange}, entrySize, func(_, value []byte) error {
			changes, err := decodeChanges(value)
			if err != nil {
				return err
			}
			return found.take(changes)
		})
	})
	for i := range found.list {
		r.hideDeleted(&found.list[i].By)
	}
	return found.list, found.next, err
}

// RemovedChanges says how many changes were removed to make room, in less than the time for which
// they are kept. All of them were made before that time.
type RemovedChanges struct {
	Count  uint64
	Before time.Time
}

// RemovedChanges returns what was removed of the changes that an application and the nodes on its
// account have made, or with a zero ID of the changes by anybody. Nothing is zero.
func (r *Reader) RemovedChanges(app webhook.ID) (removed RemovedChanges) {
	if app.IsZero() {
		state := r.pending.state()
		for _, of := range state.removed {
			if of.count > 0 && of.newest >= state.clock-changesKept.Milliseconds() {
				removed.add(of.count, of.newest+1)
			}
		}
		return removed
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, by := range []maker{{makerCustomer, app}, {makerCluster, app}} {
		if made := r.catalog.changes.makers[by]; made != nil && made.removed > 0 {
			removed.add(made.removed, made.records[0].entry.Millis())
		}
	}
	return removed
}

func (r *RemovedChanges) add(count uint64, before int64) {
	r.Count += count
	if at := time.UnixMilli(before).UTC(); at.After(r.Before) {
		r.Before = at
	}
}

// UntoldChanges returns how many changes of customers were not reported in an operational webhook
// since the cluster began, because they were too many.
func (r *Reader) UntoldChanges() uint64 { return r.pending.state().untold }

// RemovedChangesBy returns how many changes were removed to make room since the cluster began, by
// who had made them: operators, customers or the cluster itself.
func (r *Reader) RemovedChangesBy() (operators, customers, cluster uint64) {
	removed := r.pending.state().removed
	return removed[makerOperator].count, removed[makerCustomer].count, removed[makerCluster].count
}

// hideDeleted removes what a deleted application has chosen from an actor.
func (m *memory) hideDeleted(by *webhook.Actor) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if !by.App.IsZero() && m.catalog.applications[by.App] == nil {
		by.Name, by.Session = "", ""
	}
}
