package wal

import (
	"encoding/binary"

	"hookwheel/webhook"
)

// recorder records attempts for an entry, and what follows from them.
type recorder struct{ *entry }

// record records attempts and moves cursors, retry sets, held sets and manual sets. It
// refuses the progress of a leader of another term, because the present leader has started from the
// store without it.
func (e recorder) record(term uint64, list []webhook.Progress) error {
	if term != e.batch.meta.term {
		return errLateProgress
	}
	for i := range list {
		p := &list[i]
		if e.store.catalog.cursors[p.Endpoint] == nil { // removed meanwhile; leave no traces of it
			continue
		}
		if err := e.settleGone(p); err != nil {
			return err
		}
		for j := range p.Outcomes {
			if p.Outcomes[j].Attempt.Number == 0 {
				continue
			}
			if err := e.recordAttempt(p.Endpoint, &p.Outcomes[j].Attempt); err != nil {
				return err
			}
		}
		if err := tallyTable(e).count(p); err != nil {
			return err
		}
		if err := e.moveCursor(p); err != nil {
			return err
		}
	}
	return nil
}

func (e recorder) recordAttempt(endpoint webhook.ID, a *webhook.Attempt) error {
	id, err := e.id()
	if err != nil {
		return err
	}
	a.ID = id
	c := chunkOf(&e.history, endpoint)
	c.app = e.store.catalog.endpoints[endpoint].App
	c.data = appendAttempt(appendPlaced(c.data, attemptVersion, id.Place()), a, c.last)
	c.last = a
	e.batch.add(idKey(keyIndex, a.Message, id), endpoint[:])
	if e.store.tails.isAnyOpen() {
		changeTable(e).tailAttempt(endpoint, a)
	}
	return nil
}

// moveCursor settles what the outcomes settle. The outcome of a settled delivery changes nothing.
func (e recorder) moveCursor(p *webhook.Progress) error {
	c := e.store.catalog.cursors[p.Endpoint]
	e.store.mu.Lock()
	defer e.store.mu.Unlock()
	for i := range p.Outcomes {
		if err := e.settle(p.Endpoint, c, &p.Outcomes[i]); err != nil {
			return err
		}
	}
	c.advance(p.Cursor)
	if p.Health != nil {
		before := c.health()
		changeTable(e).tellHealth(p.Endpoint, &before, p.Health)
		c.setHealth(p.Health)
	}
	e.putCursor(p.Endpoint, c)
	return nil
}

func (e recorder) putCursor(endpoint webhook.ID, c *cursor) {
	e.batch.set(idKey(keyCursor, endpoint), c.encode())
}

// settle removes the record that the delivery came from, and writes what follows.
func (e recorder) settle(endpoint webhook.ID, c *cursor, o *webhook.Outcome) error {
	message := o.Attempt.Message
	settled, err := e.take(endpoint, c, o)
	if err != nil || !settled {
		return err
	}
	if o.Attempt.Number != 0 {
		if err := operationalLog(e).tellAttempt(endpoint, &o.Attempt); err != nil {
			return err
		}
	}
	switch {
	case o.Attempt.Number == 0 && o.Hold:
		c.counts.held++
		e.batch.set(heldKey(endpoint, o.Key, message), nil)
		return nil
	case o.Attempt.Next.IsZero():
		return nil
	}
	c.counts.waiting++
	e.plan(endpoint, message, &webhook.Retry{Due: o.Attempt.Next, Made: o.Attempt.Number, Spent: o.Spent, Key: o.Key})
	return nil
}

// plan adds a line to a retry set.
func (e recorder) plan(endpoint, message webhook.ID, line *webhook.Retry) {
	e.batch.set(retryKey(endpoint, line.Due, message), encodeRetry(line))
	if notesUntried || line.Made > 0 {
		e.batch.set(plannedKey(message, endpoint), encodePlanned(line.Due))
	}
}

// take removes the record that an outcome belongs to, and reports whether it was there.
func (e recorder) take(endpoint webhook.ID, c *cursor, o *webhook.Outcome) (settled bool, err error) {
	message := o.Attempt.Message
	switch o.Source {
	case webhook.SourceLog:
		if !c.isFresh(message) {
			return false, nil
		}
		c.settle(message)
		return true, nil
	case webhook.SourceRetry:
		return e.remove(retryKey(endpoint, o.Due, message), &c.counts.waiting)
	case webhook.SourceHeld:
		return e.remove(heldKey(endpoint, o.Key, message), &c.counts.held)
	case webhook.SourceManual:
		return manualSet(e).take(endpoint, c, o)
	default:
		return false, errCut
	}
}

// remove deletes an existing record, and decrements its count.
func (e recorder) remove(key []byte, count *uint64) (found bool, err error) {
	if _, found, err = e.store.pending.get(key); !found {
		return false, err
	}
	*count--
	e.batch.delete(key)
	if key[0] == keyRetry {
		_, message := parseRetryKey(key)
		e.batch.delete(plannedKey(message, webhook.ID(key[1:1+idSize])))
	}
	return true, nil
}

// encodeRetry: attempts made | those that count | ordering key's hash
func encodeRetry(line *webhook.Retry) []byte {
	value := binary.AppendUvarint(nil, uint64(line.Made))
	value = binary.AppendUvarint(value, uint64(line.Spent))
	return binary.AppendUvarint(value, line.Key)
}

// decodeRetry reads a line of a retry set.
func decodeRetry(key, value []byte) (line webhook.Retry, err error) {
	line.Due, line.Message = parseRetryKey(key)
	r := reader{rest: value}
	line.Made, line.Spent, line.Key = r.uint32(), r.uint32(), r.uvarint()
	return line, r.end()
}
