package httpapi

import (
	"cmp"
	"time"

	"github.com/tidwall/gjson"
	"github.com/valyala/fasthttp"

	"hookwheel/wal"
	"hookwheel/webhook"
)

// endpointOut is an endpoint in responses, without its secret, and with both names of renamed
// fields. A password in its URL is shown only to callers who may see secrets. The fields from
// signatureStyle on are additions that the SDKs ignore.
type endpointOut struct {
	ID             string            `json:"id"`
	UID            *string           `json:"uid"`
	URL            string            `json:"url"`
	Description    string            `json:"description"`
	RateLimit      *uint16           `json:"rateLimit"`
	ThrottleRate   *uint16           `json:"throttleRate"`
	Version        uint16            `json:"version"`
	Disabled       bool              `json:"disabled"`
	EventTypes     []string          `json:"eventTypes"`
	FilterTypes    []string          `json:"filterTypes"`
	Channels       []string          `json:"channels"`
	Metadata       map[string]string `json:"metadata"`
	CreatedAt      time.Time         `json:"createdAt"`
	UpdatedAt      time.Time         `json:"updatedAt"`
	SignatureStyle string            `json:"signatureStyle"`
	Envelope       bool              `json:"envelope"`
	Ordering       *webhook.Ordering `json:"ordering"`
	OnExhausted    string            `json:"onExhausted"`
	TLSVerify      bool              `json:"tlsVerify"`
	Paused         bool              `json:"paused"`
	Health         healthOut         `json:"health"`
}

// showEndpoint returns an endpoint with its backlog.
func showEndpoint(r *request, e *webhook.Endpoint) (out endpointOut, err error) {
	backlogs, err := r.store().Deliveries().Backlogs([]*webhook.Endpoint{e})
	if err != nil {
		return out, err
	}
	return showEndpointWith(r, e, &backlogs[0]), nil
}

// respondEndpoint responds with an endpoint.
func respondEndpoint(r *request, status int, e *webhook.Endpoint) (*response, error) {
	out, err := showEndpoint(r, e)
	if err != nil {
		return nil, err
	}
	return tagged(r, status, tagOfEndpoint(e), out), nil
}

func showEndpointWith(r *request, e *webhook.Endpoint, backlog *wal.Backlog) endpointOut {
	out := endpointOut{ID: e.ID.Text(webhook.KindEndpoint), UID: optional(e.UID), URL: e.URL, Description: e.Description,
		RateLimit: optional(e.RateLimit), ThrottleRate: optional(e.RateLimit), Version: e.Version, Disabled: e.Disabled,
		EventTypes: e.EventTypes, FilterTypes: e.EventTypes, Channels: e.Channels, Metadata: e.Metadata,
		CreatedAt: e.CreatedAt, UpdatedAt: e.UpdatedAt,
		SignatureStyle: cmp.Or(string(e.Style), standardStyle), Envelope: e.Envelope, Ordering: optional(e.Ordering),
		OnExhausted: cmp.Or(string(e.OnExhausted), skipExhausted), TLSVerify: !e.InsecureTLS, Paused: e.Paused,
		Health: showHealth(r.store().EndpointStatus(e), backlog)}
	if !mayChangeOwn.include(r.caller) {
		out.URL = webhook.MaskURL(e.URL)
	}
	if out.Metadata == nil {
		out.Metadata = map[string]string{}
	}
	return out
}

// How the API names what is stored as "".
const (
	standardStyle = "standard"
	skipExhausted = "skip"
)

// endpointIn has what a body may have beyond the fields of an endpoint.
type endpointIn struct {
	secret  *webhook.SigningKey
	headers webhook.Headers // nil: not given
}

