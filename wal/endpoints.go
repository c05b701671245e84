package wal

import "hookwheel/webhook"

// Endpoint finds one of an application by its ID or its uid. The error is a *webhook.Error if there is none.
func (s *Store) Endpoint(app webhook.ID, name string) (*webhook.Endpoint, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if endpoint := s.nouns.endpoint(app, name); endpoint != nil {
		return endpoint, nil
	}
	return nil, errNoEndpoint
}

// Endpoints lists a page of those of an application, and tells whether there are more in its direction.
func (s *Store) Endpoints(app webhook.ID, page Page) (list []*webhook.Endpoint, more bool) {
	s.mu.RLock()
	all := s.nouns.byApp[app]
	s.mu.RUnlock()
	list, _ = collect(page, nil, all, func(e **webhook.Endpoint) webhook.ID { return (*e).ID }, nil)
	return cut(page, list)
}

// AllEndpoints is what a new leader begins with.
func (s *Store) AllEndpoints() []*webhook.Endpoint {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]*webhook.Endpoint, 0, len(s.nouns.endpoints))
	for _, endpoint := range s.nouns.endpoints {
		list = append(list, endpoint)
	}
	return list
}
