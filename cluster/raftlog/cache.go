package raftlog

import (
	"sync"

	"github.com/hashicorp/raft"
)

// The newest entries are kept in memory for followers and for applying them, as many as fit both
// limits. raft.LogCache has no limit in bytes, so entries of several megabytes would fill the
// memory.
const (
	cachedEntries = 128
	cachedBytes   = 16 << 20
)

// Cache is a log with its newest entries in memory. It does not hold its lock while it uses the
// log.
type Cache struct {
	raft.LogStore

	mu      sync.RWMutex
	entries [cachedEntries]*raft.Log // by index modulo cachedEntries
	first   uint64                   // the oldest that is cached
	next    uint64                   // index after the newest
	bytes   int
}

// NewCache returns an empty cache in front of a log.
func NewCache(log raft.LogStore) *Cache { return &Cache{LogStore: log} }

// GetLog reads an entry.
func (c *Cache) GetLog(index uint64, entry *raft.Log) error {
	c.mu.RLock()
	if index >= c.first && index < c.next {
		*entry = *c.entries[index%cachedEntries]
		c.mu.RUnlock()
		return nil
	}
	c.mu.RUnlock()
	return c.LogStore.GetLog(index, entry)
}

// StoreLog stores an entry.
func (c *Cache) StoreLog(entry *raft.Log) error { return c.StoreLogs([]*raft.Log{entry}) }

// StoreLogs stores entries, first in the log.
func (c *Cache) StoreLogs(entries []*raft.Log) error {
	if err := c.LogStore.StoreLogs(entries); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, entry := range entries {
		c.add(entry)
	}
	return nil
}

// add caches an entry; the lock is held.
func (c *Cache) add(entry *raft.Log) {
	if entry.Index != c.next {
		c.clear()
		c.first, c.next = entry.Index, entry.Index
	}
	if c.next-c.first == cachedEntries {
		c.dropFirst()
	}
	c.entries[entry.Index%cachedEntries] = entry
	c.next++
	for c.bytes += entryBytes(entry); c.bytes > cachedBytes; {
		c.dropFirst()
	}
}

func (c *Cache) dropFirst() {
	slot := &c.entries[c.first%cachedEntries]
	c.bytes -= entryBytes(*slot)
	*slot = nil
	c.first++
}

func (c *Cache) clear() {
	for c.first < c.next {
		c.dropFirst()
	}
}

func entryBytes(entry *raft.Log) int { return len(entry.Data) + len(entry.Extensions) }

// DeleteRange also clears the cache, as entries may be cut at either end.
func (c *Cache) DeleteRange(first, last uint64) error {
	c.mu.Lock()
	c.clear()
	c.mu.Unlock()
	return c.LogStore.DeleteRange(first, last)
}
