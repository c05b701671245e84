package wal

import (
	"fmt"

	"hookwheel/webhook"
)

// Of storage.max_size, endpoints may take half, and those of one application a sixteenth. Customers
// choose how large their endpoints are, and unlike messages these do not leave.
const (
	endpointsPart    = 2
	ownEndpointsPart = 16
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

// noEndpoint refuses a new or larger endpoint if those of its application take more than their part
// of storage.max_size, or all endpoints take theirs and the application has what would be its part
// if all had the same.
func (g *Gate) noEndpoint(app webhook.ID, more int64) error {
	maxSize := g.space.maxSize
	if maxSize == 0 {
		return nil
	}
	g.store.mu.RLock()
	sizes := &g.store.catalog.sizes
	own, all, count := sizes.of[app]+more, sizes.all+more, max(len(sizes.of), 1)
	g.store.mu.RUnlock()
	switch {
	case own > maxSize/ownEndpointsPart:
		return &webhook.Error{Code: webhook.CodeLimit, Detail: fmt.Sprintf("The endpoints of this application would take %d KiB, more than the %d KiB that they may, "+
			"a part of storage.max_size: delete some, make them smaller, or raise storage.max_size.", own>>10, maxSize/ownEndpointsPart>>10)}
	case all > maxSize/endpointsPart && own > maxSize/endpointsPart/int64(count):
		return g.refuse(fmt.Sprintf("The endpoints of all applications would take %d KiB, more than the %d KiB that they may, half of storage.max_size: "+
			"delete some, make them smaller, or raise storage.max_size.", all>>10, maxSize/endpointsPart>>10))
	}
	return nil
}
