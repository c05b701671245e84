package httpapi

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/tidwall/gjson"
	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

const tokenBytes = 32 // of randomness in a token

// keyOut is an API key as the API shows it; its token only in the answer to its creation.
type keyOut struct {
	ID            string       `json:"id,omitempty"`
	Name          string       `json:"name"`
	Role          webhook.Role `json:"role"`
	ApplicationID *string      `json:"applicationId"`
	FeatureFlags  []string     `json:"featureFlags"`
	ReadOnly      bool         `json:"readOnly"`
	CreatedAt     *time.Time   `json:"createdAt"`
	ExpiresAt     *time.Time   `json:"expiresAt"`
	LastUsed      *time.Time   `json:"lastUsed"` // exact to a minute or two
	Token         string       `json:"token,omitempty"`
}

func showKey(key *webhook.APIKey) keyOut {
	out := keyOut{Name: key.Name, Role: key.Role, FeatureFlags: key.FeatureFlags, ReadOnly: key.ReadOnly,
		CreatedAt: optional(key.CreatedAt), ExpiresAt: optional(key.ExpiresAt), LastUsed: optional(key.LastUsed)}
	if !key.ID.IsZero() {
		out.ID = key.ID.Text(webhook.KindAPIKey)
	}
	if !key.App.IsZero() {
		out.ApplicationID = new(key.App.Text(webhook.KindApplication))
	}
	if out.FeatureFlags == nil {
		out.FeatureFlags = []string{}
	}
	return out
}

// newSecret is random; with an idempotency key it is made from that, so that a repetition is answered with the same token, of
// which only a hash is kept. Nobody can guess it who does not know the token of the configuration.
func (s *Server) newSecret(ctx *fasthttp.RequestCtx) (string, error) {
	secret := make([]byte, tokenBytes)
	if once := onceOf(ctx); once != nil {
		var err error
		if secret, err = hkdf.Key(sha256.New, []byte(s.config.Token), once.Key[:], "hookwheel token", tokenBytes); err != nil {
			return "", fmt.Errorf("making a token: %w", err)
		}
	} else {
		rand.Read(secret) // never fails
	}
	return base64.RawURLEncoding.EncodeToString(secret), nil
}

var errShown = &webhook.Error{Code: webhook.CodeConflict,
	Detail: "This request was answered before, with a token that is not kept and can't be shown again. Make another key."}

// makeKey keeps a key and returns it with its token.
func (s *Server) makeKey(ctx *fasthttp.RequestCtx, key webhook.APIKey) (*webhook.APIKey, string, error) {
	secret, err := s.newSecret(ctx)
	if err != nil {
		return nil, "", err
	}
	key.Hash = webhook.HashToken(secret)
	hold, cancel := s.hold(ctx)
	defer cancel()
	made, err := s.config.Writer.CreateKey(hold, key)
	if err != nil {
		return nil, "", err
	}
	if string(made.Hash) != string(key.Hash) { // another node with another token in its configuration has answered the first time
		return nil, "", errShown
	}
	s.audit.note(ctx, auditKeyMade, "key", made.ID.Text(webhook.KindAPIKey), "role", string(made.Role))
	return made, made.Token(secret), nil
}

// createKey takes {name, role, applicationId?, featureFlags?, readOnly?, expiry? in seconds}.
func (s *Server) createKey(ctx *fasthttp.RequestCtx) (answer, error) {
	b, err := parseBody(ctx.PostBody())
	if err != nil {
		return answer{}, err
	}
	var key webhook.APIKey
	var app string
	b.each(func(name string, v gjson.Result) {
		switch name {
		case "name":
			key.Name = b.string(name, v)
		case "role":
			key.Role = webhook.Role(b.string(name, v))
		case "applicationId":
			app = b.optionalString(name, v)
		case "featureFlags":
			key.FeatureFlags = b.strings(name, v)
		case "readOnly":
			key.ReadOnly = b.bool(name, v)
		case "expiry":
			key.ExpiresAt = expiresIn(b.between(name, v, 60, 10*365*24*3600))
		}
	})
	if err := b.err(); err != nil {
		return answer{}, err
	}
	if app != "" {
		ctx.SetUserValue("app", app)
		owner, err := s.applicationToWrite(ctx)
		if err != nil {
			return answer{}, err
		}
		key.App = owner.ID
	}
	if err := key.Validate(); err != nil {
		return answer{}, err
	}
	made, token, err := s.makeKey(ctx, key)
	if err != nil {
		return answer{}, err
	}
	out := showKey(made)
	out.Token = token
	return answer{fasthttp.StatusCreated, out}, nil
}

// expiresIn is zero, never, for zero.
func expiresIn(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Now().UTC().Truncate(time.Millisecond).Add(time.Duration(seconds) * time.Second)
}

func (s *Server) listKeys(ctx *fasthttp.RequestCtx) (answer, error) {
	l, err := parseListing(ctx.QueryArgs(), webhook.KindAPIKey, true)
	if err != nil {
		return answer{}, err
	}
	if err := s.current(); err != nil {
		return answer{}, err
	}
	list, more, err := s.config.Store.APIKeys(l.Page)
	if err != nil {
		return answer{}, err
	}
	return respond(l, list, more, func(k *webhook.APIKey) webhook.ID { return k.ID }, showKey)
}

func (s *Server) getKey(ctx *fasthttp.RequestCtx) (answer, error) {
	id, err := webhook.ParseID(webhook.KindAPIKey, pathValue(ctx, "key"))
	if err != nil {
		return answer{}, errNoKey
	}
	if err := s.current(); err != nil {
		return answer{}, err
	}
	key, err := s.config.Store.APIKey(id, time.Now())
	if err != nil {
		return answer{}, err
	}
	return answer{fasthttp.StatusOK, showKey(key)}, nil
}

var errNoKey = &webhook.Error{Code: webhook.CodeNotFound, Detail: "API key not found"}

func (s *Server) revokeKey(ctx *fasthttp.RequestCtx) (answer, error) {
	id, err := webhook.ParseID(webhook.KindAPIKey, pathValue(ctx, "key"))
	if err != nil {
		return answer{}, errNoKey
	}
	a, err := s.revoke(ctx, func(hold context.Context) error { return s.config.Writer.RevokeKey(hold, id) })
	if err == nil {
		s.audit.note(ctx, auditKeyRevoked, "key", id.Text(webhook.KindAPIKey))
	}
	return a, err
}

// revoke answers when no node that can be reached takes the tokens any longer.
func (s *Server) revoke(ctx *fasthttp.RequestCtx, ask func(context.Context) error) (answer, error) {
	hold, cancel := s.hold(ctx)
	defer cancel()
	if err := ask(hold); err != nil {
		return answer{}, err
	}
	if err := s.current(); err != nil {
		return answer{}, err
	}
	s.awaitMembers(hold, s.config.Store.Applied())
	return answer{status: fasthttp.StatusNoContent}, nil
}

const (
	memberPause = 5 * time.Millisecond
	membersWait = 2 * time.Second
)

// awaitMembers waits until all nodes that answer have applied the log up to that index. One that can't be reached for longer than
// membersWait is not waited for: without a leader it answers none that would need one.
func (s *Server) awaitMembers(ctx context.Context, index uint64) {
	ctx, cancel := context.WithTimeout(ctx, membersWait)
	defer cancel()
	for ctx.Err() == nil {
		behind := false
		for _, m := range s.config.Node.Members(ctx) {
			behind = behind || m.Status != nil && m.Status.Applied < index
		}
		if !behind {
			return
		}
		time.Sleep(memberPause)
	}
}
