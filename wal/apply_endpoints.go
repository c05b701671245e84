package wal

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"time"

	"hookwheel/webhook"
)

var errEndpointUIDTaken = &webhook.Error{Code: webhook.CodeConflict, Detail: "an endpoint with this uid exists already"}

// maxSorted is how many messages of an endpoint may wait for another attempt when it begins to keep
// an order per key: the leader has to find out which of each key comes first.
const maxSorted = 100_000

var errManyWaiting = &webhook.Error{Code: webhook.CodeConflict, Detail: fmt.Sprintf("More than %d messages of this endpoint wait for another attempt, "+
	"too many to begin with an order per key: change it when fewer wait, or create another endpoint with this ordering.", maxSorted)}

func errManyEndpoints(limit int) error {
	return &webhook.Error{Code: webhook.CodeLimit, Detail: fmt.Sprintf("This application has %d endpoints, which is its limit: delete one, "+
		"or have an admin raise maxEndpoints of the application or limits.endpoints in the configuration.", limit)}
}

// endpointTable changes the endpoints for an entry.
type endpointTable struct{ *entry }

func (e endpointTable) create(c *createEndpoint) ([]byte, error) {
	endpoint := &c.Endpoint
	app := e.store.catalog.applications[endpoint.App]
	if app == nil {
		return nil, errNoApplication
	}
	if limit := cmp.Or(int(app.Endpoints), c.Max); limit > 0 && len(e.store.catalog.byApp[app.ID]) >= limit {
		return nil, errManyEndpoints(limit)
	}
	if err := e.mayBecome(endpoint, nil, c.Viewer); err != nil {
		return nil, err
	}
	var err error
	if endpoint.ID, err = e.id(); err != nil {
		return nil, err
	}
	endpoint.CreatedAt, endpoint.UpdatedAt, endpoint.Revision = endpoint.ID.Time(), endpoint.ID.Time(), e.batch.meta.index
	endpoint.FilterSince = endpoint.ID
	// An endpoint's own ID is a position in the log: the endpoint wants the messages after it.
	place := &cursor{position: endpoint.ID}
	e.store.mu.Lock()
	e.store.catalog.cursors[endpoint.ID] = place
	e.store.mu.Unlock()
	recorder(e).putCursor(endpoint.ID, place)
	record, err := e.put(endpoint)
	if err != nil {
		return nil, err
	}
	changeTable(e).endpointChanged(webhook.EndpointCreated, endpoint)
	return record, operationalLog(e).tellEndpoint(operationalCreated, endpoint)
}

// update replaces an endpoint with an edited copy of it. The reply is the endpoint.
func (e endpointTable) update(c *updateEndpoint) ([]byte, error) {
	endpoint := &c.Endpoint
	before := e.store.catalog.endpoints[endpoint.ID]
	switch {
	case before == nil || before.App != endpoint.App:
		return nil, errNoEndpoint
	case before.Revision != endpoint.Revision:
		return nil, errChanged
	}
	if err := e.mayBecome(endpoint, before, c.Viewer); err != nil {
		return nil, err
	}
	if n := &e.store.catalog.cursors[endpoint.ID].counts; n.waiting+n.held > maxSorted &&
		endpoint.Ordering == webhook.OrderingKey && before.Ordering != webhook.OrderingKey {
		return nil, errManyWaiting
	}
	endpoint.CreatedAt, endpoint.FilterSince = before.CreatedAt, before.FilterSince
	if !slices.Equal(endpoint.EventTypes, before.EventTypes) || !slices.Equal(endpoint.Channels, before.Channels) {
		var err error
		if endpoint.FilterSince, err = e.id(); err != nil {
			return nil, err
		}
	}
	record, err := e.change(endpoint)
	if err != nil || isSameToUsers(endpoint, before, c.Resealed) {
		return record, err
	}
	changeTable(e).endpointUpdated(before, endpoint)
	return record, operationalLog(e).tellEndpoint(operationalUpdated, endpoint)
}

// isSameToUsers reports whether two states of an endpoint look the same to users: they may differ
// only in the time of the last change and, if the secrets were resealed, in how these are stored.
func isSameToUsers(a, b *webhook.Endpoint, resealed bool) bool {
	x, y := *a, *b
	for _, e := range []*webhook.Endpoint{&x, &y} {
		e.UpdatedAt, e.Revision = time.Time{}, 0
		if resealed {
			e.Keys, e.Headers = nil, nil
		}
	}
	return reflect.DeepEqual(&x, &y)
}

// change stores a new state of an existing endpoint.
func (e endpointTable) change(endpoint *webhook.Endpoint) (record []byte, err error) {
	endpoint.UpdatedAt, endpoint.Revision = e.now(), e.batch.meta.index
	return e.put(endpoint)
}

