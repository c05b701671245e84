package httpapi

import (
	"bytes"
	"context"
	"crypto/subtle"
	"slices"
	"time"

	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

// roles says whose tokens an operation takes.
type roles []webhook.Role

// include tells whether a credential is of one of the roles. A read-only one may what a reader may.
func (r roles) include(key *webhook.APIKey) bool {
	return slices.Contains(r, key.Role) && (!key.ReadOnly || slices.Contains(r, webhook.RoleReader))
}

// What operations are for. An application's token sees and changes its own application only.
var (
	toManage    = roles{webhook.RoleAdmin}
	toSend      = roles{webhook.RoleAdmin, webhook.RoleProducer}
	toRead      = roles{webhook.RoleAdmin, webhook.RoleReader}
	toReadOwn   = roles{webhook.RoleAdmin, webhook.RoleReader, webhook.RoleApplication}
	toChangeOwn = roles{webhook.RoleAdmin, webhook.RoleApplication} // secrets are seen by those who may change them
	toAnyone    = roles{webhook.RoleAdmin, webhook.RoleProducer, webhook.RoleReader, webhook.RoleApplication}
)

var (
	errToken     = &webhook.Error{Code: webhook.CodeUnauthorized, Detail: "Invalid token"}
	errForbidden = &webhook.Error{Code: webhook.CodeForbidden, Detail: "This token may not do that."}
	errNotOwn    = &webhook.Error{Code: webhook.CodeNotFound, Detail: "Application not found"}
)

// root is who shows the token of the configuration.
var root = &webhook.APIKey{Name: "api.token", Role: webhook.RoleAdmin}

// allow is plain for those who show a token of one of these roles. Only then their body is read. Handlers find the credential
// with caller.
func (s *Server) allow(who roles, h handler) fasthttp.RequestHandler {
	next := s.plain(h)
	return func(ctx *fasthttp.RequestCtx) {
		key, err := s.authenticate(shownToken(&ctx.Request.Header))
		if webhook.ErrorCode(err) == webhook.CodeUnauthorized {
			s.audit.refusedToken(ctx.RemoteIP())
		}
		if err == nil {
			err = s.admit(ctx, who, key)
		}
		if err != nil {
			s.writeError(ctx, err)
			return
		}
		connection := connOf(ctx.Conn())
		connection.setCaller(ownerOf(key))
		body, err := s.receive(ctx, ownerOf(key))
		if err != nil {
			s.refuse(ctx, err)
			return
		}
		if body != nil {
			defer body.end()
		}
		connection.busy.Store(true)
		ctx.SetUserValue(callerValue, key)
		end, err := s.customerTurn(ctx, key)
		if err != nil {
			s.writeError(ctx, err)
			return
		}
		defer end()
		next(ctx)
	}
}

// customerTurn waits until a request with an application's token may change something. The caller must call end.
func (s *Server) customerTurn(ctx *fasthttp.RequestCtx, key *webhook.APIKey) (end func(), err error) {
	if key.Role != webhook.RoleApplication || ctx.IsGet() || ctx.IsHead() {
		return func() {}, nil
	}
	hold, cancel := context.WithTimeout(context.Background(), holdTimeout)
	defer cancel()
	return s.changes.take(hold, customerName(key), ownChanges)
}

func customerName(key *webhook.APIKey) string { return "customer/" + string(key.App[:]) }

const callerValue = "caller"

// caller is whose token the request has shown.
func caller(ctx *fasthttp.RequestCtx) *webhook.APIKey {
	return ctx.UserValue(callerValue).(*webhook.APIKey)
}

// shownToken is the token that a request shows; empty: none. RFC 9110, 11.1 and 11.4: the name of the scheme may be in any
// case, and several spaces may follow it.
func shownToken(header *fasthttp.RequestHeader) string {
	scheme, token, _ := bytes.Cut(header.Peek(fasthttp.HeaderAuthorization), []byte(" "))
	if !bytes.EqualFold(scheme, []byte("Bearer")) {
		return ""
	}
	return string(bytes.TrimLeft(token, " "))
}

// authenticate finds out whose token it is: the one of the configuration, an API key, or a JWT.
func (s *Server) authenticate(token string) (*webhook.APIKey, error) {
	if token == "" {
		return nil, errToken
	}
	if subtle.ConstantTimeCompare([]byte(token), []byte(s.config.Token)) == 1 {
		return root, nil
	}
	if id, secret, valid := webhook.ParseToken(token); valid {
		return s.apiKey(id, secret)
	}
	if s.config.JWTSecret != "" {
		return s.jwt(token)
	}
	return nil, errToken
}

// apiKey finds the key of a token. It may be newer than what this node has heard of: its ID says which entry made it.
func (s *Server) apiKey(id webhook.ID, secret string) (*webhook.APIKey, error) {
	if id.Index() > s.config.Store.Applied() {
		if err := s.current(); err != nil {
			return nil, err
		}
	}
	now := time.Now()
	key, err := s.config.Store.APIKey(id, now)
	if err != nil || subtle.ConstantTimeCompare(webhook.HashToken(secret), key.Hash) != 1 {
		return nil, errToken
	}
	s.lastUse.note(key, now)
	return key, nil
}

// admit tells whether a credential may do what only these roles may. The application in the path, by whatever name, must be
// that of an application's token.
func (s *Server) admit(ctx *fasthttp.RequestCtx, who roles, key *webhook.APIKey) error {
	if !who.include(key) {
		return errForbidden
	}
	if key.Role != webhook.RoleApplication || ctx.UserValue("app") == nil {
		return nil
	}
	own, err := s.ownApplication(key, pathValue(ctx, "app"))
	if err != nil {
		return err
	}
	ctx.SetUserValue("app", own.ID.Text(webhook.KindApplication)) // the name may pass to another application
	return nil
}

// ownApplication is the application of a token, if that is its name. Nothing else is looked up: the time that takes would
// give away which names other applications have.
func (s *Server) ownApplication(key *webhook.APIKey, name string) (*webhook.Application, error) {
	id := key.App.Text(webhook.KindApplication)
	own, err := s.config.Store.Application(id)
	if err != nil || name != id && (own.UID == "" || name != own.UID) {
		return nil, errNotOwn
	}
	return own, nil
}
