package wal

import (
	"slices"

	"github.com/dgraph-io/badger/v4"

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
func (s *Store) Audit(page Page, filter AuditFilter) (list []webhook.StateChange, next webhook.ID, err error) {
	found := search[webhook.StateChange]{page: page, id: func(c *webhook.StateChange) webhook.ID { return c.ID },
		keep: func(*webhook.StateChange) int { return 0 },
		want: func(c *webhook.StateChange) (bool, error) { return filter.wants(c), nil }}
	err = s.view(func(txn *badger.Txn) error {
		return page.walk(txn, []byte{keyChange}, entrySize, func(_, value []byte) error {
			changes, err := decodeChanges(value)
			if err != nil {
				return err
			}
			return found.take(changes)
		})
	})
	for i := range found.list {
		s.hideDeleted(&found.list[i].By)
	}
	return found.list, found.next, err
}

// hideDeleted removes what a deleted application has chosen from an actor.
func (s *Store) hideDeleted(by *webhook.Actor) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if !by.App.IsZero() && s.catalog.applications[by.App] == nil {
		by.Name, by.Session = "", ""
	}
}
