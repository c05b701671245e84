package httpapi

import (
	"crypto/subtle"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"hookwheel/webhook"
)

// jwtLeeway is by how much the clock of a signer of tokens may differ from ours.
const jwtLeeway = time.Minute

// claims are the claims of the tokens that a Svix server issues. The subject is an organization,
// which may do everything, or an application.
type claims struct {
	jwt.RegisteredClaims
	FeatureFlags []string `json:"feature_flags"`
}

var errSigningSecret = &webhook.Error{Code: webhook.CodeUnauthorized,
	Detail: "Invalid token: this is the secret that signs tokens; sign one with it, or use the token of the configuration"}

// jwt accepts a token that was signed with the secret of the configuration.
func (a *authenticator) jwt(token string, secret []byte) (*webhook.APIKey, error) {
	if subtle.ConstantTimeCompare([]byte(token), secret) == 1 {
		return nil, errSigningSecret
	}
	var c claims
	parsed, err := jwt.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return secret, nil },
		jwt.WithValidMethods([]string{"HS256", "HS384", "HS512"}), jwt.WithLeeway(jwtLeeway), jwt.WithIssuedAt())
	if err != nil || !c.isForUs(parsed) {
		return nil, errToken
	}
	if strings.HasPrefix(c.Subject, "org_") {
		return &webhook.APIKey{Name: c.Subject, Role: webhook.RoleAdmin, ExpiresAt: c.expiry()}, nil
	}
	id, err := webhook.ParseID(webhook.KindApplication, c.Subject)
	if err != nil {
		return nil, errToken
	}
	if err := a.catchUp(id); err != nil {
		return nil, err
	}
	app, err := a.config.Store.Application(c.Subject)
	if err != nil || c.isRevoked(app) {
		return nil, errToken
	}
	return &webhook.APIKey{Name: c.Subject, Role: webhook.RoleApplication, App: app.ID, FeatureFlags: c.FeatureFlags, ExpiresAt: c.expiry()}, nil
}

// isForUs reports whether a token has no audience, as this server has no name (RFC 7519, 4.1.3),
// and no critical extension, as it supports none (RFC 7515, 4.1.11).
func (c *claims) isForUs(token *jwt.Token) bool {
	_, critical := token.Header["crit"]
	return len(c.Audience) == 0 && !critical
}

func (c *claims) expiry() (t time.Time) {
	if c.ExpiresAt != nil {
		t = c.ExpiresAt.Time
	}
	return t
}

// isRevoked reports whether all tokens of the application were expired after this one was issued.
// Tokens of the same second, or without a time, may be older.
func (c *claims) isRevoked(app *webhook.Application) bool {
	if app.TokensSince.IsZero() || time.Now().Before(app.TokensUntil) {
		return false
	}
	return c.IssuedAt == nil || !c.IssuedAt.After(app.TokensSince)
}
