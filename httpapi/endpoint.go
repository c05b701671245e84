package httpapi

import (
	"crypto/rand"
	"time"

	"github.com/tidwall/gjson"
	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

// secretBytes is how long the secrets are that we make.
const secretBytes = 24

// endpointOut is an endpoint as the API shows it: never with its secret, and what has an old and a new name under both.
type endpointOut struct {
	ID           string            `json:"id"`
	UID          *string           `json:"uid"`
	URL          string            `json:"url"`
	Description  string            `json:"description"`
	RateLimit    *uint16           `json:"rateLimit"`
	ThrottleRate *uint16           `json:"throttleRate"`
	Version      uint16            `json:"version"`
	Disabled     bool              `json:"disabled"`
	EventTypes   []string          `json:"eventTypes"`
	FilterTypes  []string          `json:"filterTypes"`
	Channels     []string          `json:"channels"`
	Metadata     map[string]string `json:"metadata"`
	CreatedAt    time.Time         `json:"createdAt"`
	UpdatedAt    time.Time         `json:"updatedAt"`
}

func showEndpoint(e *webhook.Endpoint) endpointOut {
	out := endpointOut{ID: e.ID.Text(webhook.KindEndpoint), UID: optional(e.UID), URL: e.URL, Description: e.Description,
		RateLimit: optional(e.RateLimit), ThrottleRate: optional(e.RateLimit), Version: e.Version, Disabled: e.Disabled,
		EventTypes: e.EventTypes, FilterTypes: e.EventTypes, Channels: e.Channels, Metadata: e.Metadata,
		CreatedAt: e.CreatedAt, UpdatedAt: e.UpdatedAt}
	if out.Metadata == nil {
		out.Metadata = map[string]string{}
	}
	return out
}

// parseEndpoint reads an endpoint, and its secret if there is one.
func parseEndpoint(text []byte) (e webhook.Endpoint, secret *webhook.SigningKey, err error) {
	b, err := parseBody(text)
	if err != nil {
		return e, nil, err
	}
	e.Version = 1
	var throttle uint16
	var filterTypes []string
	b.each(func(name string, v gjson.Result) {
		switch name {
		case "url":
			e.URL = webhook.NormalURL(b.string(name, v))
		case "uid":
			e.UID = b.optionalString(name, v)
		case "description":
			e.Description = b.string(name, v)
		case "rateLimit":
			e.RateLimit = b.positive(name, v)
		case "throttleRate":
			throttle = b.positive(name, v)
		case "version":
			e.Version = b.positive(name, v)
		case "disabled":
			e.Disabled = b.bool(name, v)
		case "eventTypes":
			e.EventTypes = b.strings(name, v)
		case "filterTypes":
			filterTypes = b.strings(name, v)
		case "channels":
			e.Channels = b.strings(name, v)
		case "secret":
			secret = b.signingKey(name, v)
		case "metadata":
			e.Metadata = b.stringMap(name, v)
		}
	})
	if throttle != 0 {
		e.RateLimit = throttle
	}
	if len(e.EventTypes) == 0 {
		e.EventTypes = filterTypes
	}
	if err := b.err(); err != nil {
		return e, nil, err
	}
	return e, secret, e.Validate()
}

// signingKey reads a signing key; null is none.
func (b *body) signingKey(field string, v gjson.Result) *webhook.SigningKey {
	if isNull(v) {
		return nil
	}
	key, err := webhook.ParseSigningKey(b.string(field, v))
	if err != nil {
		b.fail(field, err.(*webhook.Error).Detail)
		return nil
	}
	return &key
}

// newSigningKey makes one.
func newSigningKey() webhook.SigningKey {
	secret := make(webhook.Secret, secretBytes)
	rand.Read(secret) // never fails
	return webhook.SymmetricKey(secret)
}

// seal makes a secret fit to be replicated.
func (s *Server) seal(plain []byte) webhook.Sealed {
	nonce := make([]byte, webhook.SealNonceSize)
	rand.Read(nonce) // never fails
	return s.config.Keyring.Seal(plain, nonce)
}

func (s *Server) createEndpoint(ctx *fasthttp.RequestCtx) (answer, error) {
	app, err := s.applicationToWrite(ctx)
	if err != nil {
		return answer{}, err
	}
	endpoint, secret, err := parseEndpoint(ctx.PostBody())
	if err != nil {
		return answer{}, err
	}
	if secret == nil {
		secret = new(newSigningKey())
	}
	endpoint.App, endpoint.Keys = app.ID, []webhook.Key{{Sealed: s.seal([]byte(secret.Text()))}}
	hold, cancel := s.hold(ctx)
	defer cancel()
	made, err := s.config.Writer.CreateEndpoint(hold, endpoint)
	if err != nil {
		return answer{}, err
	}
	return answer{fasthttp.StatusCreated, showEndpoint(made)}, nil
}

func (s *Server) getEndpoint(ctx *fasthttp.RequestCtx) (answer, error) {
	endpoint, err := s.endpoint(ctx)
	if err != nil {
		return answer{}, err
	}
	return answer{fasthttp.StatusOK, showEndpoint(endpoint)}, nil
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

func (s *Server) getSecret(ctx *fasthttp.RequestCtx) (answer, error) {
	endpoint, err := s.endpoint(ctx)
	if err != nil {
		return answer{}, err
	}
	text, err := s.config.Keyring.Open(endpoint.Keys[0].Sealed)
	if err != nil {
		return answer{}, err
	}
	key, err := webhook.ParseSigningKey(string(text))
	if err != nil {
		return answer{}, err
	}
	return answer{fasthttp.StatusOK, struct {
		Key string `json:"key"`
	}{key.PublicText()}}, nil
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
	return respond(l, list, more, func(e **webhook.Endpoint) webhook.ID { return (*e).ID },
		func(e **webhook.Endpoint) endpointOut { return showEndpoint(*e) }), nil
}

// endpoint is the one that the path names, as of now.
func (s *Server) endpoint(ctx *fasthttp.RequestCtx) (*webhook.Endpoint, error) {
	app, err := s.application(ctx)
	if err != nil {
		return nil, err
	}
	return s.config.Store.Endpoint(app.ID, pathValue(ctx, "endpoint"))
}
