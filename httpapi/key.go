package httpapi

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/tidwall/gjson"

	"hookwheel/webhook"
)

const (
	tokenBytes = 32 // of the secret in a token
	saltBytes  = 16
)

// keyOut is an API key in responses. Only the response to its creation has the token.
type keyOut struct {
	ID            string               `json:"id,omitempty"`
	Name          string               `json:"name"`
	Role          webhook.Role         `json:"role"`
	ApplicationID *string              `json:"applicationId"`
	FeatureFlags  []string             `json:"featureFlags"`
	ReadOnly      bool                 `json:"readOnly"`
	Capabilities  []webhook.Capability `json:"capabilities"`
	SessionID     *string              `json:"sessionId"`
	CreatedAt     *time.Time           `json:"createdAt"`
	ExpiresAt     *time.Time           `json:"expiresAt"`
	LastUsed      *time.Time           `json:"lastUsed"` // exact to a minute or two
	Token         string               `json:"token,omitempty"`
}

func showKey(key *webhook.APIKey) keyOut {
	out := keyOut{Name: key.Name, Role: key.Role, FeatureFlags: key.FeatureFlags, ReadOnly: key.ReadOnly(), Capabilities: []webhook.Capability{}, SessionID: optional(key.SessionID),
		CreatedAt: optional(key.CreatedAt), ExpiresAt: optional(key.ExpiresAt), LastUsed: optional(key.LastUsed)}
	if !key.ID.IsZero() {
		out.ID = key.ID.Text(webhook.KindAPIKey)
	}
	if key.Role == webhook.RoleApplication {
		out.Capabilities = key.Capabilities
		if len(key.Capabilities) == 0 {
			out.Capabilities = webhook.Capabilities
		}
	}
	if !key.App.IsZero() {
		out.ApplicationID = new(key.App.Text(webhook.KindApplication))
	}
	if out.FeatureFlags == nil {
		out.FeatureFlags = []string{}
	}
	return out
}

// saltFor returns random bytes, from which the secret of a new key is derived, if the request has
// an idempotency key.
func saltFor(r *request) []byte {
	if r.once().key() == nil {
		return nil
	}
	salt := make([]byte, saltBytes)
	rand.Read(salt) // never fails
	return salt
}

// newSecret returns a random secret. With an idempotency key the secret is derived from that, from
// the salt of the key and from the token of the configuration, so that a repetition returns the
// same token, of which only a hash is kept. The salt makes it another one when the idempotency key
// is used again once it has been forgotten: whoever has the old token must not know the secret of
// the new one.
func newSecret(r *request, salt []byte) (string, error) {
	secret := make([]byte, tokenBytes)
	if once := r.once().key(); once != nil {
		var err error
		salt = append(once.Key[:len(once.Key):len(once.Key)], salt...)
		if secret, err = hkdf.Key(sha256.New, []byte(r.server.live.Load().Token), salt, "hookwheel token", tokenBytes); err != nil {
			return "", fmt.Errorf("making a token: %w", err)
		}
	} else {
		rand.Read(secret) // never fails
	}
	return base64.RawURLEncoding.EncodeToString(secret), nil
}

var errShown = &webhook.Error{Code: webhook.CodeConflict,
	Detail: "This request was answered before, with a token that is not kept and can't be shown again. Make another key."}

// makeKey stores a key and returns it with its token.
func makeKey(r *request, key webhook.APIKey) (*webhook.APIKey, string, error) {
	key.Salt = saltFor(r)
	secret, err := newSecret(r, key.Salt)
	if err != nil {
		return nil, "", err
	}
	key.Hash = webhook.HashToken(secret)
	made, err := r.writer().CreateKey(r.context(), key)
	if err != nil {
		return nil, "", err
	}
	if r.once().isRepetition() {
		if secret, err = secretAgain(r, made); err != nil {
			return nil, "", err
		}
	}
	r.audit(auditKeyMade, "key", made.ID.Text(webhook.KindAPIKey), "role", string(made.Role))
	return made, made.Token(secret), nil
}

