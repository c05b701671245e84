package migrate

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"hookwheel/webhook"
)

// secretPlan is what is done about the secret of an endpoint.
type secretPlan struct {
	text string // empty: the node makes one
	same bool   // it is the one of the source
}

// planSecret returns the secret that an endpoint gets. If it can't be the one that the receiver
// has, the endpoint is held.
func planSecret(e *Endpoint) secretPlan {
	if strings.HasPrefix(e.Secret, "whpk_") {
		e.hold("the source shows only the public half of its key pair: it gets a new one, and the receiver needs the new public key")
		seed := make([]byte, 32)
		rand.Read(seed) // never fails
		return secretPlan{text: webhook.AsymmetricKey(seed).Text()}
	}
	if e.Secret == "" {
		e.hold("the source does not show its secret: it gets a new one, which the receiver needs")
		return secretPlan{}
	}
	var failed error
	for _, text := range []string{e.Secret, "whsec_" + e.Secret} {
		key, err := webhook.ParseSigningKey(text)
		if err == nil {
			err = key.Fits(e.Settings.Style)
		}
		if err == nil {
			return secretPlan{text: text, same: true}
		}
		if failed == nil {
			failed = err
		}
	}
	e.hold("its secret can't be used here (" + failed.Error() + "): it gets a new one, which the receiver needs")
	return secretPlan{}
}

// planHeaders drops the headers that Hookwheel does not send.
func planHeaders(e *Endpoint) error {
	for name, value := range e.Headers {
		if err := (webhook.Headers{name: value}).Validate(); err != nil {
			e.hold("a header can't be copied: " + short(err.Error()))
			delete(e.Headers, name)
		}
	}
	return e.Headers.Validate()
}

// endpoint imports an endpoint.
func (r *run) endpoint(ctx context.Context, p *place, e *Endpoint) error {
	a := p.app
	item := Item{Kind: KindEndpoint, SourceID: e.ID, Application: a.Settings.UID, UID: e.Settings.UID, Name: webhook.MaskURL(e.Settings.URL), Notes: e.Notes}
	if e.Fault != "" {
		return r.skip(item, e.Fault)
	}
	if err := e.Settings.Validate(); err != nil {
		return r.skip(item, err.Error())
	}
	if err := planHeaders(e); err != nil {
		return r.skip(item, err.Error())
	}
	secret := planSecret(e)
	path := endpointPath(a.Settings.UID, e.Settings.UID)
	var object json.RawMessage
	if !p.planned {
		var err error
		if object, err = r.node.find(ctx, path); err != nil {
			return r.outcome(item, err)
		}
	}
	if object == nil && r.DryRun && p.limit > 0 && p.there >= p.limit {
		return r.skip(item, fmt.Sprintf("the application may have %d endpoints, unless limits.endpoints or its maxEndpoints says more", p.limit))
	}
	p.there++
	if object == nil {
		err := r.createEndpoint(ctx, &item, a, e, secret)
		if webhook.ErrorCode(err) != webhook.CodeConflict {
			return r.outcome(item, err)
		}
		// A previous try has created it, although the response was lost.
		item.Notes = e.Notes
		found, err2 := r.node.find(ctx, path)
		if err2 != nil || found == nil {
			return r.outcome(item, err)
		}
		object = found
	}
	item.ID = idOf(object)
	return r.outcome(item, r.compareEndpoint(ctx, &item, path, object, e, secret))
}

func (r *run) createEndpoint(ctx context.Context, item *Item, a *Application, e *Endpoint, secret secretPlan) error {
	item.Result = Copied
	if len(e.Hidden) > 0 {
		e.hold(missingHeaders(e.Hidden))
	}
	want := endpointFields(&e.Settings)
	for _, reason := range e.Holds {
		want["disabled"] = true
		item.Notes = append(item.Notes, "copied as disabled: "+reason)
	}
	body := want.with(fields{"uid": e.Settings.UID, "headers": e.Headers})
	if secret.text != "" {
		body["secret"] = secret.text
	}
	if err := r.openTypes(ctx, e.Settings.EventTypes); err != nil || r.DryRun {
		return err
	}
	var object json.RawMessage
	err := r.node.call(ctx, http.MethodPost, applicationPath(a.Settings.UID)+"/endpoint", body, &object)
	item.ID = idOf(object)
	return err
}

func missingHeaders(names []string) string {
	return "the source does not show the values of some headers, which must be set here: " + short(strings.Join(names, ", "))
}