// parseEndpoint sets the fields of e that the body has.
func parseEndpoint(text []byte, e *webhook.Endpoint) (in endpointIn, err error) {
	b, err := parseBody(text)
	if err != nil {
		return in, err
	}
	var rate renamed[uint16]
	var eventTypes renamed[[]string]
	b.each(func(name string, v gjson.Result) {
		switch name {
		case "url":
			e.URL = b.string(name, v)
		case "uid":
			e.UID = b.optionalString(name, v)
		case "description":
			e.Description = b.string(name, v)
		case "rateLimit":
			rate.old = new(b.positive(name, v))
		case "throttleRate":
			rate.current = new(b.positive(name, v))
		case "version":
			e.Version = max(b.positive(name, v), 1)
		case "disabled":
			e.Disabled = b.bool(name, v)
		case "eventTypes":
			eventTypes.current = new(b.strings(name, v))
		case "filterTypes":
			eventTypes.old = new(b.strings(name, v))
		case "channels":
			e.Channels = b.strings(name, v)
		case "secret":
			in.secret = b.signingKey(name, v)
		case "headers":
			in.headers = b.stringMap(name, v)
		case "metadata":
			e.Metadata = b.stringMap(name, v)
		default:
			b.delivery(name, v, e)
		}
	})
	rate.set(&e.RateLimit, noRate)
	eventTypes.set(&e.EventTypes, noList)
	if err := b.err(); err != nil {
		return in, err
	}
	e.URL = webhook.NormalURL(e.URL)
	if err := e.Validate(); err != nil {
		return in, err
	}
	if in.secret != nil {
		if err := in.secret.Fits(e.Style); err != nil {
			return in, err
		}
	}
	return in, in.headers.Validate()
}

// delivery reads the fields that the Svix API does not have. null is the default.
func (b *body) delivery(name string, v gjson.Result, e *webhook.Endpoint) {
	switch name {
	case "signatureStyle":
		e.Style = webhook.SignatureStyle(b.optionalString(name, v))
		if e.Style == standardStyle {
			e.Style = webhook.StyleStandard
		}
	case "envelope":
		e.Envelope = !isNull(v) && b.bool(name, v)
	case "ordering":
		e.Ordering = webhook.Ordering(b.optionalString(name, v))
	case "onExhausted":
		e.OnExhausted = webhook.OnExhausted(b.optionalString(name, v))
		if e.OnExhausted == skipExhausted {
			e.OnExhausted = webhook.OnExhaustedSkip
		}
	case "tlsVerify":
		e.InsecureTLS = !isNull(v) && !b.bool(name, v)
	}
}

func createEndpoint(r *request) (*response, error) {
	app, err := r.named().applicationByName(r.path("app"))
	if err != nil {
		return nil, err
	}
	made, err := makeEndpoint(r, app.ID)
	if err != nil {
		return nil, err
	}
	return respondEndpoint(r, fasthttp.StatusCreated, made)
}

func makeEndpoint(r *request, app webhook.ID) (*webhook.Endpoint, error) {
	draft, err := draftEndpoint(r, app)
	if err != nil {
		return nil, err
	}
	return r.callerWriter().CreateEndpoint(r.context(), *draft)
}

// draftEndpoint returns the endpoint that the body describes.
func draftEndpoint(r *request, app webhook.ID) (*webhook.Endpoint, error) {
	endpoint := webhook.Endpoint{App: app, Version: 1}
	in, err := parseEndpoint(r.body(), &endpoint)
	if err != nil {
		return nil, err
	}
	if in.secret == nil {
		in.secret = new(newSigningKey())
	}
	endpoint.Keys = []webhook.Key{{Sealed: r.server.sealer.seal([]byte(in.secret.Text()))}}
	if len(in.headers) > 0 {
		if err := r.server.sealer.sealHeaders(&endpoint, in.headers); err != nil {
			return nil, err
		}
	}
	return &endpoint, nil
}

