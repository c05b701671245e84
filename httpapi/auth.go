package httpapi

import (
	"bytes"
	"crypto/subtle"
	"slices"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

// access says whose tokens an operation accepts: those of some roles. A token of an application
// also needs a capability.
type access struct {
	roles []webhook.Role
	needs webhook.Capability
}

// isForProducers reports whether producers have access, as they have to what sends events.
func (a access) isForProducers() bool { return slices.Contains(a.roles, webhook.RoleProducer) }

// check returns an error unless the key has access.
func (a access) check(key *webhook.APIKey) error {
	switch {
	case !slices.Contains(a.roles, key.Role):
		return errForbidden
	case key.Role == webhook.RoleApplication && !key.Can(a.needs):
		return &webhook.Error{Code: webhook.CodeForbidden, Detail: "This token lacks the capability " + string(a.needs) + "."}
	default:
		return nil
	}
}

func (a access) include(key *webhook.APIKey) bool { return a.check(key) == nil }

// allow returns the access for some roles. One of an application can read and change only that
// application.
func allow(needs webhook.Capability, roles ...webhook.Role) access { return access{roles, needs} }

var (
	mayManage    = allow("", webhook.RoleAdmin)
	maySend      = allow("", webhook.RoleAdmin, webhook.RoleProducer)
	mayRead      = allow("", webhook.RoleAdmin, webhook.RoleReader)
	mayReadOwn   = allow(webhook.ViewBase, webhook.RoleAdmin, webhook.RoleReader, webhook.RoleApplication)
	maySeeSecret = allow(webhook.ViewEndpointSecret, webhook.RoleAdmin, webhook.RoleApplication)
	mayRotate    = allow(webhook.ManageEndpointSecret, webhook.RoleAdmin, webhook.RoleApplication)
	mayAttempt   = allow(webhook.CreateAttempts, webhook.RoleAdmin, webhook.RoleApplication)
	mayChangeOwn = allow(webhook.ManageEndpoint, webhook.RoleAdmin, webhook.RoleApplication)
	anyRole      = allow(webhook.ViewBase, webhook.RoleAdmin, webhook.RoleProducer, webhook.RoleReader, webhook.RoleApplication)

	// The roles that an address accepts.
	everybody     = anyRole.roles
	onlyCustomers = []webhook.Role{webhook.RoleApplication}
)

var (
	errToken         = &webhook.Error{Code: webhook.CodeUnauthorized, Detail: "Invalid token"}
	errForbidden     = &webhook.Error{Code: webhook.CodeForbidden, Detail: "This token may not do that."}
	errOnlyCustomers = &webhook.Error{Code: webhook.CodeForbidden,
		Detail: "This address serves only tokens of applications. Use the address of the API, api.listen."}
	errNotOwn = &webhook.Error{Code: webhook.CodeNotFound, Detail: "Application not found"}
)

// root is the caller with the token of the configuration.
var root = &webhook.APIKey{Name: "api.token", Role: webhook.RoleAdmin}

// tokenOf returns the token of a request, or "". The name of the scheme may be in any case, and
// several spaces may follow it (RFC 9110, sections 11.1 and 11.4).
func tokenOf(header *fasthttp.RequestHeader) string {
	scheme, token, _ := bytes.Cut(header.Peek(fasthttp.HeaderAuthorization), []byte(" "))
	if !bytes.EqualFold(scheme, []byte("Bearer")) {
		return ""
	}
	return string(bytes.TrimLeft(token, " "))
}

// authenticator finds out whose token a request has.
type authenticator struct {
	config  *Config
	live    *atomic.Pointer[live]
	lastUse lastUse
}

// authenticate returns the key of a token: the token of the configuration, an API key, or a JWT.
func (a *authenticator) authenticate(token string) (*webhook.APIKey, error) {
	if token == "" {
		return nil, errToken
	}
	now := a.live.Load()
	if subtle.ConstantTimeCompare([]byte(token), []byte(now.Token)) == 1 {
		return root, nil
	}
	if id, secret, valid := webhook.ParseToken(token); valid {
		return a.apiKey(id, secret)
	}
	if now.JWTSecret != "" {
		return a.jwt(token, []byte(now.JWTSecret))
	}
	return nil, errToken
}

// apiKey returns an API key if the secret is its own.
func (a *authenticator) apiKey(id webhook.ID, secret string) (*webhook.APIKey, error) {
	if err := a.catchUp(id); err != nil {
		return nil, err
	}
	now := time.Now()
	key, err := a.config.Store.APIKey(id, now)
	if err != nil || subtle.ConstantTimeCompare(webhook.HashToken(secret), key.Hash) != 1 {
		return nil, errToken
	}
	a.lastUse.note(key, now)
	return key, nil
}

// catchUp waits until this node has applied the entry that created the ID.
func (a *authenticator) catchUp(id webhook.ID) error {
	if id.Index() <= a.config.Store.Applied() {
		return nil
	}
	return a.current()
}

// current waits until this node's store has everything that any node had acknowledged before the
// call.
func (a *authenticator) current() error {
	ctx, cancel := leaderContext()
	defer cancel()
	return a.config.Node.Barrier(ctx)
}

// ownApplication returns the application of a token if that is its name. Other applications are not
// looked up: the time that takes would reveal which names exist.
func (a *authenticator) ownApplication(key *webhook.APIKey, name string) (*webhook.Application, error) {
	id := key.App.Text(webhook.KindApplication)
	own, err := a.config.Store.Application(id)
	if err != nil || name != id && (own.UID == "" || name != own.UID) {
		return nil, errNotOwn
	}
	return own, nil
}

// authorize finds the caller and checks that it has access, and that its role is accepted here. If
// the caller is an application, the application in the path must be the same.
func (r *request) authorize(needed access, here []webhook.Role) error {
	auth := r.server.auth
	key, err := auth.authenticate(tokenOf(&r.http.Request.Header))
	if err != nil {
		if webhook.ErrorCode(err) == webhook.CodeUnauthorized {
			r.server.audit.refusedToken(r.http.RemoteIP())
		}
		return err
	}
	r.http.SetUserValue(callerValue{}, key)
	if !slices.Contains(here, key.Role) {
		r.server.audit.refusedToken(r.http.RemoteIP()) // it may have been stolen
		return errOnlyCustomers
	}
	if err := needed.check(key); err != nil {
		return err
	}
	r.caller = key
	if !r.byCustomer() || r.http.UserValue("app") == nil {
		return nil
	}
	own, err := auth.ownApplication(key, r.path("app"))
	if err != nil {
		return err
	}
	// From here on by ID, as the name may be given to another application.
	r.setApplication(own.ID.Text(webhook.KindApplication))
	return nil
}
