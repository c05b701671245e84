package httpapi

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"hookwheel/webhook"
)

// How long the token of a portal is valid, in seconds, as with Svix.
const (
	portalExpiry    = 7 * 24 * 3600
	minPortalExpiry = 3600
)

// portalAccess creates a token for one application, for the browser of that customer. Its path was
// formerly dashboard-access.
func portalAccess(r *request) (*response, error) {
	key, inline, err := parsePortalAccess(r.body())
	if err != nil {
		return nil, err
	}
	app, err := r.named().applicationByName(r.path("app"))
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
	return respondPortal(r, key.App, token)
}

// respondPortal responds with a token and the link that contains it, in the form that products made
// for Svix read.
func respondPortal(r *request, app webhook.ID, token string) (*response, error) {
	text, err := json.Marshal(struct {
		AppID string `json:"appId"`
		Token string `json:"token"`
	}{app.Text(webhook.KindApplication), token})
	if err != nil {
		return nil, err
	}
	return ok(struct {
		URL   string `json:"url"`
		Token string `json:"token"`
	}{portalURL(r) + "#key=" + base64.StdEncoding.EncodeToString(text), token}), nil
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
	var allowed permissions
	b.each(func(name string, v gjson.Result) {
		switch name {
		case "featureFlags":
			key.FeatureFlags = b.strings(name, v)
		case "readOnly", "capabilities":
			allowed.parse(b, name, v)
		case "sessionId":
			key.SessionID = b.optionalString(name, v)
		case "expiry":
			expiry = b.between(name, v, minPortalExpiry, portalExpiry)
		case "application":
			inline = b.application(name, v)
		}
	})
	if expiry == 0 {
		expiry = portalExpiry
	}
	key.ExpiresAt, key.Capabilities = expiresIn(expiry), allowed.capabilities()
	return key, inline, b.err()
}

// permissions are what a body says about the capabilities of a token.
type permissions struct {
	readOnly bool
	listed   []webhook.Capability
}

func (p *permissions) parse(b *body, name string, v gjson.Result) {
	switch {
	case isNull(v):
	case name == "readOnly":
		p.readOnly = b.bool(name, v)
	default:
		for _, item := range b.strings(name, v) {
			p.listed = append(p.listed, webhook.Capability(item))
		}
		if len(p.listed) == 0 {
			b.fail(name, "must hold ViewBase at least; leave it out for all capabilities")
		}
	}
}

// capabilities returns the list to store. A read-only token has no more than ViewBase, whatever is
// listed.
func (p *permissions) capabilities() []webhook.Capability {
	list := webhook.CompleteCapabilities(p.listed)
	if p.readOnly && (len(list) == 0 || list[0] == webhook.ViewBase) {
		return []webhook.Capability{webhook.ViewBase}
	}
	return list
}

// portalURL returns the configured URL of the portal, or /portal of this server as the caller
// reached it; at the port of the portal if that has its own.
func portalURL(r *request) string {
	if configured := r.server.live.Load().PortalURL; configured != "" {
		return configured
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

// expireAll expires the tokens of an application, at once or in {expiry} seconds: those that were
// made with {sessionIds} or, if there are none, all.
func expireAll(r *request) (*response, error) {
	b, err := parseOptionalBody(r.body())
	if err != nil {
		return nil, err
	}
	expiry := int64(0)
	var sessions []string
	b.each(func(name string, v gjson.Result) {
		switch name {
		case "expiry":
			expiry = b.between(name, v, 0, portalExpiry)
		case "sessionIds":
			sessions = b.strings(name, v)
		}
	})
	if err := errors.Join(b.err(), webhook.ValidSessions(sessions)); err != nil {
		return nil, err
	}
	app, err := r.named().application()
	if err != nil {
		return nil, err
	}
	if err := r.writer().ExpireAll(r.context(), app.ID, expiry, sessions); err != nil {
		return nil, err
	}
	if err := awaitMembers(r); err != nil {
		return nil, err
	}
	r.audit(auditTokensEnded, "app", app.ID.Text(webhook.KindApplication))
	return noContent(), nil
}

// listTokens lists the tokens of an application that are valid, without their secrets. There are at
// most as many as an application may have, so they are one page.
func listTokens(r *request) (*response, error) {
	app, err := r.named().application()
	if err != nil {
		return nil, err
	}
	keys := r.store().KeysOf(app.ID, time.Now())
	return respondPage(listing{kind: webhook.KindAPIKey}, keys, false, func(k *webhook.APIKey) webhook.ID { return k.ID }, showKey)
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