// compareEndpoint compares an endpoint of the node with the one of the source, and changes it if
// that is wanted.
func (r *run) compareEndpoint(ctx context.Context, item *Item, path string, object json.RawMessage, e *Endpoint, secret secretPlan) error {
	var has struct{ Disabled bool }
	if err := json.Unmarshal(object, &has); err != nil {
		return err
	}
	headers, missing, err := r.compareHeaders(ctx, path, e)
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		e.hold(missingHeaders(missing))
	}
	for _, reason := range e.Holds {
		if has.Disabled && !e.Settings.Disabled {
			item.Notes = append(item.Notes, "still disabled: "+reason)
		}
	}
	want := endpointFields(&e.Settings)
	if len(e.Holds) > 0 && !e.Settings.Disabled {
		delete(want, "disabled") // an operator enables it once the reasons are resolved
	}
	newSecret := false
	if secret.same {
		var current struct{ Key string }
		if err := r.node.call(ctx, http.MethodGet, path+"/secret", nil, &current); err != nil {
			return err
		}
		newSecret = current.Key != secret.text
	}
	changed, err := want.differing(object)
	if err != nil {
		return err
	}
	if _, other := changed["eventTypes"]; other && r.Update {
		if err := r.openTypes(ctx, e.Settings.EventTypes); err != nil {
			return err
		}
	}
	err = r.bring(ctx, item, path, object, want)
	if err != nil || !newSecret && len(headers) == 0 {
		return err
	}
	return r.bringSecrets(ctx, item, path, headers, newSecret, secret)
}

// bringSecrets changes headers and the secret of an endpoint if that is wanted.
func (r *run) bringSecrets(ctx context.Context, item *Item, path string, headers webhook.Headers, newSecret bool, secret secretPlan) error {
	fieldsChanged := slices.Clone(item.Differs)
	if newSecret {
		item.Differs = append(item.Differs, "secret")
	}
	if len(headers) > 0 {
		item.Differs = append(item.Differs, "headers")
	}
	item.Result = Differs
	if !r.Update {
		return nil
	}
	item.Result = Updated
	if r.DryRun {
		return nil
	}
	if newSecret {
		if err := r.node.call(ctx, http.MethodPost, path+"/secret/rotate", fields{"key": secret.text}, nil); err != nil {
			return afterChanges(fieldsChanged, err)
		}
		fieldsChanged = append(fieldsChanged, "secret")
	}
	if len(headers) > 0 {
		return afterChanges(fieldsChanged, r.node.call(ctx, http.MethodPatch, path+"/headers", fields{"headers": headers}, nil))
	}
	return nil
}

// afterChanges says in an error what has been changed before it.
func afterChanges(names []string, err error) error {
	if err == nil || len(names) == 0 {
		return err
	}
	return fmt.Errorf("%w, after %s had been changed", err, strings.Join(names, ", "))
}

// compareHeaders returns the headers that the node lacks or has with other values, and the names of
// those that only somebody who knows their values can set. A header whose value the node does not
// show is taken to be the same.
func (r *run) compareHeaders(ctx context.Context, path string, e *Endpoint) (different webhook.Headers, missing []string, err error) {
	if len(e.Headers)+len(e.Hidden) == 0 {
		return nil, nil, nil
	}
	var has nodeHeaders
	if err := r.node.call(ctx, http.MethodGet, path+"/headers", nil, &has); err != nil {
		return nil, nil, err
	}
	different = make(webhook.Headers)
	for name, value := range e.Headers {
		if current, shown, there := has.has(name); !there || shown && current != value {
			different[name] = value
		}
	}
	for _, name := range e.Hidden {
		if _, _, there := has.has(name); !there {
			missing = append(missing, name)
		}
	}
	return different, missing, nil
}

// openTypes makes sure that an endpoint can choose event types: that they are there, and that none
// is archived until the end of the import.
func (r *run) openTypes(ctx context.Context, names []string) error {
	for _, name := range names {
		archived, err := r.typeState(ctx, name)
		if err != nil {
			return err
		}
		if !archived || r.DryRun {
			continue
		}
		if err := r.archive(ctx, name, false); err != nil {
			return err
		}
		r.types[name], r.later[name] = false, true
	}
	return nil
}

func (r *run) archive(ctx context.Context, name string, archived bool) error {
	return r.node.call(ctx, http.MethodPatch, eventTypePath(name), fields{"archived": archived}, nil)
}

// typeState reports whether an event type is archived at the node. It creates one that the source
// has deleted, or never listed, since an endpoint still names it.
func (r *run) typeState(ctx context.Context, name string) (archived bool, err error) {
	if archived, known := r.types[name]; known {
		return archived, nil
	}
	if len(r.types) >= r.maxTypes {
		return false, r.errManyTypes()
	}
	object, err := r.node.find(ctx, eventTypePath(name))
	if err != nil {
		return false, err
	}
	if object != nil {
		r.types[name], err = isArchived(object)
		return r.types[name], err
	}
	item := Item{Kind: KindEventType, Result: Copied, SourceID: name, Notes: []string{"the source does not list it, but an endpoint names it"}}
	if !r.DryRun {
		if err := r.createEventType(ctx, &item, name, eventTypeFields(&webhook.EventType{Name: name})); err != nil {
			return false, err
		}
	}
	r.types[name] = false
	return false, r.add(item)
}

func isArchived(object json.RawMessage) (bool, error) {
	var out struct{ Archived bool }
	if object == nil { // it is new
		return false, nil
	}
	err := json.Unmarshal(object, &out)
	return out.Archived, err
}
