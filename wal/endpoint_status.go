package wal

import "hookwheel/webhook"

// EndpointStatus is the state of an endpoint's deliveries.
type EndpointStatus struct {
	State   EndpointState // not Blocked
	Blocked bool          // messages wait behind one that failed, to keep the order
	Health  webhook.Health
	Expired uint64 // messages that it wanted and that left the log before they were settled
}

// EndpointStatus returns the state of an endpoint's deliveries. If the endpoint is gone, nothing
// is known but what the endpoint says itself.
func (m *memory) EndpointStatus(endpoint *webhook.Endpoint) (at EndpointStatus) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if c := m.catalog.cursors[endpoint.ID]; c != nil {
		at = EndpointStatus{Blocked: c.isBlocked(endpoint), Health: c.health(), Expired: c.counts.expired}
	}
	at.State = stateOf(endpoint, &at.Health)
	return at
}

// Expired returns how many messages left the log before they were settled, over all existing
// endpoints.
func (m *memory) Expired() (sum uint64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, c := range m.catalog.cursors {
		sum += c.counts.expired
	}
	return sum
}
