package wal

import (
	"slices"

	"hookwheel/webhook"
)

// EndpointState is how an endpoint fares.
type EndpointState byte

const (
	Healthy        EndpointState = iota // the last attempt succeeded, or there was none
	Failing                             // the last attempt failed
	Parked                              // it failed too often, and gets probes only
	Paused                              // by a user
	Disabled                            // by a user, or because it failed for long
	Blocked                             // besides another state: messages wait behind one that failed, to keep the order
	EndpointStates = iota
)

// String returns the name that the API uses.
func (s EndpointState) String() string {
	return [EndpointStates]string{"healthy", "failing", "parked", "paused", "disabled", "blocked"}[s]
}

// stateOf returns the state of an endpoint, which is never Blocked.
func stateOf(e *webhook.Endpoint, h *webhook.Health) EndpointState {
	switch {
	case e.Disabled:
		return Disabled
	case e.Paused:
		return Paused
	case h.Parked:
		return Parked
	case !h.FailingSince.IsZero():
		return Failing
	default:
		return Healthy
	}
}

// isBlocked reports whether messages for an endpoint wait behind one that failed.
func (c *cursor) isBlocked(e *webhook.Endpoint) bool {
	if e.Disabled || e.Paused || c.counts.waiting == 0 {
		return false
	}
	switch e.Ordering {
	case webhook.OrderingEndpoint:
		health := c.health()
		return !health.FailingSince.IsZero()
	case webhook.OrderingKey:
		return c.counts.held > 0
	default:
		return false
	}
}

// StateSet is a set of states.
type StateSet byte

// NewStateSet returns the set of these states.
func NewStateSet(list ...EndpointState) (set StateSet) {
	for _, state := range list {
		set |= 1 << state
	}
	return set
}

func (s StateSet) has(state EndpointState) bool { return s&(1<<state) != 0 }

// StateCounts counts endpoints by state. Those that are blocked are counted twice.
type StateCounts [EndpointStates]int

// endpointsPerLock is how many endpoints are looked at until writers get their turn.
const endpointsPerLock = 1024

// EndpointsInStates returns a page of the endpoints of all applications that are in a state of the
// set, reports whether there are more in the page's direction, and counts all endpoints. It looks
// at every endpoint but keeps no more than two pages.
func (m *memory) EndpointsInStates(set StateSet, page Page) (list []*webhook.Endpoint, more bool, counts StateCounts) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	looked, n := 0, &m.catalog
	for id, endpoint := range n.endpoints { // a map may change while it is read, though not concurrently
		if looked++; looked%endpointsPerLock == 0 {
			m.mu.RUnlock()
			m.mu.RLock()
		}
		at := n.cursors[id]
		if at == nil {
			continue
		}
		health := at.health()
		state, blocked := stateOf(endpoint, &health), at.isBlocked(endpoint)
		counts[state]++
		if blocked {
			counts[Blocked]++
		}
		if !set.has(state) && !(blocked && set.has(Blocked)) || !page.contains(id) {
			continue
		}
		if list = append(list, endpoint); len(list) > 2*page.Limit {
			list = page.first(list)
		}
	}
	list, more = cut(page, page.first(list))
	return list, more, counts
}

// first returns the endpoints that the page begins with, and one more, in its direction.
func (p Page) first(list []*webhook.Endpoint) []*webhook.Endpoint {
	slices.SortFunc(list, func(a, b *webhook.Endpoint) int {
		if p.Ascending {
			return a.ID.Compare(b.ID)
		}
		return b.ID.Compare(a.ID)
	})
	return list[:min(len(list), p.Limit+1)]
}
