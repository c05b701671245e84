package migrate

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"hookwheel/webhook"
)

// Options say how to import.
type Options struct {
	DryRun bool // change nothing
	Update bool // change what differs to what the source has
	Say    func(progress string)
}

// run is one import.
type run struct {
	Options
	source Source
	node   *node
	report *Report
	types  map[string]bool // names of event types at the node that were looked at, and whether they are archived
	later  map[string]bool // names of those to archive at the end
	limit  int             // of endpoints of an application, for a dry run; 0: none
	said   time.Time

	maxTypes int
}

// maxEventTypes is how many event types an import handles.
const maxEventTypes = 50_000

// Run imports what source has. An error means that it ended early; the report has what was done.
func Run(ctx context.Context, source Source, api API, report *Report, o Options) error {
	return newRun(source, api, report, o, 500*time.Millisecond).all(ctx)
}

// newRun returns an import that waits for backoff before it calls the node again.
func newRun(source Source, api API, report *Report, o Options, backoff time.Duration) *run {
	return &run{Options: o, source: source, node: &node{api: api, backoff: backoff}, report: report, types: make(map[string]bool), later: make(map[string]bool),
		said: time.Now(), maxTypes: maxEventTypes}
}

// archiveTimeout bounds how long an import that ended early archives event types.
const archiveTimeout = 10 * time.Second

func (r *run) all(ctx context.Context) error {
	if err := r.node.check(ctx); err != nil {
		return err
	}
	err := r.objects(ctx)
	if err != nil { // which can be the end of ctx; a next import can't know what was archived
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), archiveTimeout)
		defer cancel()
		ctx = after
	}
	return errors.Join(err, r.archiveLater(ctx))
}

