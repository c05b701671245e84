package httpapi

import (
	_ "embed"
	"net"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

// How long the token of a portal is valid, in seconds, as with Svix.
const (
	portalExpiry    = 7 * 24 * 3600
	minPortalExpiry = 3600
)

//go:embed portal.html
var portalHTML []byte

// getPortal serves the page that portal links lead to unless the configuration has another one.
func getPortal(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType("text/html; charset=utf-8")
	ctx.Response.Header.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	ctx.Response.SetBodyRaw(portalHTML)
}

// portalAccess creates a token for one application, for the browser of that customer. Its path was
// formerly dashboard-access.
func portalAccess(r *request) (*response, error) {
	key, inline, err := parsePortalAccess(r.body())
	if err != nil {
		return nil, err
	}
	app, err := r.applicationByName(r.path("app"))
	if webhook.ErrorCode(err) == webhook.CodeNotFound && inline != nil {
		app, err = inlineApplication(r, inline)
	}
	if err != nil {
		return nil, err
	}
	key.App = app.ID
	if err := key.Validate(); err != nil {
		return nil, err
	}
	_, token, err := makeKey(r, key)
	if err != nil {
		return nil, err
	}
	return respondPortal(r, token), nil
}

// respondPortal responds with a token and the link that contains it.
func respondPortal(r *request, token string) *response {
	return ok(struct {
		URL   string `json:"url"`
		Token string `json:"token"`
	}{portalURL(r) + "#key=" + token, token})
}

// parsePortalAccess reads what the token may do, and the application to create if it does not
// exist. The body may be empty.
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
			expiry = b.between(name, v, minPortalExpiry, portalExpiry)
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

// managesAll reports whether a list of Svix capabilities includes all that goes beyond reading
// here. A token is either read-only or not, so less than all means read-only.
func managesAll(capabilities []string) bool {
	for _, needed := range []string{"ManageEndpoint", "ManageEndpointSecret", "CreateAttempts"} {
		if !slices.Contains(capabilities, needed) {
			return false
		}
	}
	return true
}

// portalURL returns the configured URL of the portal, or /portal of this server as the caller
// reached it; at the port of the portal if that has its own.
func portalURL(r *request) string {
	if r.server.config.PortalURL != "" {
		return r.server.config.PortalURL
	}
	scheme := "http://"
	if r.server.config.TLS != nil {
		scheme = "https://"
	}
	host := string(r.http.Host())
	if own := r.server.PortalAddr(); own != "" {
		host = withPort(host, own)
	}
	return scheme + host + "/portal"
}

// withPort replaces the port of a host.
func withPort(host, address string) string {
	name := host
	if without, _, err := net.SplitHostPort(host); err == nil {
		name = without
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return host
	}
	return net.JoinHostPort(strings.Trim(name, "[]"), port)
}

var errNotKept = &webhook.Error{Code: webhook.CodeBadRequest,
	Detail: "This token is not kept here, so it can't be revoked: only API keys and portal tokens can. Those of an application all end with expire-all."}

// logout ends the token of the caller.
func logout(r *request) (*response, error) {
	if r.caller.ID.IsZero() {
		return nil, errNotKept
	}
	return revoke(r, r.caller.ID)
}

// expireAll expires all tokens of an application, at once or in {expiry} seconds.
func expireAll(r *request) (*response, error) {
	b, err := parseOptionalBody(r.body())
	if err != nil {
		return nil, err
	}
	expiry := int64(0)
	b.each(func(name string, v gjson.Result) {
		if name == "expiry" {
			expiry = b.between(name, v, 0, portalExpiry)
		}
	})
	if err := b.err(); err != nil {
		return nil, err
	}
	app, err := r.application()
	if err != nil {
		return nil, err
	}
	if err := r.writer().ExpireAll(r.context(), app.ID, expiry); err != nil {
		return nil, err
	}
	if err := awaitMembers(r); err != nil {
		return nil, err
	}
	r.audit(auditTokensEnded, "app", app.ID.Text(webhook.KindApplication))
	return noContent(), nil
}

// whoami describes the key of the caller. permissionSource and appId are Svix's; the SDKs do not
// know our kinds of tokens.
func whoami(r *request) (*response, error) {
	key := showKey(r.caller)
	return ok(struct {
		keyOut
		PermissionSource string  `json:"permissionSource"`
		AppID            *string `json:"appId,omitempty"`
	}{key, "Unknown", key.ApplicationID}), nil
}
