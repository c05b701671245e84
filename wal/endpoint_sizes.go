package wal

import (
	"fmt"

	"hookwheel/webhook"
)

// Customers choose how large their endpoints are, which each node has in memory, and unlike
// messages endpoints do not leave. Those of one application may take a part of the limit. Once all
// take half of it, each application may still have an equal part of an eighth. As applications
// come, these parts get smaller, so a thousand that take all they can stay near the limit.
const (
	ownEndpointsPart    = 16
	commonEndpointsPart = 2
	equalEndpointsPart  = 8
)

// endpointSizes are how many bytes the records of endpoints take.
type endpointSizes struct {
	of  map[webhook.ID]int64 // by application
	all int64
}

// measure notes the size of an endpoint's record, which is with the cursor to save memory.
func (n *catalog) measure(endpoint *webhook.Endpoint, size int) {
	c := n.cursors[endpoint.ID]
	more := int64(size) - int64(c.record)
	c.record = int32(size)
	n.sizes.all += more
	if n.sizes.of[endpoint.App] += more; n.sizes.of[endpoint.App] == 0 {
		delete(n.sizes.of, endpoint.App)
	}
}

// enlargement returns by how many bytes what users choose of a new or changed endpoint is larger
// than before. To pause or disable one enlarges nothing.
func (s *Store) enlargement(endpoint *webhook.Endpoint) int64 {
	size, same := int64(0), *endpoint
	s.mu.RLock()
	before := s.catalog.endpoints[endpoint.ID]
	if before != nil {
		size = int64(s.catalog.cursors[endpoint.ID].record)
	}
	s.mu.RUnlock()
	if before != nil {
		same.Paused, same.Disabled, same.Revision = before.Paused, before.Disabled, before.Revision
		same.CreatedAt, same.UpdatedAt, same.FilterSince = before.CreatedAt, before.UpdatedAt, before.FilterSince
	}
	record, err := encodeJSON(&same)
	if err != nil {
		return 0 // Apply says why
	}
	return int64(len(record)) - size
}

// endpointsLimit returns how many bytes the records of endpoints may take, and the setting that
// says so; 0: any number.
func (s *Space) endpointsLimit() (limit int64, setting string) {
	if s.maxSize > 0 && (s.maxSize < s.maxEndpoints || s.maxEndpoints == 0) {
		return s.maxSize, "storage.max_size"
	}
	return s.maxEndpoints, "storage.max_endpoints"
}

// noEndpoint refuses a new or larger endpoint if those of its application take more than their part
// of the limit, or all endpoints take theirs and the application has its equal part.
func (g *Gate) noEndpoint(app webhook.ID, more int64) error {
	limit, setting := g.space.endpointsLimit()
	if limit == 0 {
		return nil
	}
	g.store.mu.RLock()
	sizes := &g.store.catalog.sizes
	own, all, count := sizes.of[app]+more, sizes.all+more, int64(max(len(sizes.of), 1))
	g.store.mu.RUnlock()
	common := limit / commonEndpointsPart
	switch {
	case own > limit/ownEndpointsPart:
		return &webhook.Error{Code: webhook.CodeLimit, Detail: fmt.Sprintf("The endpoints of this application would take %d KiB, more than the %d KiB that they may, "+
			"a part of %s: delete some, make them smaller, or raise %s.", own>>10, limit/ownEndpointsPart>>10, setting, setting)}
	case all > common && own > limit/equalEndpointsPart/count:
		return g.refuse(fmt.Sprintf("The endpoints of all applications would take %d KiB, more than the %d KiB that they may, half of %s, and those of this one %d KiB: "+
			"delete some, make them smaller, or raise %s.", all>>10, common>>10, setting, own>>10, setting))
	}
	return nil
}
