package httpapi

import (
	"hookwheel/webhook"
)

// maxRaces is how often a change is repeated because a request on another node came in between.
// The leader's own requests win more often than those of other nodes.
const maxRaces = 50

// update runs a function that reads, changes and proposes what the path names. Other requests on
// this node wait until it is done.
func update[T any](r *request, change func() (*T, error)) (*T, error) {
	end, err := r.server.changes.take(r.context(), subjectOf(r), 1)
	if err != nil {
		return nil, err
	}
	defer end()
	return untilUnchanged(change)
}

// subjectOf names what the path names: an application, one of its endpoints, or an event type.
func subjectOf(r *request) string {
	name := make([]byte, 0, 64)
	for _, part := range [...]string{"event_type", "app", "endpoint"} {
		if value, named := r.http.UserValue(part).(string); named {
			name = append(append(append(name, part...), '/'), value...)
			name = append(name, '/')
		}
	}
	return string(name)
}

// untilUnchanged repeats a change until no other request comes in between.
func untilUnchanged[T any](change func() (*T, error)) (made *T, err error) {
	for range maxRaces {
		if made, err = change(); webhook.ErrorCode(err) != webhook.CodeChanged {
			break
		}
	}
	return made, err
}

// renamed is a field that has an old and a current name. The current one takes precedence, unless
// it is empty and the old one is given.
type renamed[T any] struct {
	old, current *T
}

// set changes the field if either name is given.
func (r renamed[T]) set(field *T, empty func(T) bool) {
	if r.old != nil {
		*field = *r.old
	}
	if r.current != nil && (r.old == nil || !empty(*r.current)) {
		*field = *r.current
	}
}

func noRate(rate uint16) bool { return rate == 0 }

func noList(list []string) bool { return len(list) == 0 }