// secretAgain derives the secret of a key that the request made when it was tried before.
func secretAgain(r *request, key *webhook.APIKey) (string, error) {
	secret, err := newSecret(r, key.Salt)
	if err != nil {
		return "", err
	}
	if !bytes.Equal(webhook.HashToken(secret), key.Hash) { // made by a node with another token in its configuration
		return "", errShown
	}
	return secret, nil
}

// createKey accepts {name, role, applicationId?, featureFlags?, readOnly?, capabilities?, expiry?
// in seconds}.
func createKey(r *request) (*response, error) {
	b, err := parseBody(r.body())
	if err != nil {
		return nil, err
	}
	var key webhook.APIKey
	var app string
	var allowed permissions
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
		case "readOnly", "capabilities":
			allowed.parse(b, name, v)
		case "expiry":
			key.ExpiresAt = expiresIn(b.between(name, v, 60, 10*365*24*3600))
		}
	})
	if err := b.err(); err != nil {
		return nil, err
	}
	key.Capabilities = allowed.capabilities()
	if app != "" {
		owner, err := r.named().applicationByName(app)
		if err != nil {
			return nil, err
		}
		key.App = owner.ID
	}
	if err := key.Validate(); err != nil {
		return nil, err
	}
	made, token, err := makeKey(r, key)
	if err != nil {
		return nil, err
	}
	out := showKey(made)
	out.Token = token
	return created(out), nil
}

// expiresIn returns a time, or zero, which means never, for zero.
func expiresIn(seconds int64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.Now().UTC().Truncate(time.Millisecond).Add(time.Duration(seconds) * time.Second)
}

func listKeys(r *request) (*response, error) {
	q := r.query()
	l := q.listing(webhook.KindAPIKey, true)
	if q.err != nil {
		return nil, q.err
	}
	if err := r.current(); err != nil {
		return nil, err
	}
	list, more, err := r.store().APIKeys(l.Page)
	if err != nil {
		return nil, err
	}
	return respondPage(l, list, more, func(k *webhook.APIKey) webhook.ID { return k.ID }, showKey)
}

func getKey(r *request) (*response, error) {
	id, err := webhook.ParseID(webhook.KindAPIKey, r.path("key"))
	if err != nil {
		return nil, errNoKey
	}
	if err := r.current(); err != nil {
		return nil, err
	}
	key, err := r.store().APIKey(id, time.Now())
	if err != nil {
		return nil, err
	}
	return ok(showKey(key)), nil
}

var errNoKey = &webhook.Error{Code: webhook.CodeNotFound, Detail: "API key not found"}

func revokeKey(r *request) (*response, error) {
	id, err := webhook.ParseID(webhook.KindAPIKey, r.path("key"))
	if err != nil {
		return nil, errNoKey
	}
	return revoke(r, id)
}

// revoke ends one token.
func revoke(r *request, id webhook.ID) (*response, error) {
	if err := r.writer().RevokeKey(r.context(), id); err != nil {
		return nil, err
	}
	if err := awaitMembers(r); err != nil {
		return nil, err
	}
	r.audit(auditKeyRevoked, "key", id.Text(webhook.KindAPIKey))
	return noContent(), nil
}

const (
	memberPause = 5 * time.Millisecond
	membersWait = 2 * time.Second
)

// awaitMembers waits until all nodes that respond have applied a change, so that no reachable node
// accepts a token that was ended. It does not wait longer than membersWait for unreachable nodes: a
// node that is cut off from the leader can't serve requests that need one.
func awaitMembers(r *request) error {
	if err := r.current(); err != nil {
		return err
	}
	index := r.store().Applied()
	ctx, cancel := context.WithTimeout(r.context(), membersWait)
	defer cancel()
	for ctx.Err() == nil {
		behind := false
		for _, m := range r.server.config.Node.Members(ctx) {
			behind = behind || m.Status != nil && m.Status.Applied < index
		}
		if !behind {
			break
		}
		time.Sleep(memberPause)
	}
	return nil
}