func (e endpointTable) put(endpoint *webhook.Endpoint) (record []byte, err error) {
	if record, err = encodeJSON(endpoint); err != nil {
		return nil, err
	}
	e.store.mu.Lock()
	e.store.catalog.putEndpoint(endpoint)
	e.store.catalog.measure(endpoint, len(record))
	e.store.mu.Unlock()
	e.changes.Endpoints = append(e.changes.Endpoints, endpoint)
	e.source = replySource{key: idKey(keyEndpoint, endpoint.App, endpoint.ID)}
	e.batch.set(e.source.key, record)
	return record, nil
}

// mayBecome checks what only the state machine can check: that the uid is free, and that the event
// types which the endpoint did not name before can be chosen.
func (e endpointTable) mayBecome(endpoint, before *webhook.Endpoint, viewer *viewer) error {
	if endpoint.UID != "" {
		if holder := e.store.catalog.endpoint(endpoint.App, endpoint.UID); holder != nil && holder.ID != endpoint.ID {
			return errEndpointUIDTaken
		}
	}
	chosen := make(map[string]bool)
	if before != nil {
		for _, name := range before.EventTypes {
			chosen[name] = true
		}
	}
	operational := e.store.catalog.applications[endpoint.App].UID == webhook.OperationalUID
	for _, name := range endpoint.EventTypes {
		if chosen[name] || operational && slices.Contains(operationalEvents, name) {
			continue
		}
		switch t := e.store.catalog.eventTypes[name]; {
		case t == nil || !viewer.canSee(t):
			return UnknownEventType(name)
		case t.Archived:
			return webhook.Invalid("eventTypes", fmt.Sprintf("the event type %q is archived, so no endpoint can choose it", name))
		}
	}
	return nil
}

// UnknownEventType returns the error for a list with an event type that does not exist.
func UnknownEventType(name string) error {
	return webhook.Invalid("eventTypes", fmt.Sprintf("there is no event type %q: create it first", name))
}

// disable disables an endpoint that has failed for too long, as the leader decided, unless it was
// changed since.
func (e endpointTable) disable(c *disableEndpoint) error {
	if c.Term != e.batch.meta.term {
		return errLateProgress
	}
	before := e.store.catalog.endpoints[c.Endpoint]
	switch {
	case before == nil:
		return errNoEndpoint
	case before.Disabled || c.Revision != 0 && before.Revision != c.Revision:
		return nil
	}
	endpoint := *before
	endpoint.Disabled = true
	if _, err := e.change(&endpoint); err != nil {
		return err
	}
	changeTable(e).endpointUpdated(before, &endpoint)
	return operationalLog(e).tellDisabled(&endpoint, c.FailSince)
}

// remove keeps the endpoint's history. Its retry set may be long, so sweep empties it step
// by step.
func (e endpointTable) remove(c *deleteEndpoint) error {
	endpoint := e.store.catalog.endpoints[c.Endpoint]
	if endpoint == nil || endpoint.App != c.App {
		return errNoEndpoint
	}
	e.store.mu.Lock()
	e.store.catalog.removeEndpoint(endpoint)
	e.store.mu.Unlock()
	e.changes.Removed = append(e.changes.Removed, endpoint.ID)
	taskTable(e).failDeleted()
	if err := tallyTable(e).keepRecentOf(endpoint.ID, attemptsAtDeleted(endpoint.App)); err != nil {
		return err
	}
	e.leaveToSweep(endpoint.App, endpoint.ID, &gathering{app: endpoint.App})
	changeTable(e).endpointChanged(webhook.EndpointDeleted, endpoint)
	return operationalLog(e).tellEndpoint(operationalDeleted, endpoint)
}

// resume ends the pause of an endpoint. With To, the cursor first skips the messages up to that
// one.
func (e endpointTable) resume(c *moveCursor) ([]byte, error) {
	before := e.store.catalog.endpoints[c.Endpoint]
	if before == nil || before.App != c.App {
		return nil, errNoEndpoint
	}
	if err := e.passOver(before, c.To); err != nil {
		return nil, err
	}
	endpoint := *before
	endpoint.Paused = false
	record, err := e.change(&endpoint)
	if err != nil || isSameToUsers(&endpoint, before, false) {
		return record, err
	}
	changeTable(e).endpointUpdated(before, &endpoint)
	return record, operationalLog(e).tellEndpoint(operationalUpdated, &endpoint)
}

// passOver moves a cursor forward, never back, without sending anything.
func (e endpointTable) passOver(endpoint *webhook.Endpoint, to webhook.ID) error {
	c := e.store.catalog.cursors[endpoint.ID]
	if !to.After(c.position) {
		return nil
	}
	switch _, err := e.view().message(endpoint.App, to); {
	case webhook.ErrorCode(err) == webhook.CodeNotFound: // it has left the log since the caller read it
		return errChanged
	case err != nil:
		return err
	}
	e.store.mu.Lock()
	c.skip(to, e.batch.meta.clock)
	e.store.mu.Unlock()
	e.changes.Moved = append(e.changes.Moved, endpoint.ID)
	recorder(e).putCursor(endpoint.ID, c)
	return nil
}
