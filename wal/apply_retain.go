package wal

import (
	"encoding/binary"
	"slices"
	"time"

	"hookwheel/webhook"
)

// leavesAt is when a message that says itself how long it is kept leaves the log, in milliseconds; a scheduled one is kept from then on.
func leavesAt(m *webhook.Message) int64 { return begin(m) + m.Retention.Milliseconds() }

func begin(m *webhook.Message) int64 {
	if m.DeliverAt.IsZero() {
		return m.ID.Millis()
	}
	return max(m.ID.Millis(), m.DeliverAt.UnixMilli())
}

func expiryKey(due int64, app, message webhook.ID) []byte {
	key := binary.BigEndian.AppendUint64([]byte{keyExpiry}, uint64(due))
	return append(append(key, app[:]...), message[:]...)
}

func parseExpiryKey(key []byte) (due int64, app, message webhook.ID) {
	return int64(binary.BigEndian.Uint64(key[1:])), webhook.ID(key[9 : 9+idSize]), webhook.ID(key[9+idSize:])
}

// retain has messages leave the log that are kept long enough, with their event ids and their attempts.
func (e *entry) retain(c *retain) error {
	r := retainer{entry: e, before: c.Before, size: c.Size, budget: c.Records, history: make(map[string][]webhook.ID)}
	for _, part := range c.Parts {
		if r.budget <= 0 || r.size > 0 && e.batch.meta.bytes <= r.size {
			break
		}
		if e.store.nouns.applications[part.App] == nil { // sweep sees to it
			continue
		}
		if err := r.retainPart(part.App, part.Entry); err != nil {
			return err
		}
	}
	return r.rewriteHistory()
}

// retainer is the work of one command.
type retainer struct {
	*entry
	before  int64
	size    int64                   // not 0: what no endpoint waits for goes, whatever its age
	budget  int                     // records that may yet be looked at
	history map[string][]webhook.ID // attempts that go, by the key of their chunk
}

// leaves tells whether a message is to go.
func (r *retainer) leaves(m *webhook.Message) (bool, error) {
	if r.size == 0 {
		return r.due(m), nil
	}
	wanted, err := r.wanted(m)
	return !wanted, err
}

// due tells whether the time of a message is over.
func (r *retainer) due(m *webhook.Message) bool {
	if m.Retention != 0 {
		return leavesAt(m) <= r.batch.meta.clock
	}
	return begin(m) < r.before
}

// wanted tells whether a message is yet to be sent to an endpoint: its cursor has not passed it, or it stands in one of its sets.
func (r *retainer) wanted(m *webhook.Message) (bool, error) {
	for _, endpoint := range r.store.nouns.byApp[m.App] {
		c := r.store.nouns.cursors[endpoint.ID]
		if m.ID.After(c.position) {
			return true, nil
		}
		if lines, err := r.linesOf(endpoint.ID, c, m); len(lines) > 0 || err != nil {
			return true, err
		}
	}
	return false, nil
}

// retainPart looks at the messages that one entry has added to a log.
func (r *retainer) retainPart(app, entry webhook.ID) error {
	key := chunkKey(keyLog, app, entry)
	data, found, err := r.store.get(key)
	if err != nil || !found {
		return err
	}
	list, err := decodeMessages(key, data, app)
	if err != nil {
		return err
	}
	r.budget--
	var kept []webhook.Message
	for i := range list {
		goes := false
		if r.budget > 0 {
			if goes, err = r.leaves(&list[i]); err == nil && goes {
				goes, err = r.drop(&list[i])
			}
			if err != nil {
				return err
			}
		}
		if !goes {
			kept = append(kept, list[i])
		}
	}
	r.budget -= len(kept)
	if len(kept) < len(list) {
		r.batch.setChunk(key, data, encodeMessages(kept)) // nil if none are kept
	}
	return nil
}

// drop deletes all that there is of a message but its place in its chunk. One with an attempt that this very entry has recorded, in a chunk
// that is not written yet, stays until the next time.
func (r *retainer) drop(m *webhook.Message) (dropped bool, err error) {
	r.budget--
	var lines [][]byte
	prefix := idKey(keyIndex, m.ID)
	busy := false
	err = r.store.seek(prefix, prefix, func(line, endpoint []byte) error {
		busy = busy || webhook.ID(line[len(prefix):]).Index() == r.batch.meta.index
		lines = append(lines, slices.Concat(line, endpoint))
		r.budget--
		return nil
	})
	if err != nil || busy {
		return false, err
	}
	r.batch.meta.left = max(r.batch.meta.left, m.ID.Millis())
	if m.EventID != "" {
		r.batch.delete(uniqueKey(m.App, m.EventID))
	}
	if m.Retention != 0 {
		r.batch.delete(expiryKey(leavesAt(m), m.App, m.ID))
	}
	for _, endpoint := range r.store.nouns.byApp[m.App] {
		if err := r.leave(endpoint, m); err != nil {
			return false, err
		}
	}
	for _, line := range lines {
		key, endpoint := line[:len(prefix)+idSize], webhook.ID(line[len(prefix)+idSize:])
		id := webhook.ID(key[len(prefix):])
		chunk := string(chunkKey(keyHistory, endpoint, id))
		r.history[chunk] = append(r.history[chunk], id)
		r.batch.delete(key)
	}
	return true, nil
}

