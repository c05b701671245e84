package wal

import (
	"cmp"
	"maps"
	"slices"
	"sort"

	"hookwheel/webhook"
)

// recipients are the endpoints of an application that messages may still matter to. A command that
// looked at all endpoints for each message could take seconds.
type recipients struct {
	lowest  webhook.ID          // position that all cursors have reached
	behind  []webhook.ID        // endpoints, those whose cursors are furthest behind first
	holders []*webhook.Endpoint // that have lines in their held or manual sets
}

// What costs as much as a record: so many endpoints whose cursors have yet to come to a message, so
// many names that these filter by, and so many lines that may be there.
const (
	behindCost = 16
	namesCost  = 4096
	holderCost = 4
)

// recipientsOf returns the recipients of a message. No cursor moves while a command retains.
func (r *retainer) recipientsOf(m *webhook.Message) *recipients {
	if r.at == m.App {
		return &r.its
	}
	n := &r.store.catalog
	r.at, r.its = m.App, recipients{lowest: r.store.lowestCursor(m.App)}
	for _, endpoint := range n.byApp[m.App] {
		r.its.behind = append(r.its.behind, endpoint.ID)
		if c := n.cursors[endpoint.ID]; c.counts.manual > 0 || c.counts.held > 0 {
			r.its.holders = append(r.its.holders, endpoint)
		}
	}
	slices.SortFunc(r.its.behind, func(a, b webhook.ID) int {
		return cmp.Or(n.cursors[a].position.Compare(n.cursors[b].position), a.Compare(b))
	})
	r.budget -= len(r.its.behind) / behindCost
	return &r.its
}

// wanted reports whether a message is still to be sent to an endpoint: the cursor has not passed
// it, or it is in one of the endpoint's sets.
func (r *retainer) wanted(m *webhook.Message) (bool, error) {
	r.budget--
	if m.ID.After(r.recipientsOf(m).lowest) {
		return true, nil
	}
	waits := false
	err := r.eachLine(m, func(webhook.ID, []byte) error {
		waits = keepsWaiting
		return errStop
	})
	return waits, unlessStopped(err)
}

// forget makes all endpoints forget a message and its lines.
func (r *retainer) forget(m *webhook.Message, lines map[webhook.ID][][]byte) error {
	n := &r.store.catalog
	behind := r.recipientsOf(m).behind
	behind = behind[:sort.Search(len(behind), func(i int) bool { return !m.ID.After(n.cursors[behind[i]].position) })]
	r.budget -= len(behind) / behindCost
	for _, endpoint := range behind {
		if err := r.leave(n.endpoints[endpoint], m, lines[endpoint]); err != nil {
			return err
		}
		delete(lines, endpoint)
	}
	r.budget -= r.names / namesCost
	r.names = 0
	// Tasks change in this order, which is the same on all nodes.
	for _, endpoint := range slices.SortedFunc(maps.Keys(lines), webhook.ID.Compare) {
		if err := r.leave(n.endpoints[endpoint], m, lines[endpoint]); err != nil {
			return err
		}
	}
	return nil
}

// leave makes an endpoint forget a message and its lines, and counts the message if the endpoint
// wanted it and had not settled it.
func (r *retainer) leave(endpoint *webhook.Endpoint, m *webhook.Message, lines [][]byte) error {
	c := r.store.catalog.cursors[endpoint.ID]
	lost := c.isFresh(m.ID) && endpoint.Wants(m)
	r.names += len(endpoint.EventTypes) + len(endpoint.Channels)
	i, done := slices.BinarySearchFunc(c.done, m.ID, webhook.ID.Compare)
	if !lost && !done && len(lines) == 0 {
		return nil
	}
	if r.cursors[endpoint.ID] == nil {
		r.cursors[endpoint.ID] = c
		r.budget--
		r.bytes -= idSize * len(c.done)
	}
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	if done {
		c.done = slices.Delete(c.done, i, i+1)
	}
	for _, line := range lines {
		if line[0] == keyManual {
			value, _, err := r.store.pending.get(line)
			if err != nil {
				return err
			}
			manual, err := decodeManual(line, value)
			if err != nil {
				return err
			}
			taskTable{r.entry}.countAttempt(manual.Task, webhook.StatusCanceled)
		}
		if _, err := (recorder{r.entry}).remove(line, c.counts.of(line[0])); err != nil {
			return err
		}
		r.budget--
	}
	if keepsWaiting && (lost || len(lines) > 0) {
		c.counts.expired++
	}
	return nil
}

// keepCursors writes the cursors that have changed, each once: one may have thousands of IDs.
func (r *retainer) keepCursors() {
	for endpoint, c := range r.cursors { // any order will do: each is a record of its own
		recorder{r.entry}.putCursor(endpoint, c)
	}
}

// of returns the count of the lines in a set.
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

// linesOf returns the keys of a message's lines in the sets of endpoints.
func (r *retainer) linesOf(m *webhook.Message) (lines map[webhook.ID][][]byte, err error) {
	err = r.eachLine(m, func(endpoint webhook.ID, key []byte) error {
		if lines == nil {
			lines = make(map[webhook.ID][][]byte)
		}
		lines[endpoint] = append(lines[endpoint], key)
		return nil
	})
	return lines, err
}

// eachLine calls see for each line of a message in a set of an endpoint, with its key.
func (r *retainer) eachLine(m *webhook.Message, see func(endpoint webhook.ID, key []byte) error) error {
	prefix := idKey(keyPlanned, m.ID)
	stopped := false
	err := r.store.pending.seek(prefix, prefix, func(key, value []byte) error {
		r.budget--
		line, err := plannedLine(key, value)
		if endpoint := webhook.ID(key[1+idSize:]); err == nil && r.store.catalog.endpoints[endpoint] != nil {
			err = see(endpoint, line)
			stopped = err == errStop
		}
		return err
	})
	if err != nil || stopped {
		return err
	}
	holders := r.recipientsOf(m).holders
	r.budget -= len(holders) / holderCost
	for _, endpoint := range holders {
		n := &r.store.catalog.cursors[endpoint.ID].counts
		for _, set := range []struct {
			lines uint64
			key   []byte
		}{
			{n.manual, idKey(keyManual, endpoint.ID, m.ID)},
			{n.held, heldKey(endpoint.ID, webhook.OrderingKeyHash(m.OrderingKey), m.ID)},
		} {
			if set.lines == 0 {
				continue
			}
			_, found, err := r.store.pending.get(set.key)
			if err == nil && found {
				err = see(endpoint.ID, set.key)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}
