package httpapi

import (
	"context"

	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

// maxRaces is how often a change is made anew because that of another node came in between.
const maxRaces = 50 // a request on the leader wins more often than one that comes over another node

// changeThing reads, changes and proposes what the path names, while no other request on this node does.
func changeThing[T any](ctx *fasthttp.RequestCtx, s *Server, hold context.Context, change func() (*T, error)) (*T, error) {
	end, err := s.changes.take(hold, thing(ctx), 1)
	if err != nil {
		return nil, err
	}
	defer end()
	return untilUnchanged(change)
}

// thing is what a path names: an application, one of its endpoints, or an event type.
func thing(ctx *fasthttp.RequestCtx) string {
	name := make([]byte, 0, 64)
	for _, part := range [...]string{"event_type", "app", "endpoint"} {
		if value, named := ctx.UserValue(part).(string); named {
			name = append(append(append(name, part...), '/'), value...)
			name = append(name, '/')
		}
	}
	return string(name)
}

// untilUnchanged reads, changes and proposes, again and again until no other request comes in between.
func untilUnchanged[T any](change func() (*T, error)) (made *T, err error) {
	for range maxRaces {
		if made, err = change(); webhook.ErrorCode(err) != webhook.CodeChanged {
			break
		}
	}
	return made, err
}

// renamed is a field that has an old and a current name. The current one counts, unless only the old one says something.
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
