package migrate

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"hookwheel/webhook"
)

// convoy reads a project of Convoy. The owners of endpoints are applications: an event is sent to
// all endpoints of an owner. An endpoint without an owner is sent events by its id, so it gets an
// application of its own.
type convoy struct {
	*service
	owners []string // to copy; empty: all
	// header is the one with the signature, and same whether Hookwheel makes the same signature.
	header string
	same   bool

	maxOwners int
}

// maxOwners is how many owners of endpoints an import handles.
const maxOwners = 200_000

// NewConvoy returns a source that reads a project by the Convoy API at a URL. If owners is not
// empty, only their endpoints are copied.
func NewConvoy(base, token, project string, owners []string, say func(string)) (Source, error) {
	if !safeID(project) {
		return nil, fmt.Errorf("--project %q: expected the id of a project", project)
	}
	s, err := newService(base, "/api/v1", token, say)
	if err != nil {
		return nil, err
	}
	s.base += "/projects/" + url.PathEscape(project)
	return &convoy{service: s, owners: owners, maxOwners: maxOwners}, nil
}

// convoyPage is a page of a list of Convoy.
type convoyPage struct {
	Data struct {
		Content    []json.RawMessage `json:"content"`
		Pagination *struct {
			HasNext bool   `json:"has_next_page"`
			Next    string `json:"next_page_cursor"`
		} `json:"pagination"`
	} `json:"data"`
}

func (c *convoy) list(ctx context.Context, path string, query url.Values) iter.Seq2[[]json.RawMessage, error] {
	query.Set("perPage", strconv.Itoa(pageSize))
	return list(ctx, c.service, path, query, "next_page_cursor", func(in *convoyPage) (page, error) {
		if in.Data.Pagination == nil {
			return page{}, fmt.Errorf("%s: the source's response has no pages: is this the API of Convoy?", path)
		}
		return page{items: in.Data.Content, cursor: in.Data.Pagination.Next, more: in.Data.Pagination.HasNext}, nil
	})
}

func (c *convoy) EventTypes(ctx context.Context) iter.Seq2[*EventType, error] {
	return func(yield func(*EventType, error) bool) {
		if err := c.readProject(ctx); err != nil {
			yield(nil, err)
			return
		}
		var response struct {
			Data []json.RawMessage `json:"data"` // Convoy does not page them
		}
		if err := c.get(ctx, "/event-types", nil, &response); err != nil {
			yield(nil, err)
			return
		}
		for _, item := range response.Data {
			if t := readConvoyEventType(item); t.ID != "*" && !yield(t, nil) { // that is for all
				return
			}
		}
	}
}

// readProject reads how requests are signed.
func (c *convoy) readProject(ctx context.Context) error {
	var response struct {
		Data struct {
			Type   string `json:"type"`
			Config struct {
				Signature struct {
					Header   string `json:"header"`
					Versions []struct {
						Hash     string `json:"hash"`
						Encoding string `json:"encoding"`
					} `json:"versions"`
				} `json:"signature"`
			} `json:"config"`
		} `json:"data"`
	}
	if err := c.get(ctx, "", nil, &response); err != nil {
		return err
	}
	if response.Data.Type == "incoming" {
		return fmt.Errorf("the project receives webhooks; only projects of the type outgoing can be copied")
	}
	signature := &response.Data.Config.Signature
	if c.header = short(signature.Header); c.header == "" {
		c.header = "X-Convoy-Signature"
	}
	if last := len(signature.Versions) - 1; last >= 0 { // the one that simple signatures use
		c.same = strings.EqualFold(signature.Versions[last].Hash, "SHA256") && signature.Versions[last].Encoding == "hex"
	}
	return nil
}

