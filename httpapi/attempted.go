package httpapi

import (
	"encoding/json"
	"time"

	"github.com/valyala/fasthttp"

	"hookwheel/wal"
	"hookwheel/webhook"
)

// attemptedStatus is what has become of a message at an endpoint, as both lists of what was attempted show it.
type attemptedStatus struct {
	Status      webhook.Status `json:"status"`
	StatusText  string         `json:"statusText"`
	NextAttempt *time.Time     `json:"nextAttempt,omitempty"`
}

func showStatus(a *wal.Attempted) attemptedStatus {
	return attemptedStatus{Status: a.Status, StatusText: a.Status.String(), NextAttempt: optional(a.Next)}
}

// listAttemptedMessages lists the messages that an endpoint was sent, with what became of them.
func (s *Server) listAttemptedMessages(ctx *fasthttp.RequestCtx) (answer, error) {
	args := ctx.QueryArgs()
	withContent, err := parseBool(args, "with_content", true)
	if err != nil {
		return answer{}, err
	}
	l, err := parseListing(args, webhook.KindMessage, false)
	if err != nil {
		return answer{}, err
	}
	if err := l.parseTimes(args); err != nil {
		return answer{}, err
	}
	status, err := parseStatus(args)
	if err != nil {
		return answer{}, err
	}
	endpoint, err := s.endpoint(ctx)
	if err != nil {
		return answer{}, err
	}
	filter, err := parseMessageFilter(args)
	if err != nil {
		return answer{}, err
	}
	l.Bytes, filter.WithoutPayload = pageBytes, !withContent
	list, next, err := s.config.Store.AttemptedMessages(endpoint, l.Page, filter, status)
	if err != nil {
		return answer{}, err
	}
	id := func(a *wal.Attempted) webhook.ID { return a.Message.ID }
	return respondUpTo(l, list, next, id, func(a *wal.Attempted) (messageOut, error) {
		text, err := json.Marshal(showStatus(a))
		if err != nil {
			return nil, err
		}
		text[0] = ',' // the object goes on
		return appendMessageOut(nil, a.Message, withContent, text[:len(text)-1]...), nil
	})
}

// destinationOut is an endpoint that a message was sent to. Of one that is gone only the id and the URL are known.
type destinationOut struct {
	endpointOut
	attemptedStatus
}

// listDestinations lists the endpoints that a message was sent to, with what became of it there.
func (s *Server) listDestinations(ctx *fasthttp.RequestCtx) (answer, error) {
	l, err := parseListing(ctx.QueryArgs(), webhook.KindEndpoint, true)
	if err != nil {
		return answer{}, err
	}
	app, m, err := s.message(ctx)
	if err != nil {
		return answer{}, err
	}
	list, more, err := s.config.Store.Destinations(m, l.Page)
	if err != nil {
		return answer{}, err
	}
	endpoints := make([]*webhook.Endpoint, len(list))
	for i := range list {
		a := &list[i]
		endpoints[i], err = s.config.Store.Endpoint(app.ID, a.Endpoint.Text(webhook.KindEndpoint))
		if err != nil { // it is gone
			endpoints[i] = &webhook.Endpoint{ID: a.Endpoint, App: app.ID, URL: a.URL, Version: 1, Disabled: true,
				CreatedAt: a.Endpoint.Time(), UpdatedAt: a.Endpoint.Time()}
		}
	}
	backlogs, err := s.config.Store.Backlogs(endpoints)
	if err != nil {
		return answer{}, err
	}
	at := make(map[webhook.ID]int, len(list))
	for i := range list {
		at[list[i].Endpoint] = i
	}
	return respond(l, list, more, func(a *wal.Attempted) webhook.ID { return a.Endpoint }, func(a *wal.Attempted) destinationOut {
		i := at[a.Endpoint]
		return destinationOut{s.showEndpointWith(ctx, endpoints[i], &backlogs[i]), showStatus(a)}
	})
}
