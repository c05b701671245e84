package wal

import (
	"slices"

	"hookwheel/webhook"
)

// Deliveries reads what is to be delivered: the log beyond the cursors of endpoints, and the lines
// of their sets. It is what a scheduler reads of a store.
type Deliveries struct{ store *Reader }

// Deliveries returns what reads the deliveries of the store.
func (r *Reader) Deliveries() Deliveries { return Deliveries{r} }

// Place is an endpoint's position in its log. All messages up to Position are settled, postponed
// or filtered out, and so are the later ones in Done, which is in log order.
type Place = struct {
	Position webhook.ID
	Done     []webhook.ID
	Health   webhook.Health
}

// Place returns an endpoint's position in its log.
func (d Deliveries) Place(endpoint webhook.ID) Place {
	d.store.mu.RLock()
	defer d.store.mu.RUnlock()
	c := d.store.catalog.cursors[endpoint]
	if c == nil {
		return Place{Position: endpoint}
	}
	return Place{Position: c.position, Done: slices.Clone(c.done), Health: c.health()}
}

// MessageByID finds a message of an application. If it has left the log, the error is a
// *webhook.Error.
func (d Deliveries) MessageByID(app, id webhook.ID) (m *webhook.Message, err error) {
	err = d.store.read(func(v dbView) error {
		m, err = v.message(app, id)
		return err
	})
	return m, err
}

// OrderingKeys returns the webhook.OrderingKeyHash of messages; 0: it has left the log, or has no
// ordering key. Each chunk is read once.
func (d Deliveries) OrderingKeys(app webhook.ID, messages []webhook.ID) ([]uint64, error) {
	keys, places := make([]uint64, len(messages)), make([]int, len(messages))
	for i := range places {
		places[i] = i
	}
	slices.SortFunc(places, func(a, b int) int { return messages[a].Compare(messages[b]) })
	err := d.store.read(func(v dbView) error {
		log := logReader{view: v.view}
		for _, i := range places {
			switch m, err := log.message(app, messages[i]); {
			case err != nil:
				return err
			case m != nil && m.OrderingKey != "":
				keys[i] = webhook.OrderingKeyHash(m.OrderingKey)
			}
		}
		return nil
	})
	return keys, err
}

// MayHaveLeft reports whether a message is no newer than the newest message that has left the log.
func (d Deliveries) MayHaveLeft(message webhook.ID) bool {
	return message.Millis() <= d.store.left.Load()
}

// Window reads the part of an application's log that follows after, for a lane that lags. It
// returns messages in log order, until there are limit, they take that many bytes, or the log ends.
// Only an empty window shows that the end was reached. Nothing else of their chunks stays in
// memory.
func (d Deliveries) Window(app, after webhook.ID, limit, bytes int) (list []*webhook.Message, err error) {
	page := Page{From: after, Ascending: true, Limit: limit}
	size := 0
	err = d.store.read(func(v dbView) error {
		return v.look(page, idKey(keyLog, app), entrySize, func(key, value []byte) error {
			m := new(webhook.Message)
			r := newReader(value, messageVersion)
			for r.more() {
				*m = webhook.Message{App: app, ID: placedID(key, r.number(webhook.MaxPlace))}
				if readMessage(r, m); r.err != nil || !page.contains(m.ID) {
					continue
				}
				size += MessageFilter{}.keep(m)
				if list = append(list, m); len(list) >= limit || size >= bytes {
					return errStop
				}
				m = new(webhook.Message)
			}
			return r.err
		})
	})
	return list, err
}

// Retries reads an endpoint's retry set in order of due time and message: up to limit lines
// beginning at from, which need not be in the set. With the zero value it begins at the start.
func (d Deliveries) Retries(endpoint webhook.ID, from webhook.Retry, limit int) (list []webhook.Retry, err error) {
	prefix := idKey(keyRetry, endpoint)
	start := prefix
	if !from.Due.IsZero() {
		start = retryKey(endpoint, from.Due, from.Message)
	}
	err = d.store.read(func(v dbView) error {
		return v.seek(prefix, start, func(key, value []byte) error {
			line, err := decodeRetry(key, value)
			if err != nil {
				return err
			}
			if list = append(list, line); len(list) >= limit {
				return errStop
			}
			return nil
		})
	})
	return list, err
}

// Held reads an endpoint's held set in order of key and message: up to limit lines following
// after. With the zero value it begins at the start.
func (d Deliveries) Held(endpoint webhook.ID, after webhook.Held, limit int) (list []webhook.Held, err error) {
	err = d.store.read(func(v dbView) error {
		return v.seek(idKey(keyHeld, endpoint), heldKey(endpoint, after.Key, after.Message), func(key, _ []byte) error {
			line := parseHeldKey(key)
			if line == after {
				return nil
			}
			if list = append(list, line); len(list) >= limit {
				return errStop
			}
			return nil
		})
	})
	return list, err
}

// HeldFirst returns the first message that an endpoint holds behind others of an ordering key, and
// reports whether there is one.
func (d Deliveries) HeldFirst(endpoint webhook.ID, key uint64) (message webhook.ID, found bool, err error) {
	list, err := d.Held(endpoint, webhook.Held{Key: key}, 1)
	if err != nil || len(list) == 0 || list[0].Key != key {
		return message, false, err
	}
	return list[0].Message, true, nil
}

// Manual reads up to limit lines of an endpoint's manual set in log order. With tasks, lines of
// tasks are included, except those of paused tasks.
func (d Deliveries) Manual(endpoint webhook.ID, tasks bool, limit int) (list []webhook.Manual, err error) {
	err = d.store.read(func(v dbView) error {
		return v.scan(idKey(keyManual, endpoint), func(key, value []byte) error {
			line, err := decodeManual(key, value)
			if err != nil || !line.Task.IsZero() && !(tasks && d.TaskRuns(line.Task)) {
				return err
			}
			if list = append(list, line); len(list) >= limit {
				return errStop
			}
			return nil
		})
	})
	return list, err
}

// TaskRuns reports whether a task is running, rather than paused, finished or forgotten.
func (d Deliveries) TaskRuns(id webhook.ID) bool {
	d.store.mu.RLock()
	defer d.store.mu.RUnlock()
	t := d.store.catalog.task(id)
	return t != nil && t.Status == webhook.TaskRunning
}
