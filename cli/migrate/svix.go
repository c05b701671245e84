package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"

	"hookwheel/webhook"
)

// svix reads Svix, or a server that speaks its API.
type svix struct {
	*service
	apps []string // ids or uids of the applications to copy; empty: all

	mu     sync.Mutex
	lacked map[string]bool // what the server was asked about endpoints and does not know
}

// NewSvix returns a source that reads the Svix API at a URL. If apps is not empty, only these
// applications are copied. say shows progress.
func NewSvix(base, token string, apps []string, say func(string)) (Source, error) {
	s, err := newService(base, "/api/v1", token, say)
	if err != nil {
		return nil, err
	}
	return &svix{service: s, apps: apps, lacked: make(map[string]bool)}, nil
}

const deletedMeanwhile = "it was deleted at the source in the meantime"

// svixParallel is how many endpoints of a page are asked about at once.
const svixParallel = 4

// svixPage is a page of a list of Svix.
type svixPage struct {
	Data     []json.RawMessage
	Iterator *string
	Done     *bool
}

// list returns the objects of a list.
func (s *svix) list(ctx context.Context, path string, query url.Values) iter.Seq2[[]json.RawMessage, error] {
	query.Set("limit", strconv.Itoa(pageSize))
	return list(ctx, s.service, path, query, "iterator", func(in *svixPage) (page, error) {
		if in.Data == nil {
			return page{}, fmt.Errorf("%s: the source's response has no data: is this the API of Svix?", path)
		}
		p := page{items: in.Data, cursor: text(in.Iterator)}
		p.more = in.Done != nil && !*in.Done || in.Done == nil && p.cursor != ""
		return p, nil
	})
}

type svixEventType struct {
	Name, Description    string
	GroupName            *string
	Archived, Deprecated bool
	Schemas              map[string]json.RawMessage
	FeatureFlag          *string
	FeatureFlags         []string
}

func (s *svix) EventTypes(ctx context.Context) iter.Seq2[*EventType, error] {
	return each(s.list(ctx, "/event-type", url.Values{"include_archived": {"true"}, "with_content": {"true"}}), readSvixEventType)
}

func readSvixEventType(item json.RawMessage) *EventType {
	var in svixEventType
	t := new(EventType)
	if err := json.Unmarshal(item, &in); err != nil {
		t.ID, t.Fault = nameIn(item, "name"), notUnderstood(err)
		return t
	}
	t.ID = in.Name
	t.Settings = webhook.EventType{Name: in.Name, Description: in.Description, GroupName: text(in.GroupName),
		Archived: in.Archived, Deprecated: in.Deprecated, Schemas: in.Schemas, FeatureFlags: in.FeatureFlags}
	if flag := text(in.FeatureFlag); flag != "" && len(in.FeatureFlags) == 0 {
		t.Settings.FeatureFlags = []string{flag}
	}
	return t
}

type svixApplication struct {
	ID                      string  `json:"id"`
	UID                     *string `json:"uid"`
	Name                    string
	ThrottleRate, RateLimit *uint16
	MaxEndpoints            *uint32
	Metadata                map[string]string
}

func (s *svix) Applications(ctx context.Context) iter.Seq2[*Application, error] {
	if len(s.apps) > 0 {
		return s.chosen(ctx, s.apps, "/app/", readSvixApplication)
	}
	return each(s.list(ctx, "/app", url.Values{"order": {"ascending"}}), readSvixApplication)
}

func readSvixApplication(item json.RawMessage) *Application {
	var in svixApplication
	a := new(Application)
	if err := json.Unmarshal(item, &in); err != nil {
		a.ID, a.Fault = nameIn(item, "id"), notUnderstood(err)
		return a
	}
	a.ID = in.ID
	a.Settings = webhook.Application{UID: newUID(validApplicationUID, text(in.UID), in.ID), Name: in.Name, Metadata: in.Metadata,
		RateLimit: first(in.ThrottleRate, in.RateLimit), Endpoints: first(in.MaxEndpoints)}
	if uid := text(in.UID); uid != "" && uid != a.Settings.UID {
		a.note(fmt.Sprintf("the uid %q can't be one here; it is %s now", short(uid), a.Settings.UID))
	}
	if !safeID(in.ID) {
		a.Fault = "it has no usable id"
	}
	return a
}

// svixEndpoint is an endpoint of Svix, and has what Hookwheel adds to it.
type svixEndpoint struct {
	ID                      string `json:"id"`
	URL                     string `json:"url"`
	Description             string
	UID                     *string `json:"uid"`
	ThrottleRate, RateLimit *uint16
	Disabled                bool
	EventTypes, FilterTypes []string
	Channels                []string
	Metadata                map[string]string

	SignatureStyle, Ordering, OnExhausted string
	Envelope, Paused                      bool
	TLSVerify                             *bool
}

func (s *svix) Endpoints(ctx context.Context, app *Application) iter.Seq2[*Endpoint, error] {
	return func(yield func(*Endpoint, error) bool) {
		path := "/app/" + url.PathEscape(app.ID) + "/endpoint"
		for page, err := range s.list(ctx, path, url.Values{"order": {"ascending"}}) {
			if err != nil {
				yield(nil, err)
				return
			}
			for part := range slices.Chunk(page, svixParallel) {
				endpoints, err := s.complete(ctx, path, part)
				if err != nil {
					yield(nil, err)
					return
				}
				for _, e := range endpoints {
					if !yield(e, nil) {
						return
					}
				}
			}
		}
	}
}

