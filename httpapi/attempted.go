package httpapi

import (
	"encoding/json"
	"time"

	"hookwheel/wal"
	"hookwheel/webhook"
)

// attemptedStatus is the state of a message at an endpoint, in both lists of attempted deliveries.
type attemptedStatus struct {
	Status      webhook.Status `json:"status"`
	StatusText  string         `json:"statusText"`
	NextAttempt *time.Time     `json:"nextAttempt,omitempty"`
}

func showStatus(a *wal.Attempted) attemptedStatus {
	return attemptedStatus{Status: a.Status, StatusText: a.Status.String(), NextAttempt: optional(a.Next)}
}

// listAttemptedMessages lists the messages that an endpoint was sent, with their states.
func listAttemptedMessages(r *request) (*response, error) {
	q := r.query()
	withContent := q.bool("with_content", true)
	l := q.listingByTime(webhook.KindMessage)
	status, filter := q.status(), q.messageFilter()
	if q.err != nil {
		return nil, q.err
	}
	endpoint, err := r.named().endpoint()
	if err != nil {
		return nil, err
	}
	l.Bytes, filter.WithoutPayload = pageBytes, !withContent
	list, next, err := r.store().Attempts().Messages(endpoint, l.Page, filter, status)
	if err != nil {
		return nil, err
	}
	id := func(a *wal.Attempted) webhook.ID { return a.Message.ID }
	return respondSearch(l, list, next, id, func(a *wal.Attempted) (rawJSON, error) {
		text, err := json.Marshal(showStatus(a))
		if err != nil {
			return nil, err
		}
		text[0] = ',' // continues the object of the message
		return appendMessageOut(nil, a.Message, withContent, text[:len(text)-1]...), nil
	})
}

// destinationOut is an endpoint that a message was sent to. If it is deleted, only its id and URL
// are known.
type destinationOut struct {
	endpointOut
	attemptedStatus
}

// listDestinations lists the endpoints that a message was sent to, with its states there.
func listDestinations(r *request) (*response, error) {
	q := r.query()
	l := q.listing(webhook.KindEndpoint, true)
	if q.err != nil {
		return nil, q.err
	}
	m, err := r.named().message()
	if err != nil {
		return nil, err
	}
	list, more, err := r.store().Attempts().Destinations(m, l.Page)
	if err != nil {
		return nil, err
	}
	endpoints := make([]*webhook.Endpoint, len(list))
	for i := range list {
		a := &list[i]
		endpoints[i], err = r.store().Endpoint(m.App, a.Endpoint.Text(webhook.KindEndpoint))
		if err != nil { // it was deleted
			endpoints[i] = &webhook.Endpoint{ID: a.Endpoint, App: m.App, URL: a.URL, Version: 1, Disabled: true,
				CreatedAt: a.Endpoint.Time(), UpdatedAt: a.Endpoint.Time()}
		}
	}
	backlogs, err := r.store().Deliveries().Backlogs(endpoints)
	if err != nil {
		return nil, err
	}
	at := make(map[webhook.ID]int, len(list))
	for i := range list {
		at[list[i].Endpoint] = i
	}
	return respondPage(l, list, more, func(a *wal.Attempted) webhook.ID { return a.Endpoint }, func(a *wal.Attempted) destinationOut {
		i := at[a.Endpoint]
		return destinationOut{showEndpointWith(r, endpoints[i], &backlogs[i]), showStatus(a)}
	})
}
