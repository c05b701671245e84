package httpapi

import (
	"bytes"
	"crypto/subtle"
	"slices"

	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

// roles says whose tokens an operation takes.
type roles []webhook.Role

// What operations are for. An application's token sees and changes its own application only; a read-only one may what a
// reader may.
var (
	toManage    = roles{webhook.RoleAdmin}
	toSend      = roles{webhook.RoleAdmin, webhook.RoleProducer}
	toRead      = roles{webhook.RoleAdmin, webhook.RoleReader}
	toReadOwn   = roles{webhook.RoleAdmin, webhook.RoleReader, webhook.RoleApplication}
	toChangeOwn = roles{webhook.RoleAdmin, webhook.RoleApplication} // secrets are seen by those who may change them
)

var (
	errToken     = &webhook.Error{Code: webhook.CodeUnauthorized, Detail: "Invalid token"}
	errForbidden = &webhook.Error{Code: webhook.CodeForbidden, Detail: "This token may not do that."}
	errNotOwn    = &webhook.Error{Code: webhook.CodeNotFound, Detail: "Application not found"}
)

// root is who shows the token of the configuration.
var root = &webhook.APIKey{Name: "api.token", Role: webhook.RoleAdmin}

// allow is plain for who shows a token of one of these roles. Handlers find the credential with caller.
func (s *Server) allow(who roles, h handler) fasthttp.RequestHandler {
	next := s.plain(h)
	return func(ctx *fasthttp.RequestCtx) {
		key, err := s.authenticate(ctx)
		if err == nil {
			err = s.admit(ctx, who, key)
		}
		if err != nil {
			s.writeError(ctx, err)
			return
		}
		ctx.SetUserValue(callerValue, key)
		next(ctx)
	}
}

const callerValue = "caller"

// caller is whose token the request has shown.
func caller(ctx *fasthttp.RequestCtx) *webhook.APIKey {
	return ctx.UserValue(callerValue).(*webhook.APIKey)
}

// authenticate finds out whose token the request shows.
func (s *Server) authenticate(ctx *fasthttp.RequestCtx) (*webhook.APIKey, error) {
	token, bearer := bytes.CutPrefix(ctx.Request.Header.Peek(fasthttp.HeaderAuthorization), []byte("Bearer "))
	if !bearer || subtle.ConstantTimeCompare(token, []byte(s.config.Token)) != 1 {
		return nil, errToken
	}
	return root, nil
}

// admit tells whether a credential may do what only these roles may. The application in the path, by whatever name, must be
// that of an application's token.
func (s *Server) admit(ctx *fasthttp.RequestCtx, who roles, key *webhook.APIKey) error {
	if !slices.Contains(who, key.Role) || key.ReadOnly && !slices.Contains(who, webhook.RoleReader) {
		return errForbidden
	}
	if key.Role != webhook.RoleApplication || ctx.UserValue("app") == nil {
		return nil
	}
	app, err := s.applicationToWrite(ctx)
	if err != nil {
		return err
	}
	if app.ID != key.App {
		return errNotOwn
	}
	ctx.SetUserValue("app", app.ID.Text(webhook.KindApplication)) // the name may pass to another application
	return nil
}
