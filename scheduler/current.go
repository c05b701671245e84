package scheduler

import "hookwheel/webhook"

// IsCurrent reports whether a delivery that was handed out may still be sent unchanged. It may not
// if since then its endpoint was deleted, disabled or paused, if a request to it would be different
// now, or if the payload was expunged.
func (s *Scheduler) IsCurrent(d *webhook.Delivery) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[d.Endpoint.ID]
	if l == nil || l.flying[flight{d.Source, d.ID}].expunged {
		return false
	}
	endpoint := l.latest()
	return !isPaused(endpoint) && endpoint.SendsLike(d.Endpoint)
}

// latest is the endpoint as it was last changed.
func (l *lane) latest() *webhook.Endpoint {
	if l.successor != nil {
		return l.successor
	}
	return l.endpoint
}
