package wal

import (
	"bytes"
	"slices"
	"time"

	"hookwheel/webhook"
)

// checkedChunks finds messages and attempts, to which other records refer. It is read often, mostly
// for neighbors, so it caches chunks.
type checkedChunks struct {
	*checkedStore
	logs      chunkCache[webhook.Message] // without payloads
	histories chunkCache[recorded]
}

// cachedItems is the limit of a chunkCache.
const cachedItems = 100_000

// chunkCache caches the chunks that were read last.
type chunkCache[T any] struct {
	chunks map[string][]T
	order  []string
	items  int
}

func (h *chunkCache[T]) get(key []byte) ([]T, bool) {
	list, found := h.chunks[string(key)]
	return list, found
}

func (h *chunkCache[T]) put(key []byte, list []T) {
	if h.chunks == nil {
		h.chunks = make(map[string][]T)
	}
	for h.items > cachedItems {
		h.items -= 1 + len(h.chunks[h.order[0]])
		delete(h.chunks, h.order[0])
		h.order = h.order[1:]
	}
	h.chunks[string(key)] = list
	h.order = append(h.order, string(key))
	h.items += 1 + len(list)
}

// logChunk returns the messages in a chunk, without payloads. A chunk that is missing or
// unreadable, which is reported elsewhere, has none.
func (c *checkedChunks) logChunk(key []byte) ([]webhook.Message, error) {
	if list, found := c.logs.get(key); found {
		return list, nil
	}
	value, found, err := c.get(key)
	if err != nil {
		return nil, err
	}
	var list []webhook.Message
	if found {
		list, _ = decodeMessages(key, value, webhook.ID(key[1:1+idSize]))
	}
	for i := range list {
		list[i].Payload = nil
	}
	c.logs.put(key, list)
	return list, nil
}

// message finds a message in the log of an application, or returns nil.
func (c *checkedChunks) message(app, id webhook.ID) (*webhook.Message, error) {
	list, err := c.logChunk(chunkKey(keyLog, app, id))
	i := slices.IndexFunc(list, func(m webhook.Message) bool { return m.ID == id })
	if i < 0 {
		return nil, err
	}
	return &list[i], nil
}

// recorded is the part of an attempt that the check needs.
type recorded struct {
	id, message webhook.ID
	number      uint32
	trigger     webhook.Trigger
	next        time.Time
}

// historyChunk returns the attempts of a chunk. A chunk that is missing or unreadable, which is
// reported elsewhere, has none.
func (c *checkedChunks) historyChunk(key []byte) ([]recorded, error) {
	if list, found := c.histories.get(key); found {
		return list, nil
	}
	value, found, err := c.get(key)
	if err != nil {
		return nil, err
	}
	var list []recorded
	if found {
		attempts, _ := decodeAttempts(key, value, webhook.ID{})
		for i := range attempts {
			a := &attempts[i]
			list = append(list, recorded{id: a.ID, message: a.Message, number: a.Number, trigger: a.Trigger, next: a.Next})
		}
	}
	c.histories.put(key, list)
	return list, nil
}

// attempt finds one in the history of an endpoint.
func (c *checkedChunks) attempt(endpoint, id webhook.ID) (a recorded, found bool, err error) {
	list, err := c.historyChunk(chunkKey(keyHistory, endpoint, id))
	i := slices.IndexFunc(list, func(a recorded) bool { return a.id == id })
	if i < 0 {
		return a, false, err
	}
	return list[i], true, err
}

// attemptsAt returns the attempts to deliver a message to an endpoint.
func (c *checkedChunks) attemptsAt(endpoint, message webhook.ID) (list []recorded, err error) {
	prefix := idKey(keyIndex, message)
	err = c.db.scan(prefix, func(key, value []byte) error {
		if len(key) != recordKinds[keyIndex].size || len(value) != idSize || webhook.ID(value) != endpoint {
			return nil
		}
		a, found, err := c.attempt(endpoint, webhook.ID(key[1+idSize:]))
		if found {
			list = append(list, a)
		}
		return err
	})
	return list, err
}

// chunkPlace is the position of the chunk that was read last.
type chunkPlace struct {
	owner []byte // prefix and owner
	index uint64
}

// follows moves to a chunk, and reports whether it comes from a later entry than the one of the
// same owner that was read before it.
func (p *chunkPlace) follows(key []byte) bool {
	var id webhook.ID
	copy(id[:], key[1+idSize:])
	before := *p
	*p = chunkPlace{owner: key[:1+idSize], index: id.Index()}
	return !bytes.Equal(before.owner, p.owner) || before.index < p.index
}

// entryOf returns the first ID of the entry that wrote a chunk.
func entryOf(key []byte) webhook.ID { return placedID(key, 0) }
