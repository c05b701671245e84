package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"hookwheel/webhook"
)

// outpost reads Hookdeck's Outpost: tenants are applications, webhook destinations are endpoints,
// topics are event types.
type outpost struct {
	*service
	tenants []string // to copy; empty: all
	topics  []string // that the instance offers
	mode    string   // how webhooks are signed: default or standard; empty: unknown
}

// NewOutpost returns a source that reads the Outpost API at a URL. If tenants is not empty, only
// these are copied.
func NewOutpost(base, token string, tenants []string, say func(string)) (Source, error) {
	prefix := "/api/v1"
	if u, err := url.Parse(base); err == nil && strings.Trim(u.Path, "/") != "" && strings.Contains(base, "://") {
		prefix = "" // in the cloud it is a date
	}
	s, err := newService(base, prefix, token, say)
	if err != nil {
		return nil, err
	}
	return &outpost{service: s, tenants: tenants}, nil
}

func (o *outpost) EventTypes(ctx context.Context) iter.Seq2[*EventType, error] {
	return func(yield func(*EventType, error) bool) {
		if err := o.readMode(ctx); err != nil {
			yield(nil, err)
			return
		}
		if err := o.get(ctx, "/topics", nil, &o.topics); err != nil {
			yield(nil, err)
			return
		}
		for _, topic := range o.topics {
			if !yield(&EventType{Origin: Origin{ID: topic}, Settings: webhook.EventType{Name: topic}}, nil) {
				return
			}
		}
	}
}

// readMode asks how webhooks are signed, which only the cloud tells.
func (o *outpost) readMode(ctx context.Context) error {
	var config struct {
		Mode string `json:"DESTINATIONS_WEBHOOK_MODE"`
	}
	err := o.get(ctx, "/config", nil, &config)
	if isStatus(err, http.StatusNotFound) || isStatus(err, http.StatusForbidden) || isStatus(err, http.StatusMethodNotAllowed) || isStatus(err, http.StatusNotImplemented) {
		return nil
	}
	o.mode = config.Mode
	return err
}

// outpostPage is a page of tenants.
type outpostPage struct {
	Models     []json.RawMessage `json:"models"`
	Pagination struct {
		Next *string `json:"next"`
	} `json:"pagination"`
}

func (o *outpost) Applications(ctx context.Context) iter.Seq2[*Application, error] {
	if len(o.tenants) > 0 {
		return o.chosen(ctx, o.tenants, "/tenants/", readTenant)
	}
	pages := list(ctx, o.service, "/tenants", url.Values{"limit": {strconv.Itoa(pageSize)}, "dir": {"asc"}}, "next", func(in *outpostPage) (page, error) {
		if in.Models == nil {
			return page{}, errors.New("/tenants: the source's response has no models: is this the API of Outpost?")
		}
		return page{items: in.Models, cursor: text(in.Pagination.Next), more: text(in.Pagination.Next) != ""}, nil
	})
	return func(yield func(*Application, error) bool) {
		for a, err := range each(pages, readTenant) {
			if isStatus(err, http.StatusNotImplemented) {
				err = fmt.Errorf("%w: this Outpost can't list its tenants; name them with --app", err)
			}
			if !yield(a, err) {
				return
			}
		}
	}
}

func readTenant(item json.RawMessage) *Application {
	var in struct {
		ID       string            `json:"id"`
		Metadata map[string]string `json:"metadata"`
	}
	a := new(Application)
	if err := json.Unmarshal(item, &in); err != nil {
		a.ID, a.Fault = nameIn(item, "id"), notUnderstood(err)
		return a
	}
	a.ID = in.ID
	a.Settings = webhook.Application{UID: newUID(validApplicationUID, in.ID, ""), Name: in.ID, Metadata: in.Metadata}
	if name := in.Metadata["name"]; name != "" {
		a.Settings.Name = name
	}
	if in.ID == "" || in.ID == "." || in.ID == ".." {
		a.Fault = "it has no usable id"
	} else if a.Settings.UID != in.ID {
		a.note(fmt.Sprintf("the id %q can't be a uid here; it is %s now", short(in.ID), a.Settings.UID))
	}
	return a
}

// destination is a destination of Outpost.
type destination struct {
	ID         string          `json:"id"`
	Type       string          `json:"type"`
	Topics     json.RawMessage `json:"topics"`
	Filter     map[string]any  `json:"filter"`
	DisabledAt *string         `json:"disabled_at"`
	Config     struct {
		URL     string `json:"url"`
		Headers string `json:"custom_headers"`
	} `json:"config"`
	Credentials struct {
		Secret string `json:"secret"`
	} `json:"credentials"`
	DeliveryMetadata map[string]string `json:"delivery_metadata"`
	Metadata         map[string]string `json:"metadata"`
}