func readConvoyEventType(item json.RawMessage) *EventType {
	var in struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Category    string          `json:"category"`
		Schema      json.RawMessage `json:"json_schema"`
		Deprecated  *string         `json:"deprecated_at"`
	}
	t := new(EventType)
	if err := json.Unmarshal(item, &in); err != nil {
		t.ID, t.Fault = nameIn(item, "name"), notUnderstood(err)
		return t
	}
	t.ID = in.Name
	t.Settings = webhook.EventType{Name: in.Name, Description: in.Description, Deprecated: in.Deprecated != nil}
	if in.Category != "" && safeID(in.Category) {
		t.Settings.GroupName = in.Category
	} else if in.Category != "" {
		t.note("its category can't be a group name, and is not copied")
	}
	if text := string(in.Schema); text != "" && text != "null" && text != "{}" {
		t.Settings.Schemas = map[string]json.RawMessage{"1": in.Schema}
	}
	return t
}

func (c *convoy) Applications(ctx context.Context) iter.Seq2[*Application, error] {
	return func(yield func(*Application, error) bool) {
		for _, owner := range c.owners {
			if err := c.findOwner(ctx, owner); err != nil {
				yield(nil, err)
				return
			}
			if !yield(ownerApplication(owner), nil) {
				return
			}
		}
		if len(c.owners) > 0 {
			return
		}
		seen := make(map[string]bool)
		for e, err := range each(c.list(ctx, "/endpoints", url.Values{}), readConvoyOwner) {
			switch {
			case err != nil:
				yield(nil, err)
				return
			case len(seen) >= c.maxOwners:
				yield(nil, fmt.Errorf("the source has more than %d owners of endpoints", c.maxOwners))
				return
			case e.OwnerID != "" && seen[e.OwnerID]:
				continue
			}
			a := ownerApplication(e.OwnerID)
			if e.OwnerID == "" {
				a = e.application()
			} else {
				seen[e.OwnerID] = true
			}
			if !yield(a, nil) {
				return
			}
		}
	}
}

// findOwner checks that an owner has endpoints, as Convoy knows nothing else of owners.
func (c *convoy) findOwner(ctx context.Context, owner string) error {
	if owner != "" {
		for items, err := range c.list(ctx, "/endpoints", url.Values{"ownerId": {owner}}) {
			if err != nil {
				return err
			}
			if len(items) > 0 {
				return nil
			}
		}
	}
	return fmt.Errorf("application %q: the project has no endpoints of this owner", short(owner))
}

// convoyOwner is what an endpoint says of its application.
type convoyOwner struct {
	UID     string `json:"uid"`
	OwnerID string `json:"owner_id"`
	Name    string `json:"name"`
	fault   string
}

func readConvoyOwner(item json.RawMessage) *convoyOwner {
	e := new(convoyOwner)
	if err := json.Unmarshal(item, e); err != nil {
		return &convoyOwner{UID: nameIn(item, "uid"), fault: notUnderstood(err)}
	}
	if !safeID(e.UID) {
		e.fault = "it has no usable id"
	}
	return e
}

// application returns the application of an endpoint without an owner.
func (e *convoyOwner) application() *Application {
	name := e.Name
	if name == "" {
		name = e.UID
	}
	return &Application{Origin: Origin{ID: e.UID, Fault: e.fault}, alone: e.UID, Settings: webhook.Application{UID: newUID(validApplicationUID, e.UID, ""), Name: name}}
}

func ownerApplication(owner string) *Application {
	a := &Application{Origin: Origin{ID: owner}, Settings: webhook.Application{UID: newUID(validApplicationUID, owner, ""), Name: owner}}
	if a.Settings.UID != owner {
		a.note(fmt.Sprintf("the owner %q can't be a uid here; it is %s now", short(owner), a.Settings.UID))
	}
	return a
}

// convoyEndpoint is an endpoint of Convoy.
type convoyEndpoint struct {
	convoyOwner
	URL               string `json:"url"`
	Description       string `json:"description"`
	Status            string `json:"status"`
	RateLimit         int64  `json:"rate_limit"`
	RateLimitDuration int64  `json:"rate_limit_duration"` // seconds
	ContentType       string `json:"content_type"`
	Advanced          bool   `json:"advanced_signatures"`
	Secrets           []struct {
		Value     string  `json:"value"`
		ExpiresAt *string `json:"expires_at"`
		DeletedAt *string `json:"deleted_at"`
	} `json:"secrets"`
	Authentication *struct {
		Type   string `json:"type"`
		APIKey *struct {
			Name  string `json:"header_name"`
			Value string `json:"header_value"`
		} `json:"api_key"`
	} `json:"authentication"`
	ClientCert json.RawMessage `json:"mtls_client_cert"`
}

