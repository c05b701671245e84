package scheduler

import "hookwheel/webhook"

// Current reports whether a delivery that was handed out may still be sent as it is. It may not if
// its endpoint was deleted, disabled or paused since, if requests to it would differ now, or if the
// payload was expunged.
func (s *Scheduler) Current(d *webhook.Delivery) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[d.Endpoint.ID]
	if l == nil || l.flying[flight{d.Source, d.ID}].expunged {
		return false
	}
	endpoint := l.endpoint
	if l.successor != nil {
		endpoint = l.successor
	}
	return !isPaused(endpoint) && endpoint.SendsLike(d.Endpoint)
}
