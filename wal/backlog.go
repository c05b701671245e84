package wal

import (
	"bytes"
	"time"

	"hookwheel/webhook"
)

// Limits on the work of counting a backlog.
const (
	backlogMessages = 1000     // messages behind the cursor of one endpoint, and lines of each of its sets
	backlogBytes    = 4 << 20  // of the log, for one endpoint
	backlogTotal    = 16 << 20 // of the log, for all endpoints of a call
)

// Backlog counts the messages that an endpoint has yet to receive.
type Backlog struct {
	Retrying  uint64    // messages in its retry set
	Held      uint64    // messages behind another one of the same ordering key
	Requested uint64    // messages that a user or a replay wants sent now
	Behind    uint64    // messages in the log that it wants and that its cursor has not reached
	More      bool      // there may be more than Behind
	Oldest    time.Time // time of the oldest waiting message among those counted; zero: nothing waits
}

// Backlogs returns the backlogs of these endpoints, in their order.
func (d Deliveries) Backlogs(endpoints []*webhook.Endpoint) (list []Backlog, err error) {
	list = make([]Backlog, len(endpoints))
	err = d.store.read(func(v dbView) error {
		log := backlogReader{db: v, left: backlogTotal}
		for i, endpoint := range endpoints {
			if err := log.read(endpoint, &list[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return list, err
}

// backlogReader counts the backlogs of endpoints. Most endpoints are at about the same position of
// the same log, so the reader keeps the chunk that it read last.
type backlogReader struct {
	db    dbView
	left  int // bytes of the log that may still be read
	key   []byte
	chunk []webhook.Message
}

func (r *backlogReader) read(endpoint *webhook.Endpoint, b *Backlog) error {
	c, err := r.db.cursor(endpoint.ID)
	if err != nil || c == nil {
		return err
	}
	n := &c.counts
	b.Retrying, b.Held, b.Requested = n.waiting, n.held, n.manual
	for _, set := range []struct {
		lines   uint64
		prefix  byte
		message func(key []byte) webhook.ID
	}{
		{n.waiting, keyRetry, func(key []byte) webhook.ID { _, m := parseRetryKey(key); return m }},
		{n.held, keyHeld, func(key []byte) webhook.ID { return parseHeldKey(key).Message }},
		{n.manual, keyManual, func(key []byte) webhook.ID { return webhook.ID(key[1+idSize:]) }},
	} {
		if set.lines == 0 {
			continue
		}
		looked, prefix := 0, idKey(set.prefix, endpoint.ID)
		err := r.db.keys(prefix, prefix, func(key []byte) error {
			b.waits(set.message(key))
			if looked++; looked >= backlogMessages {
				return errStop
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return r.behind(endpoint, c, b)
}

// waits records that a message waits.
func (b *Backlog) waits(message webhook.ID) {
	if at := message.Time(); b.Oldest.IsZero() || at.Before(b.Oldest) {
		b.Oldest = at
	}
}

// behind counts the messages in the log that the cursor has not reached.
func (r *backlogReader) behind(endpoint *webhook.Endpoint, c *cursor, b *Backlog) error {
	if r.left <= 0 {
		b.More = true
		return nil
	}
	budget := min(backlogBytes, r.left)
	before := budget
	prefix := idKey(keyLog, endpoint.App)
	from := chunkKey(keyLog, endpoint.App, c.position)
	err := r.db.keys(prefix, from, func(key []byte) error {
		size, err := r.load(key, endpoint.App)
		if err != nil {
			return err
		}
		for i := range r.chunk {
			if m := &r.chunk[i]; c.isFresh(m.ID) && m.ID.After(endpoint.ID) && endpoint.Wants(m) {
				b.waits(m.ID)
				b.Behind++
			}
		}
		if budget -= size; budget <= 0 || b.Behind >= backlogMessages {
			b.More = true
			return errStop
		}
		return nil
	})
	r.left -= before - budget
	return err
}

// load reads a chunk of a log, unless it was the last one read, and returns its size.
func (r *backlogReader) load(key []byte, app webhook.ID) (size int, err error) {
	if bytes.Equal(key, r.key) {
		return 0, nil
	}
	value, _, err := r.db.get(key)
	if err != nil {
		return 0, err
	}
	r.key = bytes.Clone(key)
	r.chunk, err = decodeMessages(key, value, app)
	return len(value), err
}

// Waiting is the sum of the backlogs of some endpoints.
type Waiting struct {
	Retrying, Held, Requested uint64
	Behind                    uint64    // at least
	Oldest                    time.Time // zero: nothing waits
}

// Waiting adds up the backlogs of the endpoints of an application, or of all if app is zero. It
// reads no more of the log than one call of Backlogs may.
func (d Deliveries) Waiting(app webhook.ID) (sum Waiting, err error) {
	endpoints := d.store.AllEndpoints()
	if !app.IsZero() {
		d.store.mu.RLock()
		endpoints = d.store.catalog.byApp[app]
		d.store.mu.RUnlock()
	}
	list, err := d.Backlogs(endpoints)
	for i := range list {
		b := &list[i]
		sum.Retrying, sum.Held, sum.Requested = sum.Retrying+b.Retrying, sum.Held+b.Held, sum.Requested+b.Requested
		sum.Behind += b.Behind
		if !b.Oldest.IsZero() && (sum.Oldest.IsZero() || b.Oldest.Before(sum.Oldest)) {
			sum.Oldest = b.Oldest
		}
	}
	return sum, err
}