func (c *convoy) Endpoints(ctx context.Context, app *Application) iter.Seq2[*Endpoint, error] {
	if app.alone != "" {
		return c.alone(ctx, app.alone)
	}
	pages := c.list(ctx, "/endpoints", url.Values{"ownerId": {app.ID}})
	return c.subscribed(ctx, each(pages, func(item json.RawMessage) *Endpoint {
		e, owner := c.readEndpoint(item)
		if owner != app.ID { // a server that ignores the parameter returns everybody's
			e.Fault = "it is another owner's"
		}
		return e
	}))
}

// alone returns the endpoint of an application that is made for it.
func (c *convoy) alone(ctx context.Context, id string) iter.Seq2[*Endpoint, error] {
	return func(yield func(*Endpoint, error) bool) {
		var response struct {
			Data json.RawMessage `json:"data"`
		}
		if err := c.get(ctx, "/endpoints/"+url.PathEscape(id), nil, &response); err != nil {
			yield(nil, err)
			return
		}
		e, _ := c.readEndpoint(response.Data)
		if e.Fault == "" {
			if err := c.subscribe(ctx, e); err != nil {
				yield(nil, err)
				return
			}
		}
		yield(e, nil)
	}
}

// subscribed completes endpoints with their subscriptions.
func (c *convoy) subscribed(ctx context.Context, endpoints iter.Seq2[*Endpoint, error]) iter.Seq2[*Endpoint, error] {
	return func(yield func(*Endpoint, error) bool) {
		for e, err := range endpoints {
			if err == nil && e.Fault == "" {
				err = c.subscribe(ctx, e)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

func (c *convoy) readEndpoint(item json.RawMessage) (e *Endpoint, owner string) {
	var in convoyEndpoint
	e = new(Endpoint)
	if err := json.Unmarshal(item, &in); err != nil {
		e.ID, e.Fault = nameIn(item, "uid"), notUnderstood(err)
		return e, nameIn(item, "owner_id")
	}
	e.ID = in.UID
	if !safeID(in.UID) {
		e.Fault = "it has no usable id"
	}
	e.Settings = webhook.Endpoint{UID: newUID(validEndpointUID, in.UID, ""), URL: in.URL, Description: in.Description, Disabled: in.Status != "active",
		Style: webhook.StyleHex, Metadata: map[string]string{}}
	if in.Name != "" {
		e.Settings.Metadata["name"] = in.Name
	}
	e.setRate(in.RateLimit, in.RateLimitDuration)
	for _, secret := range in.Secrets {
		if secret.ExpiresAt == nil && secret.DeletedAt == nil {
			e.Secret = secret.Value
			break
		}
	}
	c.readRequest(e, &in)
	return e, in.OwnerID
}

// setRate sets a limit of so many messages in so many seconds.
func (e *Endpoint) setRate(count, seconds int64) {
	if count <= 0 {
		return
	}
	rate := max(count/max(seconds, 1), 1)
	e.Settings.RateLimit = uint16(min(rate, 1<<16-1))
	if int64(e.Settings.RateLimit)*max(seconds, 1) != count {
		e.note(fmt.Sprintf("its limit of %d messages in %d seconds is %d per second here", count, seconds, e.Settings.RateLimit))
	}
}

// readRequest reads what makes requests to an endpoint special.
func (c *convoy) readRequest(e *Endpoint, in *convoyEndpoint) {
	if c.same && !in.Advanced {
		e.hold(fmt.Sprintf("its receiver verifies the header %s, while Hookwheel sends the same signature, under the same secret, in X-Webhook-Signature", c.header))
	} else {
		e.hold(fmt.Sprintf("its receiver verifies the header %s, which Hookwheel does not make; it can verify X-Webhook-Signature, "+
			"the HMAC-SHA256 of the body in hexadecimal under the same secret", c.header))
	}
	if in.ContentType != "" && in.ContentType != "application/json" {
		e.hold("its content type is " + short(in.ContentType) + ", and Hookwheel sends JSON")
	}
	if text := string(in.ClientCert); text != "" && text != "null" {
		e.hold("it has a client certificate, which Hookwheel does not support")
	}
	auth := in.Authentication
	switch {
	case auth == nil || auth.Type == "":
	case auth.Type == "api_key" && auth.APIKey != nil && auth.APIKey.Name != "":
		e.Headers = webhook.Headers{auth.APIKey.Name: auth.APIKey.Value}
	case auth.Type == "basic_auth":
		e.Hidden = []string{"Authorization"}
	case auth.Type == "api_key":
	default:
		e.hold("it authenticates with " + short(auth.Type) + ", which Hookwheel does not support")
	}
}

// subscription is a subscription of an endpoint.
type subscription struct {
	UID      string  `json:"uid"`
	Function *string `json:"function"`
	Filter   *struct {
		EventTypes []string `json:"event_types"`
		Filter     struct {
			Body    map[string]any `json:"body"`
			Headers map[string]any `json:"headers"`
			Path    map[string]any `json:"path"`
			Query   map[string]any `json:"query"`
		} `json:"filter"`
	} `json:"filter_config"`
}

// subscribe sets the event types that the subscriptions of an endpoint choose.
func (c *convoy) subscribe(ctx context.Context, e *Endpoint) error {
	found, all := false, false
	for items, err := range c.list(ctx, "/subscriptions", url.Values{"endpointId": {e.ID}}) {
		if err != nil {
			return err
		}
		for _, item := range items {
			var s subscription
			if err := json.Unmarshal(item, &s); err != nil {
				e.Fault = "the source's description of its subscription can't be understood: " + plainJSONError(err).Error()
				return nil
			}
			found = true
			anything, err := c.addSubscription(ctx, e, &s)
			if err != nil {
				return err
			}
			all = all || anything
		}
	}
	e.Settings.EventTypes = sorted(e.Settings.EventTypes)
	if all {
		e.Settings.EventTypes = nil
	}
	if !found {
		e.hold("it has no subscription, so it received nothing")
	}
	return nil
}

// addSubscription adds what a subscription chooses, and reports whether that is everything.
func (c *convoy) addSubscription(ctx context.Context, e *Endpoint, s *subscription) (all bool, err error) {
	if text(s.Function) != "" {
		e.holdOnce("a subscription has a function, which Hookwheel does not support: the receiver would get the payload as it was sent")
	}
	filtered, err := c.hasFilters(ctx, s.UID)
	if err != nil {
		return false, err
	}
	f := s.Filter
	if f == nil || len(f.EventTypes) == 0 {
		all = true
	} else if b := f.Filter; len(b.Body)+len(b.Headers)+len(b.Path)+len(b.Query) > 0 {
		filtered = true
	}
	if filtered {
		e.holdOnce("a subscription has a filter on the payload, which Hookwheel does not have: it would receive more")
	}
	if f != nil {
		for _, name := range f.EventTypes {
			if name == "*" {
				all = true
			}
			e.Settings.EventTypes = append(e.Settings.EventTypes, name)
		}
	}
	return all, nil
}

func (e *Endpoint) holdOnce(text string) {
	for _, other := range e.Holds {
		if other == text {
			return
		}
	}
	e.hold(text)
}

// hasFilters reports whether event types of a subscription have filters of their own. Older
// servers do not know these.
func (c *convoy) hasFilters(ctx context.Context, id string) (bool, error) {
	if !safeID(id) {
		return false, nil
	}
	var response struct {
		Data []map[string]json.RawMessage `json:"data"`
	}
	err := c.get(ctx, "/subscriptions/"+url.PathEscape(id)+"/filters", nil, &response)
	if isStatus(err, http.StatusNotFound) {
		return false, nil
	}
	for _, filter := range response.Data {
		for _, part := range []string{"body", "headers", "path", "query"} {
			var rules map[string]any
			if json.Unmarshal(filter[part], &rules) == nil && len(rules) > 0 {
				return true, err
			}
		}
	}
	return false, err
}
