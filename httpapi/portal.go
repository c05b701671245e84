package httpapi

import (
	"context"
	_ "embed"
	"slices"

	"github.com/tidwall/gjson"
	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

// How long a portal's token is good, in seconds, as with Svix.
const (
	portalExpiry      = 7 * 24 * 3600
	leastPortalExpiry = 3600
)

//go:embed portal.html
var portalHTML []byte

// getPortal is where the link leads that portalAccess makes when the configuration says no other place.
func getPortal(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType("text/html; charset=utf-8")
	ctx.Response.Header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	ctx.Response.SetBodyRaw(portalHTML)
}

// portalAccess makes a token that sees one application, for that customer's browser. dashboard-access is its old name.
func (s *Server) portalAccess(ctx *fasthttp.RequestCtx) (answer, error) {
	key, inline, err := parsePortalAccess(ctx.PostBody())
	if err != nil {
		return answer{}, err
	}
	app, err := s.applicationToWrite(ctx)
	if webhook.ErrorCode(err) == webhook.CodeNotFound && inline != nil {
		app, err = s.inlineApplication(ctx, inline)
	}
	if err != nil {
		return answer{}, err
	}
	key.App = app.ID
	if err := key.Validate(); err != nil {
		return answer{}, err
	}
	_, token, err := s.makeKey(ctx, key)
	if err != nil {
		return answer{}, err
	}
	return s.showPortal(ctx, token), nil
}

// showPortal is the link with the token in it.
func (s *Server) showPortal(ctx *fasthttp.RequestCtx, token string) answer {
	return answer{fasthttp.StatusOK, struct {
		URL   string `json:"url"`
		Token string `json:"token"`
	}{s.portalURL(ctx) + "#key=" + token, token}}
}

// parsePortalAccess reads what the token may do, and the application that is to be made if there is none. The body may be empty.
func parsePortalAccess(text []byte) (key webhook.APIKey, inline *webhook.Application, err error) {
	b, err := parseOptionalBody(text)
	if err != nil {
		return key, nil, err
	}
	key = webhook.APIKey{Name: "portal", Role: webhook.RoleApplication}
	expiry := int64(0)
	b.each(func(name string, v gjson.Result) {
		switch name {
		case "featureFlags":
			key.FeatureFlags = b.strings(name, v)
		case "readOnly":
			key.ReadOnly = key.ReadOnly || !isNull(v) && b.bool(name, v)
		case "capabilities":
			key.ReadOnly = key.ReadOnly || !isNull(v) && !managesAll(b.strings(name, v))
		case "expiry":
			expiry = b.between(name, v, leastPortalExpiry, portalExpiry)
		case "application":
			inline = b.application(name, v)
		}
	})
	if expiry == 0 {
		expiry = portalExpiry
	}
	key.ExpiresAt = expiresIn(expiry)
	return key, inline, b.err()
}

// managesAll tells whether a list of Svix's capabilities has all that goes beyond reading here. We know no shades between the
// two, so who is to have less is to have none of it.
func managesAll(capabilities []string) bool {
	for _, needed := range []string{"ManageEndpoint", "ManageEndpointSecret", "CreateAttempts"} {
		if !slices.Contains(capabilities, needed) {
			return false
		}
	}
	return true
}

// portalURL is where the portal is: what the configuration says, or this server as the caller has reached it.
func (s *Server) portalURL(ctx *fasthttp.RequestCtx) string {
	if s.config.PortalURL != "" {
		return s.config.PortalURL
	}
	scheme := "http://"
	if s.config.TLS != nil {
		scheme = "https://"
	}
	return scheme + string(ctx.Host()) + "/portal"
}

var errNotKept = &webhook.Error{Code: webhook.CodeBadRequest,
	Detail: "This token is not kept here, so it can't be revoked: only API keys and portal tokens can. Those of an application all end with expire-all."}

// logout ends the token of the caller.
func (s *Server) logout(ctx *fasthttp.RequestCtx) (answer, error) {
	key := caller(ctx)
	if key.ID.IsZero() {
		return answer{}, errNotKept
	}
	a, err := s.revoke(ctx, func(hold context.Context) error { return s.config.Writer.RevokeKey(hold, key.ID) })
	if err == nil {
		s.audit.note(ctx, auditKeyRevoked, "key", key.ID.Text(webhook.KindAPIKey))
	}
	return a, err
}

// expireAll ends all tokens of an application, at once or in {expiry} seconds.
func (s *Server) expireAll(ctx *fasthttp.RequestCtx) (answer, error) {
	b, err := parseOptionalBody(ctx.PostBody())
	if err != nil {
		return answer{}, err
	}
	expiry := int64(0)
	b.each(func(name string, v gjson.Result) {
		if name == "expiry" {
			expiry = b.between(name, v, 0, portalExpiry)
		}
	})
	if err := b.err(); err != nil {
		return answer{}, err
	}
	app, err := s.application(ctx)
	if err != nil {
		return answer{}, err
	}
	a, err := s.revoke(ctx, func(hold context.Context) error { return s.config.Writer.ExpireAll(hold, app.ID, expiry) })
	if err == nil {
		s.audit.note(ctx, auditTokensEnded, "app", app.ID.Text(webhook.KindApplication))
	}
	return a, err
}

// whoami says who the caller is.
func (s *Server) whoami(ctx *fasthttp.RequestCtx) (answer, error) {
	return answer{fasthttp.StatusOK, showKey(caller(ctx))}, nil
}
