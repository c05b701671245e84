package scheduler

import "hookwheel/webhook"

// These apply one change each.

func add(s *Scheduler, e *webhook.Endpoint) {
	s.Apply(webhook.Changes{Endpoints: []*webhook.Endpoint{e}})
}

func remove(s *Scheduler, endpoint webhook.ID) {
	s.Apply(webhook.Changes{Removed: []webhook.ID{endpoint}})
}

func move(s *Scheduler, endpoint webhook.ID) {
	s.Apply(webhook.Changes{Moved: []webhook.ID{endpoint}})
}

func wake(s *Scheduler, endpoint webhook.ID) {
	s.Apply(webhook.Changes{Manual: []webhook.ID{endpoint}})
}

func offer(s *Scheduler, messages []*webhook.Message) {
	s.Apply(webhook.Changes{Messages: messages})
}

func expunge(s *Scheduler, m *webhook.Message) {
	s.Apply(webhook.Changes{Expunged: []*webhook.Message{m}})
}

func setRate(s *Scheduler, app webhook.ID, perSecond uint16) {
	s.Apply(webhook.Changes{Applications: []*webhook.Application{{ID: app, RateLimit: perSecond}}})
}
