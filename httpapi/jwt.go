package httpapi

import (
	"crypto/subtle"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"hookwheel/webhook"
)

// jwtLeeway is by how much the clock of who signs tokens may differ from ours.
const jwtLeeway = time.Minute

// claims are those of the tokens that a Svix server makes: the subject is an organization, which may do everything, or an
// application.
type claims struct {
	jwt.RegisteredClaims
	FeatureFlags []string `json:"feature_flags"`
}

var errSigningSecret = &webhook.Error{Code: webhook.CodeUnauthorized,
	Detail: "Invalid token: this is the secret that signs tokens; sign one with it, or use the token of the configuration"}

// jwt takes a token that was signed with the secret of the configuration.
func (s *Server) jwt(token string) (*webhook.APIKey, error) {
	secret := []byte(s.config.JWTSecret)
	if subtle.ConstantTimeCompare([]byte(token), secret) == 1 {
		return nil, errSigningSecret
	}
	var c claims
	parsed, err := jwt.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return secret, nil },
		jwt.WithValidMethods([]string{"HS256", "HS384", "HS512"}), jwt.WithLeeway(jwtLeeway), jwt.WithIssuedAt())
	if err != nil || !c.meant(parsed) {
		return nil, errToken
	}
	if strings.HasPrefix(c.Subject, "org_") {
		return &webhook.APIKey{Name: c.Subject, Role: webhook.RoleAdmin, ExpiresAt: c.expiry()}, nil
	}
	id, err := webhook.ParseID(webhook.KindApplication, c.Subject)
	if err != nil {
		return nil, errToken
	}
	if id.Index() > s.config.Store.Applied() {
		if err := s.current(); err != nil {
			return nil, err
		}
	}
	app, err := s.config.Store.Application(c.Subject)
	if err != nil || c.void(app) {
		return nil, errToken
	}
	return &webhook.APIKey{Name: c.Subject, Role: webhook.RoleApplication, App: app.ID, FeatureFlags: c.FeatureFlags, ExpiresAt: c.expiry()}, nil
}

// meant reports whether a token is meant for this server, which has no name as an audience (RFC 7519, 4.1.3), and asks for no
// extension, as none is understood here (RFC 7515, 4.1.11).
func (c *claims) meant(token *jwt.Token) bool {
	_, critical := token.Header["crit"]
	return len(c.Audience) == 0 && !critical
}

func (c *claims) expiry() (t time.Time) {
	if c.ExpiresAt != nil {
		t = c.ExpiresAt.Time
	}
	return t
}

// void tells whether all tokens of the application were ended after this one was made. One that was made in the same second
// may be older, and so may one that does not say.
func (c *claims) void(app *webhook.Application) bool {
	if app.TokensSince.IsZero() || time.Now().Before(app.TokensUntil) {
		return false
	}
	return c.IssuedAt == nil || !c.IssuedAt.After(app.TokensSince)
}
