package httpapi

import (
	"slices"
	"strings"

	"hookwheel/wal"
	"hookwheel/webhook"
)

// ownedEndpointOut is an endpoint with its application, for lists over all of them.
type ownedEndpointOut struct {
	AppID   string  `json:"appId"`
	AppUID  *string `json:"appUid"`
	AppName string  `json:"appName"`
	endpointOut
}

// endpointsByState is a page of such a list. The counts are of all endpoints that there are.
type endpointsByState struct {
	listResponse
	Counts map[string]int `json:"counts"`
}

// states returns the states that a list is narrowed to, which are all if the query has none.
func (q *query) states(name string) wal.StateSet {
	var list []wal.EndpointState
	known := make(map[string]wal.EndpointState, wal.EndpointStates)
	for state := range wal.EndpointState(wal.EndpointStates) {
		known[state.String()] = state
	}
	names := q.list(name)
	if q.has(name) && slices.Contains(strings.Split(q.text(name), ","), "") {
		names = append(names, "") // which list passes over
	}
	for _, text := range names {
		state, found := known[text]
		if !found {
			q.fail(name, "must be some of healthy, failing, parked, paused, disabled and blocked, separated by commas")
		}
		list = append(list, state)
	}
	if len(list) > 0 {
		return wal.NewStateSet(list...)
	}
	return wal.NewStateSet(wal.Healthy, wal.Failing, wal.Parked, wal.Paused, wal.Disabled)
}

// listByState lists endpoints of all applications by their state.
func listByState(r *request) (*response, error) {
	q := r.query()
	l, states := q.listing(webhook.KindEndpoint, q.ascending(false)), q.states("health")
	if q.err != nil {
		return nil, q.err
	}
	if err := r.current(); err != nil {
		return nil, err
	}
	list, more, counts := r.store().EndpointsInStates(states, l.Page)
	backlogs, err := r.store().Deliveries().Backlogs(list)
	if err != nil {
		return nil, err
	}
	waits := make(map[webhook.ID]*wal.Backlog, len(list))
	for i, e := range list {
		waits[e.ID] = &backlogs[i]
	}
	var next webhook.ID
	if more {
		next = list[len(list)-1].ID
	}
	page, err := fillPage(l, list, next, func(e **webhook.Endpoint) webhook.ID { return (*e).ID },
		func(e **webhook.Endpoint) (ownedEndpointOut, error) { return showOwned(r, *e, waits[(*e).ID]), nil })
	if err != nil {
		return nil, err
	}
	out := endpointsByState{page, make(map[string]int, len(counts))}
	for state, n := range counts {
		out.Counts[wal.EndpointState(state).String()] = n
	}
	return ok(out), nil
}

func showOwned(r *request, e *webhook.Endpoint, backlog *wal.Backlog) ownedEndpointOut {
	out := ownedEndpointOut{AppID: e.App.Text(webhook.KindApplication), endpointOut: showEndpointWith(r, e, backlog)}
	if app, err := r.store().Application(out.AppID); err == nil { // otherwise it was deleted meanwhile
		out.AppUID, out.AppName = optional(app.UID), app.Name
	}
	return out
}