func (o *outpost) Endpoints(ctx context.Context, app *Application) iter.Seq2[*Endpoint, error] {
	return func(yield func(*Endpoint, error) bool) {
		var items []json.RawMessage // Outpost does not page them
		if err := o.get(ctx, "/tenants/"+url.PathEscape(app.ID)+"/destinations", nil, &items); err != nil {
			yield(nil, err)
			return
		}
		for _, item := range items {
			if !yield(o.readDestination(item), nil) {
				return
			}
		}
	}
}

func (o *outpost) readDestination(item json.RawMessage) *Endpoint {
	e := new(Endpoint)
	var kind struct {
		ID   string `json:"id"`
		Type string `json:"type"`
	}
	if err := json.Unmarshal(item, &kind); err == nil && kind.Type != "webhook" {
		e.ID, e.Fault = kind.ID, fmt.Sprintf("its type is %q, and Hookwheel sends webhooks only", short(kind.Type))
		return e
	}
	var in destination
	if err := json.Unmarshal(item, &in); err != nil {
		e.ID, e.Fault = nameIn(item, "id"), notUnderstood(err)
		return e
	}
	e.ID, e.Secret = in.ID, in.Credentials.Secret
	e.Settings = webhook.Endpoint{UID: newUID(validEndpointUID, in.ID, ""), URL: in.Config.URL, Disabled: in.DisabledAt != nil, Metadata: in.Metadata}
	if in.ID == "" {
		e.Fault = "it has no id"
	}
	if err := o.chooseTopics(e, in.Topics); err != nil {
		e.Fault = err.Error()
	}
	if in.Config.Headers != "" && json.Unmarshal([]byte(in.Config.Headers), &e.Headers) != nil {
		e.Fault = "its custom_headers are not JSON"
	}
	if len(in.Filter) > 0 {
		e.hold("it has a filter on the payload, which Hookwheel does not have: it would receive more")
	}
	if len(in.DeliveryMetadata) > 0 {
		e.hold("its delivery_metadata is not sent")
	}
	o.chooseSignature(e)
	return e
}

// chooseTopics turns a list of topics, which may be patterns, into event types.
func (o *outpost) chooseTopics(e *Endpoint, raw json.RawMessage) error {
	var topics []string
	var one string
	if json.Unmarshal(raw, &one) == nil && one != "" {
		topics = []string{one}
	} else if err := json.Unmarshal(raw, &topics); err != nil {
		return errors.New("its topics can't be understood")
	}
	if slices.Contains(topics, "*") {
		return nil
	}
	if len(topics) == 0 {
		e.hold("it has no topics, so it received nothing")
	}
	for _, topic := range topics {
		if !strings.Contains(topic, "*") {
			e.Settings.EventTypes = append(e.Settings.EventTypes, topic)
			continue
		}
		found := false
		for _, known := range o.topics {
			if matches, err := path.Match(topicPattern(topic), known); err == nil && matches {
				e.Settings.EventTypes, found = append(e.Settings.EventTypes, known), true
			}
		}
		if !found {
			return fmt.Errorf("its topic %q matches none that Outpost lists", short(topic))
		}
		e.note(fmt.Sprintf("the pattern %q is replaced by the topics that match it now", short(topic)))
	}
	return nil
}

// topicPattern returns a pattern of package path in which only the star is special.
func topicPattern(topic string) string {
	return strings.NewReplacer("?", `\?`, "[", `\[`, `\`, `\\`).Replace(topic)
}

// outpostSecret is what Outpost generates in its default mode.
var outpostSecret = regexp.MustCompile(`^whsec_[0-9a-f]{64}$`)

// chooseSignature has an endpoint of the default mode signed in the style that is closest to it.
func (o *outpost) chooseSignature(e *Endpoint) {
	_, err := webhook.ParseSecret(e.Secret)
	if o.mode == "standard" || o.mode == "" && err == nil && !outpostSecret.MatchString(e.Secret) {
		return
	}
	e.Settings.Style = webhook.StyleHex
	e.hold("its receiver verifies a header of Outpost such as X-Outpost-Signature, while Hookwheel sends the same HMAC, under the same secret, in X-Webhook-Signature")
}