// putEndpoint replaces or creates an endpoint. Fields that the Svix API does not have stay
// unchanged unless the body has them, as its SDKs do not know them.
func putEndpoint(r *request) (*response, error) {
	return changeEndpoint(r, true, func(before webhook.Endpoint) webhook.Endpoint {
		before.UID, before.URL, before.Description, before.EventTypes, before.Channels = "", "", "", nil, nil
		before.RateLimit, before.Version, before.Disabled, before.Metadata = 0, 1, false, nil
		return before
	})
}

// patchEndpoint changes the fields that the body has.
func patchEndpoint(r *request) (*response, error) {
	return changeEndpoint(r, false, func(before webhook.Endpoint) webhook.Endpoint { return before })
}

// changeEndpoint sets the fields that the body has in what base returns for the existing endpoint.
func changeEndpoint(r *request, upsert bool, base func(webhook.Endpoint) webhook.Endpoint) (*response, error) {
	status := fasthttp.StatusOK
	made, err := update(r, func() (*webhook.Endpoint, error) {
		app, err := r.named().application()
		if err != nil {
			return nil, err
		}
		before, err := r.store().Endpoint(app.ID, r.path("endpoint"))
		if err != nil && upsert && webhook.ErrorCode(err) == webhook.CodeNotFound {
			if err := checkMatch(r, ""); err != nil {
				return nil, err
			}
			status = fasthttp.StatusCreated
			return makeEndpoint(r, app.ID)
		}
		if err != nil {
			return nil, err
		}
		if err := checkMatch(r, tagOfEndpoint(before)); err != nil {
			return nil, err
		}
		endpoint := base(*before)
		in, err := parseEndpoint(r.body(), &endpoint)
		if err != nil {
			return nil, err
		}
		if err := r.server.sealer.keysFit(&endpoint); err != nil {
			return nil, err
		}
		if in.headers != nil {
			if err := r.server.sealer.sealHeaders(&endpoint, in.headers); err != nil {
				return nil, err
			}
		}
		return r.callerWriter().UpdateEndpoint(r.context(), endpoint)
	})
	if err != nil {
		return nil, err
	}
	return respondEndpoint(r, status, made)
}

// updateEndpoint changes the endpoint that the path names.
func updateEndpoint(r *request, change func(*webhook.Endpoint) error) (*webhook.Endpoint, error) {
	return update(r, func() (*webhook.Endpoint, error) {
		before, err := r.named().endpoint()
		if err != nil {
			return nil, err
		}
		endpoint := *before
		if err := change(&endpoint); err != nil {
			return nil, err
		}
		return r.writer().UpdateEndpoint(r.context(), endpoint)
	})
}

func getEndpoint(r *request) (*response, error) {
	endpoint, err := r.named().endpoint()
	if err != nil {
		return nil, err
	}
	return respondEndpoint(r, fasthttp.StatusOK, endpoint)
}

func deleteEndpoint(r *request) (*response, error) {
	endpoint, err := r.named().endpoint()
	if err != nil {
		return nil, err
	}
	if err := r.writer().DeleteEndpoint(r.context(), endpoint.App, endpoint.ID); err != nil {
		return nil, err
	}
	return noContent(), nil
}

func listEndpoints(r *request) (*response, error) {
	q := r.query()
	l := q.listing(webhook.KindEndpoint, q.ascending(false))
	if q.err != nil {
		return nil, q.err
	}
	app, err := r.named().application()
	if err != nil {
		return nil, err
	}
	list, more := r.store().Endpoints(app.ID, l.Page)
	backlogs, err := r.store().Deliveries().Backlogs(list)
	if err != nil {
		return nil, err
	}
	waits := make(map[webhook.ID]*wal.Backlog, len(list))
	for i, e := range list {
		waits[e.ID] = &backlogs[i]
	}
	return respondPage(l, list, more, func(e **webhook.Endpoint) webhook.ID { return (*e).ID },
		func(e **webhook.Endpoint) endpointOut { return showEndpointWith(r, *e, waits[(*e).ID]) })
}