// objects imports all objects. The event types in later are not archived yet.
func (r *run) objects(ctx context.Context) error {
	if r.DryRun {
		var err error
		if r.limit, err = r.node.endpointLimit(ctx); err != nil {
			return err
		}
	}
	for t, err := range r.source.EventTypes(ctx) {
		if err != nil {
			return err
		}
		if err := r.eventType(ctx, t); err != nil {
			return err
		}
	}
	for a, err := range r.source.Applications(ctx) {
		if err != nil {
			return err
		}
		if err := r.application(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// add records an item and shows progress now and then.
func (r *run) add(item Item) error {
	const interval = 5 * time.Second
	if time.Since(r.said) > interval {
		r.said = time.Now()
		text := fmt.Sprintf("%d objects so far", r.report.items)
		if !r.DryRun {
			text += fmt.Sprintf(", %d of them copied", r.report.Counts.total(Copied))
		}
		r.Say(text)
	}
	return r.report.add(item)
}

// outcome records the result of what was tried for an object. A refusal by the node skips it; any
// other error ends the import.
func (r *run) outcome(item Item, err error) error {
	if isRefusal(err) {
		item.Result, item.Why, item.Differs, item.Notes = Skipped, "the node refuses it: "+err.Error(), nil, nil
		err = nil
	}
	if err != nil {
		return fmt.Errorf("node: %s %s: %w", item.Kind, short(item.SourceID), err)
	}
	return r.add(item)
}

// skip records an object that can't be copied.
func (r *run) skip(item Item, why string) error {
	item.Result, item.Why = Skipped, why
	return r.add(item)
}

func (r *run) eventType(ctx context.Context, t *EventType) error {
	item := Item{Kind: KindEventType, SourceID: t.ID, Notes: t.Notes}
	if t.Fault != "" {
		return r.skip(item, t.Fault)
	}
	if err := t.Settings.Validate(); err != nil {
		return r.skip(item, err.Error())
	}
	if len(r.types) >= r.maxTypes {
		return r.errManyTypes()
	}
	name := t.Settings.Name
	want := eventTypeFields(&t.Settings)
	if t.Settings.Archived {
		delete(want, "archived") // only at the end: endpoints can't choose it then
	}
	object, err := r.createOrBring(ctx, &item, eventTypePath(name), want, func() (json.RawMessage, error) { return nil, r.createEventType(ctx, &item, name, want) })
	if err != nil {
		return r.outcome(item, err)
	}
	archived, err := isArchived(object)
	if err != nil {
		return err
	}
	if t.Settings.Archived && !archived {
		r.later[name] = true
		if item.Result == Unchanged || item.Result == Updated {
			item.Result, item.Differs = Updated, append(item.Differs, "archived")
		} else if item.Result == Differs {
			item.Notes = append(item.Notes, "archived, as it is at the source")
		}
	}
	r.types[name] = archived
	return r.add(item)
}

// maxFailures is how many event types that can't be archived are named.
const maxFailures = 10

// archiveLater archives the event types that had to be live while endpoints were copied, or that
// an import which was cut off has left so.
func (r *run) archiveLater(ctx context.Context) error {
	if r.DryRun {
		return nil
	}
	var failed []error
	for _, name := range slices.Sorted(maps.Keys(r.later)) {
		if err := r.archive(ctx, name, true); err != nil && webhook.ErrorCode(err) != webhook.CodeNotFound {
			failed = append(failed, fmt.Errorf("archiving the event type %s: %w", short(name), err))
			if len(failed) == maxFailures {
				break
			}
		}
	}
	return errors.Join(failed...)
}

// createOrBring creates an object that the node does not have, or brings it to what it should be.
// It returns the object as it was before, or as it was created.
func (r *run) createOrBring(ctx context.Context, item *Item, path string, want fields, create func() (json.RawMessage, error)) (json.RawMessage, error) {
	object, err := r.node.find(ctx, path)
	if err != nil {
		return nil, err
	}
	if object == nil {
		item.Result = Copied
		if r.DryRun {
			return nil, nil
		}
		made, err := create()
		if code := webhook.ErrorCode(err); code != webhook.CodeConflict && code != webhook.CodeTypeExists {
			item.ID = idOf(made)
			return made, err
		}
		// Either somebody else creates it, or we did and the response was lost.
		found, findErr := r.node.find(ctx, path)
		if findErr != nil || found == nil {
			return nil, err
		}
		object = found
	}
	item.ID = idOf(object)
	return object, r.bring(ctx, item, path, object, want)
}

// createEventType creates an event type, without its schemas if the node refuses these: endpoints
// may need it.
func (r *run) createEventType(ctx context.Context, item *Item, name string, want fields) error {
	body := want.with(fields{"name": name})
	err := r.node.call(ctx, http.MethodPost, "/event-type", body, nil)
	if schemas, _ := body["schemas"].(map[string]json.RawMessage); webhook.ErrorCode(err) == webhook.CodeInvalid && len(schemas) > 0 {
		delete(body, "schemas")
		item.Notes = append(item.Notes, "copied without its schemas, which the node refuses: "+short(err.Error()))
		err = r.node.call(ctx, http.MethodPost, "/event-type", body, nil)
	}
	return err
}

// bring compares an object of the node with what it should be, and changes it if that is wanted.
func (r *run) bring(ctx context.Context, item *Item, path string, object []byte, want fields) error {
	changed, err := want.differing(object)
	if err != nil {
		return err
	}
	item.Differs = changed.names()
	switch {
	case len(changed) == 0:
		item.Result = Unchanged
		return nil
	case !r.Update:
		item.Result = Differs
		return nil
	}
	item.Result = Updated
	if r.DryRun {
		return nil
	}
	return r.node.call(ctx, http.MethodPatch, path, changed, nil)
}

func (r *run) application(ctx context.Context, a *Application) error {
	item := Item{Kind: KindApplication, SourceID: a.ID, UID: a.Settings.UID, Name: a.Settings.Name, Notes: a.Notes}
	if a.Fault != "" {
		return r.skip(item, a.Fault)
	}
	if a.Settings.UID == webhook.OperationalUID {
		return r.skip(item, "this uid is for webhooks about Hookwheel itself; its endpoints would receive them")
	}
	if err := a.Settings.Validate(); err != nil {
		return r.skip(item, err.Error())
	}
	path, want := applicationPath(a.Settings.UID), applicationFields(&a.Settings)
	object, err := r.createOrBring(ctx, &item, path, want, func() (made json.RawMessage, err error) {
		err = r.node.call(ctx, http.MethodPost, "/app", want.with(fields{"uid": a.Settings.UID}), &made)
		return made, err
	})
	if err := r.outcome(item, err); err != nil {
		return err
	}
	if err != nil {
		return nil // it was refused, so its endpoints have no place
	}
	return r.endpoints(ctx, &place{app: a, planned: object == nil, limit: r.limitOf(a, object)})
}

// place is where the endpoints of an application go.
type place struct {
	app     *Application
	planned bool // the application is not at the node, which is so in a dry run
	limit   int  // of endpoints, for a dry run; 0: none
	there   int  // endpoints of the source that are there, or would be
}

// limitOf returns the limit of endpoints for an application, which may be at the node.
func (r *run) limitOf(a *Application, object json.RawMessage) int {
	var current struct{ MaxEndpoints *int }
	if object != nil && json.Unmarshal(object, &current) == nil && current.MaxEndpoints != nil {
		return *current.MaxEndpoints
	}
	return cmp.Or(int(a.Settings.Endpoints), r.limit)
}

// endpoints imports the endpoints of an application.
func (r *run) endpoints(ctx context.Context, p *place) error {
	for e, err := range r.source.Endpoints(ctx, p.app) {
		if isStatus(err, http.StatusNotFound) {
			return r.skip(Item{Kind: KindEndpoint, SourceID: "*", Application: p.app.Settings.UID}, "the application was deleted at the source in the meantime")
		}
		if err != nil {
			return err
		}
		if err := r.endpoint(ctx, p, e); err != nil {
			return err
		}
	}
	return nil
}

func (f fields) with(others fields) fields {
	all := make(fields, len(f)+len(others))
	for _, part := range []fields{f, others} {
		for name, value := range part {
			all[name] = value
		}
	}
	return all
}

func (r *run) errManyTypes() error {
	return fmt.Errorf("the source has, or its endpoints name, more than %d event types", r.maxTypes)
}
