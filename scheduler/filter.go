package scheduler

import (
	"slices"
	"strings"

	"hookwheel/webhook"
)

// fewTypes is up to how many event types of an endpoint are compared one after the other.
const fewTypes = 8

// typeIndex has the places of an endpoint's event types, by name. Each message is compared with
// each endpoint of its application while all others wait for the scheduler, and an endpoint may
// name a thousand types.
type typeIndex []uint16

func newTypeIndex(names []string) *typeIndex {
	x := make(typeIndex, len(names))
	for i := range x {
		x[i] = uint16(i)
	}
	slices.SortFunc(x, func(a, b uint16) int { return strings.Compare(names[a], names[b]) })
	return &x
}

// has reports whether a name is among those of which x is the index.
func (x *typeIndex) has(names []string, name string) bool {
	_, found := slices.BinarySearchFunc(*x, name, func(place uint16, name string) int { return strings.Compare(names[place], name) })
	return found
}

// isWanted reports whether the endpoint of a lane receives a message, as webhook.Endpoint.Wants
// does.
func (l *lane) isWanted(m *webhook.Message) bool {
	e := l.endpoint
	if len(e.EventTypes) <= fewTypes || !m.Only.IsZero() {
		return e.Wants(m)
	}
	if l.types == nil {
		l.types = newTypeIndex(e.EventTypes)
	}
	return l.types.has(e.EventTypes, m.EventType) && e.WantsChannels(m.Channels)
}
