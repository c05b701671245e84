package httpapi

import (
	"cmp"
	"context"
	"time"

	"github.com/tidwall/gjson"
	"github.com/valyala/fasthttp"

	"hookwheel/wal"
	"hookwheel/webhook"
)

// endpointOut is an endpoint as the API shows it: never with its secret, with a password in its URL only to who may see secrets, and what
// has an old and a new name under both. From signatureStyle on the fields are ours; the SDKs pass over them.
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

// showEndpoint is an endpoint with what waits for it.
func (s *Server) showEndpoint(ctx *fasthttp.RequestCtx, e *webhook.Endpoint) (out endpointOut, err error) {
	backlogs, err := s.config.Store.Backlogs([]*webhook.Endpoint{e})
	if err != nil {
		return out, err
	}
	return s.showEndpointWith(ctx, e, &backlogs[0]), nil
}

// respondEndpoint answers with an endpoint.
func (s *Server) respondEndpoint(ctx *fasthttp.RequestCtx, status int, e *webhook.Endpoint) (answer, error) {
	out, err := s.showEndpoint(ctx, e)
	return answer{status, out}, err
}

func (s *Server) showEndpointWith(ctx *fasthttp.RequestCtx, e *webhook.Endpoint, backlog *wal.Backlog) endpointOut {
	out := endpointOut{ID: e.ID.Text(webhook.KindEndpoint), UID: optional(e.UID), URL: e.URL, Description: e.Description,
		RateLimit: optional(e.RateLimit), ThrottleRate: optional(e.RateLimit), Version: e.Version, Disabled: e.Disabled,
		EventTypes: e.EventTypes, FilterTypes: e.EventTypes, Channels: e.Channels, Metadata: e.Metadata,
		CreatedAt: e.CreatedAt, UpdatedAt: e.UpdatedAt,
		SignatureStyle: cmp.Or(string(e.Style), standardStyle), Envelope: e.Envelope, Ordering: optional(e.Ordering),
		OnExhausted: cmp.Or(string(e.OnExhausted), skipExhausted), TLSVerify: !e.InsecureTLS, Paused: e.Paused,
		Health: showHealth(e, s.config.Store.Standing(e.ID), backlog)}
	if !toChangeOwn.include(caller(ctx)) {
		out.URL = webhook.MaskURL(e.URL)
	}
	if out.Metadata == nil {
		out.Metadata = map[string]string{}
	}
	return out
}

// What the API calls the styles and choices that are kept as "".
const (
	standardStyle = "standard"
	skipExhausted = "skip"
)

// endpointIn is what a body says of an endpoint beside what stands in the endpoint itself.
type endpointIn struct {
	secret  *webhook.SigningKey
	headers webhook.Headers // nil: nothing is said
}

// parseEndpoint has e take over what the body says; the rest stays.
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
			e.URL = webhook.NormalURL(b.string(name, v))
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

// delivery reads what the Svix API does not have: how messages are sent. null is the default.
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

// writer is what the caller's changes go through.
func (s *Server) writer(ctx *fasthttp.RequestCtx) *wal.Writer {
	if who := caller(ctx); who.Role == webhook.RoleApplication {
		return s.config.Writer.Portal(who.FeatureFlags)
	}
	return s.config.Writer
}

func (s *Server) createEndpoint(ctx *fasthttp.RequestCtx) (answer, error) {
	app, err := s.applicationToWrite(ctx)
	if err != nil {
		return answer{}, err
	}
	hold, cancel := s.hold(ctx)
	defer cancel()
	made, err := s.makeEndpoint(hold, s.writer(ctx), app.ID, ctx.PostBody())
	if err != nil {
		return answer{}, err
	}
	return s.respondEndpoint(ctx, fasthttp.StatusCreated, made)
}

func (s *Server) makeEndpoint(hold context.Context, writer *wal.Writer, app webhook.ID, body []byte) (*webhook.Endpoint, error) {
	endpoint := webhook.Endpoint{App: app, Version: 1}
	in, err := parseEndpoint(body, &endpoint)
	if err != nil {
		return nil, err
	}
	if in.secret == nil {
		in.secret = new(newSigningKey())
	}
	endpoint.Keys = []webhook.Key{{Sealed: s.seal([]byte(in.secret.Text()))}}
	if len(in.headers) > 0 {
		if err := s.sealHeaders(&endpoint, in.headers); err != nil {
			return nil, err
		}
	}
	return writer.CreateEndpoint(hold, endpoint)
}

