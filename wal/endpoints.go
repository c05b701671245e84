package wal

import "hookwheel/webhook"

// Endpoint finds an endpoint of an application by its ID or uid. If it is unknown, the error is a
// *webhook.Error.
func (s *Store) Endpoint(app webhook.ID, name string) (*webhook.Endpoint, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if endpoint := s.catalog.endpoint(app, name); endpoint != nil {
		return endpoint, nil
	}
	return nil, errNoEndpoint
}

// Endpoints returns a page of an application's endpoints, and reports whether there are more in the
// page's direction.
func (s *Store) Endpoints(app webhook.ID, page Page) (list []*webhook.Endpoint, more bool) {
	s.mu.RLock()
	all := s.catalog.byApp[app]
	s.mu.RUnlock()
	list, _ = collect(page, nil, all, func(e **webhook.Endpoint) webhook.ID { return (*e).ID }, nil)
	return cut(page, list)
}

// AllEndpoints returns every endpoint, for a new leader to begin with.
func (s *Store) AllEndpoints() []*webhook.Endpoint {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]*webhook.Endpoint, 0, len(s.catalog.endpoints))
	for _, endpoint := range s.catalog.endpoints {
		list = append(list, endpoint)
	}
	return list
}
