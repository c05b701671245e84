package httpapi

import (
	"crypto/rand"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"hookwheel/webhook"
)

const (
	secretBytes  = 24 // of the secrets that we generate
	defaultGrace = 24 * time.Hour
	maxGrace     = 7 * 24 * time.Hour
)

// signingKey reads a signing key; null is nil.
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

// newSigningKey returns a random key.
func newSigningKey() webhook.SigningKey {
	secret := make(webhook.Secret, secretBytes)
	rand.Read(secret) // never fails
	return webhook.SymmetricKey(secret)
}

func getSecret(r *request) (*response, error) {
	endpoint, err := r.named().endpoint()
	if err != nil {
		return nil, err
	}
	return respondSecret(r, endpoint)
}

// oldKey is a signing key that a newer one has replaced, without its value.
type oldKey struct {
	ExpiresAt time.Time `json:"expiresAt"`
}

// respondSecret responds with the key that the receiver verifies with at present, and says until
// when older ones sign, too.
func respondSecret(r *request, endpoint *webhook.Endpoint) (*response, error) {
	text, err := r.server.sealer.keyring.Open(endpoint.Keys[0].Sealed)
	if err != nil {
		return nil, err
	}
	key, err := webhook.ParseSigningKey(string(text))
	if err != nil {
		return nil, err
	}
	r.audit(auditSecretRead, "endpoint", endpoint.ID.Text(webhook.KindEndpoint))
	old, now := []oldKey{}, time.Now()
	for _, k := range endpoint.Keys[1:] {
		if k.Expires.After(now) {
			old = append(old, oldKey{k.Expires})
		}
	}
	return ok(struct {
		Key     string   `json:"key"`
		OldKeys []oldKey `json:"oldKeys"`
	}{key.PublicText(), old}), nil
}

// rotateSecret gives an endpoint another key. The previous key continues to sign, beside it, during
// the grace period. The response has the new key.
func rotateSecret(r *request) (*response, error) {
	key, grace, err := parseRotation(r.body())
	if err != nil {
		return nil, err
	}
	if key == nil {
		key = new(newSigningKey())
	}
	made, err := updateEndpoint(r, func(e *webhook.Endpoint) (err error) {
		if err := key.Fits(e.Style); err != nil {
			return webhook.Invalid("key", err.(*webhook.Error).Detail)
		}
		e.Keys, err = rotate(e.Keys, webhook.Key{Sealed: r.server.sealer.seal([]byte(key.Text()))}, grace, time.Now())
		return err
	})
	if err != nil {
		return nil, err
	}
	return respondRotation(r, made)
}

func respondRotation(r *request, endpoint *webhook.Endpoint) (*response, error) {
	if expectsNoSecret(r.http.UserAgent()) {
		return noContent(), nil
	}
	return respondSecret(r, endpoint)
}

// expectsNoSecret reports whether a client is an SDK from before version 2.7. These expect no body
// after a rotation, and some of them, such as Java's, fail if there is one. Their user agent begins
// with svix-libs/VERSION/LANGUAGE.
func expectsNoSecret(userAgent []byte) bool {
	version, sdk := strings.CutPrefix(string(userAgent), "svix-libs/")
	if !sdk {
		return false
	}
	version, _, _ = strings.Cut(version, "/")
	first, rest, _ := strings.Cut(version, ".")
	second, _, _ := strings.Cut(rest, ".")
	major, err := strconv.Atoi(first)
	minor, err2 := strconv.Atoi(second)
	return err == nil && err2 == nil && (major < 2 || major == 2 && minor < 7)
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

// rotate puts a key before the existing ones, and drops those that have expired.
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
