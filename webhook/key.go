package webhook

import (
	"crypto/sha256"
	"log/slog"
	"time"
)

// Role is what the holder of an API key may do.
type Role string

// The roles.
const (
	RoleAdmin       Role = "admin"       // everything
	RoleProducer    Role = "producer"    // create messages, and applications along with them
	RoleReader      Role = "reader"      // read everything but secrets
	RoleApplication Role = "application" // one application: its endpoints and the state of its messages
)

// APIKey is a credential of the API as it is stored, with only a hash of its token.
type APIKey struct {
	ID           ID           `json:"id"`
	Name         string       `json:"name"`
	Role         Role         `json:"role"`
	Hash         []byte       `json:"hash"`           // HashToken of the secret in its token
	Salt         []byte       `json:"salt,omitempty"` // from which that secret was derived; nil: it is random
	App          ID           `json:"app,omitzero"`   // of RoleApplication
	FeatureFlags []string     `json:"featureFlags,omitempty"`
	Capabilities []Capability `json:"capabilities,omitempty"` // of RoleApplication; none: all
	SessionID    string       `json:"sessionId,omitempty"`    // of RoleApplication: what its issuer has it belong to
	CreatedAt    time.Time    `json:"createdAt"`
	ExpiresAt    time.Time    `json:"expiresAt,omitzero"` // zero: never
	LastUsed     time.Time    `json:"lastUsed,omitzero"`  // exact to a minute or two; zero: never
}

// LogValue returns only the id.
func (k APIKey) LogValue() slog.Value { return slog.StringValue(k.ID.Text(KindAPIKey)) }

// Expired reports whether the key has expired.
func (k *APIKey) Expired(now time.Time) bool {
	return !k.ExpiresAt.IsZero() && !now.Before(k.ExpiresAt)
}

// tokenPrefix lets users and scanners for leaked secrets recognize our tokens.
const tokenPrefix = "hwk"

// Token returns the credential that the holder of a key presents: the key's ID, by which it is
// found, and the secret, of which only a hash is stored.
//
//	hwk_2dPqK3WbX0iR9zVvGNw3T1oAJdc_9vOq…
func (k *APIKey) Token(secret string) string { return k.ID.Text(tokenPrefix) + "_" + secret }

// ParseToken splits a token; valid reports whether it has the form of our tokens.
func ParseToken(token string) (key ID, secret string, valid bool) {
	end := len(tokenPrefix) + 1 + idLength
	if len(token) <= end || token[end] != '_' {
		return key, "", false
	}
	key, err := ParseID(tokenPrefix, token[:end])
	return key, token[end+1:], err == nil
}

// HashToken returns the SHA-256 of a token. Tokens have 256 random bits, so a slow hash would add
// nothing.
func HashToken(token string) []byte {
	sum := sha256.Sum256([]byte(token))
	return sum[:]
}

// maxSessions is how many sessions one request may end. An application has no more keys.
const maxSessions = 100

// ValidSessions checks the sessions whose keys are to end.
func ValidSessions(list []string) error {
	return validWords("sessionIds", list, maxSessions, maxSessions*maxWord)
}

// Validate checks the fields that a user may set.
func (k *APIKey) Validate() error {
	if err := validName("name", k.Name); err != nil {
		return err
	}
	switch k.Role {
	case RoleAdmin, RoleProducer, RoleReader, RoleApplication:
	default:
		return Invalid("role", "must be admin, producer, reader or application")
	}
	if (k.Role == RoleApplication) == k.App.IsZero() {
		return Invalid("app", "the role application needs an application, and no other role has one")
	}
	if k.Role != RoleApplication && len(k.Capabilities) > 0 {
		return Invalid("capabilities", "are for the role application; to read everything there is the role reader")
	}
	if k.Role != RoleApplication && k.SessionID != "" {
		return Invalid("sessionId", "is for the role application")
	}
	if err := validCapabilities(k.Capabilities); err != nil {
		return err
	}
	if k.SessionID != "" {
		if err := validWord("sessionId", k.SessionID); err != nil {
			return err
		}
	}
	return validWords("featureFlags", k.FeatureFlags, maxFlags, maxFlagsBytes)
}