// leave has an endpoint forget a message. If it wanted it and has not settled it, that is counted.
func (r *retainer) leave(endpoint *webhook.Endpoint, m *webhook.Message) error {
	c := r.store.nouns.cursors[endpoint.ID]
	lost := c.fresh(m.ID) && endpoint.Wants(m)
	lines, err := r.linesOf(endpoint.ID, c, m)
	if err != nil {
		return err
	}
	i, done := slices.BinarySearchFunc(c.done, m.ID, webhook.ID.Compare)
	if !lost && !done && len(lines) == 0 {
		return nil
	}
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	if done {
		c.done = slices.Delete(c.done, i, i+1)
	}
	for _, line := range lines {
		if line[0] == keyManual {
			value, _, err := r.store.get(line)
			if err != nil {
				return err
			}
			manual, err := decodeManual(line, value)
			if err != nil {
				return err
			}
			r.countAttempt(manual.Task, webhook.StatusCanceled)
		}
		if _, err := r.remove(line, c.counts.of(line[0])); err != nil {
			return err
		}
	}
	if lost || len(lines) > 0 {
		c.counts.expired++
	}
	r.putCursor(endpoint.ID, c)
	return nil
}

// of is the count of the lines in a set.
func (n *counts) of(set byte) *uint64 {
	switch set {
	case keyRetry:
		return &n.waiting
	case keyHeld:
		return &n.held
	default:
		return &n.manual
	}
}

// linesOf are the keys of a message's lines in the sets of an endpoint.
func (r *retainer) linesOf(endpoint webhook.ID, c *cursor, m *webhook.Message) (lines [][]byte, err error) {
	var keys [][]byte
	if c.counts.manual > 0 {
		keys = append(keys, idKey(keyManual, endpoint, m.ID))
	}
	if c.counts.held > 0 {
		keys = append(keys, heldKey(endpoint, webhook.OrderingKeyHash(m.OrderingKey), m.ID))
	}
	for _, key := range keys {
		_, stands, err := r.store.get(key)
		if err != nil {
			return nil, err
		}
		if stands {
			lines = append(lines, key)
		}
	}
	if c.counts.waiting == 0 {
		return lines, nil
	}
	planned, err := r.plannedRetry(endpoint, m.ID)
	if planned != nil {
		lines = append(lines, planned)
	}
	return lines, err
}

// rewriteHistory takes the attempts out of their chunks.
func (r *retainer) rewriteHistory() error {
	for key, gone := range r.history { // the order does not matter: each is a record of its own
		data, found, err := r.store.get([]byte(key))
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		list, err := decodeAttempts([]byte(key), data, webhook.ID([]byte(key)[1:1+idSize]))
		if err != nil {
			return err
		}
		list = slices.DeleteFunc(list, func(a webhook.Attempt) bool { return slices.Contains(gone, a.ID) })
		r.batch.setChunk([]byte(key), data, encodeAttempts(list)) // nil if none are left
	}
	return nil
}

// settleGone settles the outcomes that are about messages that have left the log, and takes them out of p: no trace of them is kept.
func (e *entry) settleGone(p *webhook.Progress) error {
	endpoint, c := e.store.nouns.endpoints[p.Endpoint], e.store.nouns.cursors[p.Endpoint]
	kept := p.Outcomes[:0]
	var part logPart
	for i := range p.Outcomes {
		o := p.Outcomes[i]
		gone := false
		if o.Attempt.Message.Millis() <= e.batch.meta.left {
			m, err := e.messageOf(endpoint.App, o.Attempt.Message, &part)
			if err != nil {
				return err
			}
			gone = m == nil
		}
		if !gone {
			kept = append(kept, o)
			continue
		}
		if o.Source == webhook.SourceLog {
			continue
		}
		o.Attempt.Next = time.Time{}
		e.store.mu.Lock()
		_, err := e.take(p.Endpoint, c, &o)
		e.store.mu.Unlock()
		if err != nil {
			return err
		}
	}
	p.Outcomes = kept
	return nil
}
