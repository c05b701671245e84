package wal

import "hookwheel/webhook"

// Endpoint finds an endpoint of an application by its ID or uid. If it is unknown, the error is a
// *webhook.Error.
func (m *memory) Endpoint(app webhook.ID, name string) (*webhook.Endpoint, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if endpoint := m.catalog.endpoint(app, name); endpoint != nil {
		return endpoint, nil
	}
	return nil, errNoEndpoint
}

// Endpoints returns a page of an application's endpoints, and reports whether there are more in
// the page's direction.
func (m *memory) Endpoints(app webhook.ID, page Page) (list []*webhook.Endpoint, more bool) {
	m.mu.RLock()
	all := m.catalog.byApp[app]
	m.mu.RUnlock()
	list, _ = collect(page, nil, all, func(e **webhook.Endpoint) webhook.ID { return (*e).ID }, nil)
	return cut(page, list)
}

// AllEndpoints returns every endpoint, for a new leader to begin with.
func (m *memory) AllEndpoints() []*webhook.Endpoint {
	m.mu.RLock()
	defer m.mu.RUnlock()
	list := make([]*webhook.Endpoint, 0, len(m.catalog.endpoints))
	for _, endpoint := range m.catalog.endpoints {
		list = append(list, endpoint)
	}
	return list
}