// putEndpoint replaces an endpoint, or makes one if there is none of that name. What the Svix API can't say stays as it is if the body
// does not speak of it: who replaces an endpoint with an SDK does not know of it.
func (s *Server) putEndpoint(ctx *fasthttp.RequestCtx) (answer, error) {
	return s.changeEndpoint(ctx, true, func(before webhook.Endpoint) webhook.Endpoint {
		before.UID, before.URL, before.Description, before.EventTypes, before.Channels = "", "", "", nil, nil
		before.RateLimit, before.Version, before.Disabled, before.Metadata = 0, 1, false, nil
		return before
	})
}

// patchEndpoint changes what the body names.
func (s *Server) patchEndpoint(ctx *fasthttp.RequestCtx) (answer, error) {
	return s.changeEndpoint(ctx, false, func(before webhook.Endpoint) webhook.Endpoint { return before })
}

// changeEndpoint reads the body over what base leaves of the endpoint that there is.
func (s *Server) changeEndpoint(ctx *fasthttp.RequestCtx, upsert bool, base func(webhook.Endpoint) webhook.Endpoint) (answer, error) {
	hold, cancel := s.hold(ctx)
	defer cancel()
	status := fasthttp.StatusOK
	made, err := changeThing(ctx, s, hold, func() (*webhook.Endpoint, error) {
		app, err := s.application(ctx)
		if err != nil {
			return nil, err
		}
		before, err := s.config.Store.Endpoint(app.ID, pathValue(ctx, "endpoint"))
		if err != nil && upsert && webhook.ErrorCode(err) == webhook.CodeNotFound {
			status = fasthttp.StatusCreated
			return s.makeEndpoint(hold, s.writer(ctx), app.ID, ctx.PostBody())
		}
		if err != nil {
			return nil, err
		}
		endpoint := base(*before)
		in, err := parseEndpoint(ctx.PostBody(), &endpoint)
		if err != nil {
			return nil, err
		}
		if err := s.keysFit(&endpoint); err != nil {
			return nil, err
		}
		if in.headers != nil {
			if err := s.sealHeaders(&endpoint, in.headers); err != nil {
				return nil, err
			}
		}
		return s.writer(ctx).UpdateEndpoint(hold, endpoint)
	})
	if err != nil {
		return answer{}, err
	}
	return s.respondEndpoint(ctx, status, made)
}

func (s *Server) getEndpoint(ctx *fasthttp.RequestCtx) (answer, error) {
	endpoint, err := s.endpoint(ctx)
	if err != nil {
		return answer{}, err
	}
	return s.respondEndpoint(ctx, fasthttp.StatusOK, endpoint)
}

func (s *Server) deleteEndpoint(ctx *fasthttp.RequestCtx) (answer, error) {
	endpoint, err := s.endpoint(ctx)
	if err != nil {
		return answer{}, err
	}
	hold, cancel := s.hold(ctx)
	defer cancel()
	if err := s.config.Writer.DeleteEndpoint(hold, endpoint.App, endpoint.ID); err != nil {
		return answer{}, err
	}
	return answer{status: fasthttp.StatusNoContent}, nil
}

func (s *Server) listEndpoints(ctx *fasthttp.RequestCtx) (answer, error) {
	ascending, err := parseOrder(ctx.QueryArgs(), false)
	if err != nil {
		return answer{}, err
	}
	l, err := parseListing(ctx.QueryArgs(), webhook.KindEndpoint, ascending)
	if err != nil {
		return answer{}, err
	}
	app, err := s.application(ctx)
	if err != nil {
		return answer{}, err
	}
	list, more := s.config.Store.Endpoints(app.ID, l.Page)
	backlogs, err := s.config.Store.Backlogs(list)
	if err != nil {
		return answer{}, err
	}
	waits := make(map[webhook.ID]*wal.Backlog, len(list))
	for i, e := range list {
		waits[e.ID] = &backlogs[i]
	}
	return respond(l, list, more, func(e **webhook.Endpoint) webhook.ID { return (*e).ID },
		func(e **webhook.Endpoint) endpointOut { return s.showEndpointWith(ctx, *e, waits[(*e).ID]) })
}

// endpoint is the one that the path names, as of now.
func (s *Server) endpoint(ctx *fasthttp.RequestCtx) (*webhook.Endpoint, error) {
	app, err := s.application(ctx)
	if err != nil {
		return nil, err
	}
	return s.config.Store.Endpoint(app.ID, pathValue(ctx, "endpoint"))
}
