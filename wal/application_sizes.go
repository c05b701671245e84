package wal

import (
	"fmt"
	"math"

	"hookwheel/webhook"
)

// A producer can create applications, but not delete them. Together they may take 2 KiB for each
// that limits.applications allows, or 16 MiB if that is more, and an eighth of storage.max_size.
const (
	applicationsPart  = 8
	applicationMean   = 2 << 10
	applicationsLeast = 16 << 20
)

// nameCost is what a key of an application's metadata takes in memory besides its text.
const nameCost = 64

// sizeOf returns about how many bytes an application takes in the store, or in memory if that is
// more.
func sizeOf(app *webhook.Application) int64 {
	record, err := encodeJSON(app)
	if err != nil {
		return 0 // Apply says why
	}
	return int64(len(record) + nameCost*len(app.Metadata))
}

// noApplication refuses a new application if all of them take what they may.
func (g *Gate) noApplication(c *createApplication) error {
	g.store.mu.RLock()
	exists, all := g.store.catalog.uidHolder(c.Application.UID) != nil, g.store.catalog.applicationBytes
	g.store.mu.RUnlock()
	if exists {
		return nil
	}
	limit := int64(math.MaxInt64)
	if c.Max > 0 {
		limit = max(int64(c.Max)*applicationMean, applicationsLeast)
	}
	if maxSize := g.space.maxSize; maxSize > 0 {
		limit = min(limit, maxSize/applicationsPart)
	}
	if all += sizeOf(&c.Application); all <= limit {
		return nil
	}
	return &webhook.Error{Code: webhook.CodeLimit, Detail: fmt.Sprintf("The applications would take %d KiB, more than the %d KiB that they may: delete some, "+
		"make them smaller, or raise limits.applications and storage.max_size.", all>>10, limit>>10)}
}
