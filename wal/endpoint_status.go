package wal

import (
	"slices"

	"hookwheel/webhook"
)

// Place is an endpoint's position in its log. All messages up to Position are settled, postponed
// or filtered out, and so are the later ones in Done, which is in log order.
type Place = struct {
	Position webhook.ID
	Done     []webhook.ID
	Health   webhook.Health
}

// Place returns an endpoint's position in its log.
func (m *memory) Place(endpoint webhook.ID) Place {
	m.mu.RLock()
	defer m.mu.RUnlock()
	c := m.catalog.cursors[endpoint]
	if c == nil {
		return Place{Position: endpoint}
	}
	return Place{Position: c.position, Done: slices.Clone(c.done), Health: c.health()}
}

// EndpointStatus is the state of an endpoint's deliveries.
type EndpointStatus struct {
	State   EndpointState // not Blocked
	Blocked bool          // messages wait behind one that failed, to keep the order
	Health  webhook.Health
	Expired uint64 // messages that it wanted and that left the log before they were settled
}

// EndpointStatus returns the state of an endpoint's deliveries. If the endpoint is gone, nothing
// is known but what the endpoint says itself.
func (m *memory) EndpointStatus(endpoint *webhook.Endpoint) (at EndpointStatus) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if c := m.catalog.cursors[endpoint.ID]; c != nil {
		at = EndpointStatus{Blocked: c.isBlocked(endpoint), Health: c.health(), Expired: c.counts.expired}
	}
	at.State = stateOf(endpoint, &at.Health)
	return at
}

// Expired returns how many messages left the log before they were settled, over all existing
// endpoints.
func (m *memory) Expired() (sum uint64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, c := range m.catalog.cursors {
		sum += c.counts.expired
	}
	return sum
}

// Retries reads an endpoint's retry set in order of due time and message: up to limit lines
// beginning at from, which need not be in the set. With the zero value it begins at the start.
func (r *Reader) Retries(endpoint webhook.ID, from webhook.Retry, limit int) (list []webhook.Retry, err error) {
	prefix := idKey(keyRetry, endpoint)
	start := prefix
	if !from.Due.IsZero() {
		start = retryKey(endpoint, from.Due, from.Message)
	}
	err = r.read(func(v dbView) error {
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
func (r *Reader) Held(endpoint webhook.ID, after webhook.Held, limit int) (list []webhook.Held, err error) {
	err = r.read(func(v dbView) error {
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
func (r *Reader) HeldFirst(endpoint webhook.ID, key uint64) (message webhook.ID, found bool, err error) {
	list, err := r.Held(endpoint, webhook.Held{Key: key}, 1)
	if err != nil || len(list) == 0 || list[0].Key != key {
		return message, false, err
	}
	return list[0].Message, true, nil
}

// Manual reads up to limit lines of an endpoint's manual set in log order. With tasks, lines of
// tasks are included, except those of paused tasks.
func (r *Reader) Manual(endpoint webhook.ID, tasks bool, limit int) (list []webhook.Manual, err error) {
	err = r.read(func(v dbView) error {
		return v.scan(idKey(keyManual, endpoint), func(key, value []byte) error {
			line, err := decodeManual(key, value)
			if err != nil || !line.Task.IsZero() && !(tasks && r.TaskRuns(line.Task)) {
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
