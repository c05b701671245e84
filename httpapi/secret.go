package httpapi

import (
	"crypto/rand"
	"fmt"
	"math"
	"time"

	"github.com/tidwall/gjson"
	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

const (
	secretBytes  = 24 // how long the secrets are that we make
	defaultGrace = 24 * time.Hour
	maxGrace     = 7 * 24 * time.Hour
)

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

// keysFit checks that an endpoint's style can sign with the keys that the endpoint has.
func (s *Server) keysFit(e *webhook.Endpoint) error {
	for _, key := range e.Keys {
		text, err := s.config.Keyring.Open(key.Sealed)
		if err != nil {
			return err
		}
		signing, err := webhook.ParseSigningKey(string(text))
		if err != nil {
			return err
		}
		if signing.Fits(e.Style) != nil {
			return webhook.Invalid("signatureStyle", "cannot be standard while the endpoint signs with a secret that does not begin with whsec_: rotate it first")
		}
	}
	return nil
}

func (s *Server) getSecret(ctx *fasthttp.RequestCtx) (answer, error) {
	endpoint, err := s.endpoint(ctx)
	if err != nil {
		return answer{}, err
	}
	return s.showSecret(ctx, endpoint)
}

// showSecret is what the receiver verifies with at present.
func (s *Server) showSecret(ctx *fasthttp.RequestCtx, endpoint *webhook.Endpoint) (answer, error) {
	text, err := s.config.Keyring.Open(endpoint.Keys[0].Sealed)
	if err != nil {
		return answer{}, err
	}
	key, err := webhook.ParseSigningKey(string(text))
	if err != nil {
		return answer{}, err
	}
	s.audit.note(ctx, auditSecretRead, "endpoint", endpoint.ID.Text(webhook.KindEndpoint))
	return answer{fasthttp.StatusOK, struct {
		Key string `json:"key"`
	}{key.PublicText()}}, nil
}

// rotateSecret gives an endpoint another key. The one before goes on signing beside it for the time of grace. It answers with the
// key, as SDKs from version 2 on expect; older ones do not look at the answer.
func (s *Server) rotateSecret(ctx *fasthttp.RequestCtx) (answer, error) {
	key, grace, err := parseRotation(ctx.PostBody())
	if err != nil {
		return answer{}, err
	}
	if key == nil {
		key = new(newSigningKey())
	}
	made, err := s.edit(ctx, func(e *webhook.Endpoint) (err error) {
		if err := key.Fits(e.Style); err != nil {
			return webhook.Invalid("key", err.(*webhook.Error).Detail)
		}
		e.Keys, err = rotate(e.Keys, webhook.Key{Sealed: s.seal([]byte(key.Text()))}, grace, time.Now())
		return err
	})
	if err != nil {
		return answer{}, err
	}
	return s.showSecret(ctx, made)
}

func parseRotation(text []byte) (key *webhook.SigningKey, grace time.Duration, err error) {
	grace = defaultGrace
	b, err := parseOptionalBody(text)
	if err != nil {
		return nil, 0, err
	}
	b.each(func(name string, v gjson.Result) {
		switch {
		case name == "key":
			key = b.signingKey(name, v)
		case name == "gracePeriodSeconds" && !isNull(v):
			if v.Type != gjson.Number || v.Num < 0 || v.Num > maxGrace.Seconds() || v.Num != math.Trunc(v.Num) {
				b.fail(name, fmt.Sprintf("must be a whole number from 0 to %.0f", maxGrace.Seconds()))
				return
			}
			grace = time.Duration(v.Num) * time.Second
		}
	})
	return key, grace, b.err()
}

// rotate puts a key before those that there are, and drops those whose time is over.
func rotate(keys []webhook.Key, first webhook.Key, grace time.Duration, now time.Time) ([]webhook.Key, error) {
	rotated := []webhook.Key{first}
	for i, old := range keys {
		if i == 0 {
			old.Expires = now.Add(grace).UTC().Truncate(time.Millisecond)
		}
		if old.Expires.After(now) {
			rotated = append(rotated, old)
		}
	}
	if len(rotated) > webhook.MaxKeys {
		return nil, &webhook.Error{Code: webhook.CodeLimit, Detail: fmt.Sprintf(
			"%d older keys are still signing: wait until one expires, or rotate with a gracePeriodSeconds of 0 to drop the present one at once", webhook.MaxKeys-1)}
	}
	return rotated, nil
}

// editEndpoint changes an endpoint in a way that is answered with nothing.
func (s *Server) editEndpoint(ctx *fasthttp.RequestCtx, edit func(*webhook.Endpoint) error) (answer, error) {
	if _, err := s.edit(ctx, edit); err != nil {
		return answer{}, err
	}
	return answer{status: fasthttp.StatusNoContent}, nil
}

// edit changes an endpoint.
func (s *Server) edit(ctx *fasthttp.RequestCtx, edit func(*webhook.Endpoint) error) (*webhook.Endpoint, error) {
	hold, cancel := s.hold(ctx)
	defer cancel()
	return changeThing(ctx, s, hold, func() (*webhook.Endpoint, error) {
		before, err := s.endpoint(ctx)
		if err != nil {
			return nil, err
		}
		endpoint := *before
		if err := edit(&endpoint); err != nil {
			return nil, err
		}
		return s.config.Writer.UpdateEndpoint(hold, endpoint)
	})
}