// complete reads endpoints and what only requests of their own return.
func (s *svix) complete(ctx context.Context, path string, items []json.RawMessage) ([]*Endpoint, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	endpoints := make([]*Endpoint, len(items))
	var group sync.WaitGroup
	for i, item := range items {
		e := readSvixEndpoint(item)
		endpoints[i] = e
		if e.Fault != "" {
			continue
		}
		group.Go(func() {
			if err := s.details(ctx, path+"/"+url.PathEscape(e.ID), e); err != nil {
				cancel(err) // only the first one counts
			}
		})
	}
	group.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return endpoints, nil
}

func readSvixEndpoint(item []byte) *Endpoint {
	var in svixEndpoint
	e := new(Endpoint)
	if err := json.Unmarshal(item, &in); err != nil {
		e.ID, e.Fault = nameIn(item, "id"), notUnderstood(err)
		return e
	}
	e.ID = in.ID
	e.Settings = webhook.Endpoint{UID: newUID(validEndpointUID, text(in.UID), in.ID), URL: in.URL, Description: in.Description,
		RateLimit: first(in.ThrottleRate, in.RateLimit), Disabled: in.Disabled, EventTypes: in.EventTypes, Channels: in.Channels, Metadata: in.Metadata,
		Envelope: in.Envelope, Ordering: webhook.Ordering(in.Ordering), InsecureTLS: in.TLSVerify != nil && !*in.TLSVerify}
	if len(in.EventTypes) == 0 {
		e.Settings.EventTypes = in.FilterTypes
	}
	if in.SignatureStyle != "standard" {
		e.Settings.Style = webhook.SignatureStyle(in.SignatureStyle)
	}
	if in.OnExhausted != "skip" {
		e.Settings.OnExhausted = webhook.OnExhausted(in.OnExhausted)
	}
	if in.Paused {
		e.hold("it is paused at the source")
	}
	if !safeID(in.ID) {
		e.Fault = "it has no usable id"
	}
	return e
}

// details reads an endpoint's secret and headers, and whether it uses what can't be copied. An
// endpoint that was deleted meanwhile gets a Fault.
func (s *svix) details(ctx context.Context, path string, e *Endpoint) error {
	var secret struct{ Key *string }
	if err := s.get(ctx, path+"/secret", nil, &secret); isStatus(err, http.StatusNotFound) {
		e.Fault = deletedMeanwhile
		return nil
	} else if err != nil {
		return err
	}
	e.Secret = text(secret.Key)
	var headers struct {
		Headers   map[string]*string
		Sensitive []string
	}
	if err := s.get(ctx, path+"/headers", nil, &headers); isStatus(err, http.StatusNotFound) {
		e.Fault = deletedMeanwhile
		return nil
	} else if err != nil {
		return err
	}
	e.Headers, e.Hidden = make(webhook.Headers), headers.Sensitive
	for name, value := range headers.Headers {
		if value == nil {
			e.Hidden = append(e.Hidden, name)
		} else {
			e.Headers[name] = *value
		}
	}
	for _, extra := range []struct{ name, hold string }{
		{"transformation", "it has a transformation, which Hookwheel does not support: the receiver would get the payload as it was sent"},
		{"oauth-config", "it authenticates with OAuth, which Hookwheel does not support"},
		{"mtls-config", "it has a client certificate, which Hookwheel does not support"},
	} {
		enabled, err := s.isEnabled(ctx, path, extra.name)
		if isStatus(err, http.StatusNotFound) {
			e.Fault = deletedMeanwhile
			return nil
		}
		if err != nil {
			return err
		}
		if enabled {
			e.hold(extra.hold)
		}
	}
	return nil
}

// noOperation is what a Hookwheel node says of a path that it does not know; Svix says nothing.
const noOperation = "There is no operation at this path."

// isEnabled reports whether an endpoint uses a feature. The open source server has none of them.
func (s *svix) isEnabled(ctx context.Context, path, feature string) (bool, error) {
	s.mu.Lock()
	lacked := s.lacked[feature]
	s.mu.Unlock()
	if lacked {
		return false, nil
	}
	var out struct{ Enabled *bool }
	err := s.get(ctx, path+"/"+feature, nil, &out)
	if isStatus(err, http.StatusNotFound) || isStatus(err, http.StatusMethodNotAllowed) || isStatus(err, http.StatusNotImplemented) {
		var endpoint json.RawMessage
		if err := s.get(ctx, path, nil, &endpoint); err != nil { // the endpoint may be what is not found
			return false, err
		}
		var status *statusError
		if errors.As(err, &status) && (status.status != http.StatusNotFound || status.detail == "" || status.detail == noOperation) {
			s.mu.Lock()
			s.lacked[feature] = true
			s.mu.Unlock()
		} // otherwise this endpoint lacks it, and others may have it
		return false, nil
	}
	return out.Enabled != nil && *out.Enabled, err
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// first returns the first value that is not nil, or zero.
func first[T any](values ...*T) (value T) {
	for _, v := range values {
		if v != nil {
			return *v
		}
	}
	return value
}

// nameIn returns a field of an object that could not be decoded.
func nameIn(item []byte, field string) string {
	var fields map[string]json.RawMessage
	var name string
	if json.Unmarshal(item, &fields) != nil || json.Unmarshal(fields[field], &name) != nil {
		return "?"
	}
	return name
}

func notUnderstood(err error) string {
	return "the source's description of it can't be understood: " + plainJSONError(err).Error()
}
