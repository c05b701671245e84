package httpapi

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"

	"hookwheel/cluster"
	"hookwheel/webhook"
)

// answer is what a handler has to say when all went well.
type answer struct {
	status int
	value  any // becomes JSON, unless it is JSON already: a rawJSON; nil: no body
}

// rawJSON is JSON text that was written by hand, on the hot path.
type rawJSON []byte

// statusOf is the HTTP status of each code.
var statusOf = map[webhook.Code]int{
	webhook.CodeInvalid:        fasthttp.StatusUnprocessableEntity,
	webhook.CodeUnauthorized:   fasthttp.StatusUnauthorized,
	webhook.CodeNotFound:       fasthttp.StatusNotFound,
	webhook.CodeConflict:       fasthttp.StatusConflict,
	webhook.CodeTooLarge:       fasthttp.StatusRequestEntityTooLarge,
	webhook.CodeUnavailable:    fasthttp.StatusServiceUnavailable,
	webhook.CodeNoSpace:        fasthttp.StatusInsufficientStorage,
	webhook.CodeMissingPayload: fasthttp.StatusBadRequest,
	webhook.CodeInvalidRange:   fasthttp.StatusBadRequest,
	webhook.CodeInvalidScheme:  fasthttp.StatusBadRequest,
	webhook.CodeForbidden:      fasthttp.StatusForbidden,
	webhook.CodeBadRequest:     fasthttp.StatusBadRequest,
	webhook.CodeChanged:        fasthttp.StatusConflict,
	webhook.CodeTypeExists:     fasthttp.StatusConflict,
	webhook.CodeLimit:          fasthttp.StatusBadRequest,
	codeTooMany:                fasthttp.StatusTooManyRequests,
	codeEncoding:               fasthttp.StatusUnsupportedMediaType,
	codeVersion:                fasthttp.StatusHTTPVersionNotSupported,
	codeHeader:                 fasthttp.StatusRequestHeaderFieldsTooLarge,
	codeURI:                    fasthttp.StatusRequestURITooLong,
	codeTimeout:                fasthttp.StatusRequestTimeout,
	webhook.CodeInternal:       fasthttp.StatusInternalServerError,
}

// retryAfter is how many seconds a client is asked to wait when the cluster has no leader or the disk no room.
const retryAfter = "5"

// invalidQuery is a fault in a parameter of the query.
type invalidQuery struct{ fault *webhook.Error }

func (q invalidQuery) Error() string { return q.fault.Error() }

func badQuery(parameter, detail string) error {
	return invalidQuery{webhook.Invalid(parameter, detail)}
}

// manyInvalid is what is wrong with several fields of a body.
type manyInvalid []*webhook.Error

func (m manyInvalid) Error() string {
	texts := make([]string, len(m))
	for i, e := range m {
		texts[i] = e.Error()
	}
	return strings.Join(texts, "; ")
}

// invalidItem is one line of a 422, as the Svix API has it.
type invalidItem struct {
	Loc  []string `json:"loc"`
	Msg  string   `json:"msg"`
	Type string   `json:"type"`
}

func (s *Server) write(ctx *fasthttp.RequestCtx, a answer) {
	ctx.SetStatusCode(a.status)
	if a.value == nil {
		return
	}
	text, written := a.value.(rawJSON)
	if !written {
		var err error
		if text, err = json.Marshal(a.value); err != nil {
			s.writeError(ctx, err)
			return
		}
	}
	ctx.SetContentType("application/json")
	if l, lent := ctx.UserValue(loanValue).(*loan); lent && len(text) > smallAnswer {
		l.shrink(int64(len(text)))
		ctx.SetUserValue(loanValue, nil)
		setBody(ctx, text, l)
		return
	}
	ctx.Response.SetBodyRaw(text)
}

// writeError says what went wrong in the API's format. Errors that are not the caller's to know are logged instead.
func (s *Server) writeError(ctx *fasthttp.RequestCtx, err error) {
	var (
		known   *webhook.Error
		inQuery invalidQuery
		many    manyInvalid
	)
	switch {
	case errors.As(err, &many):
		s.writeInvalid(ctx, "body", many)
	case errors.As(err, &inQuery):
		s.writeInvalid(ctx, "query", manyInvalid{inQuery.fault})
	case errors.As(err, &known) && known.Code == webhook.CodeInvalid:
		s.writeInvalid(ctx, "body", manyInvalid{known})
	case errors.As(err, &known) && known.Code == webhook.CodeKeyReused:
		s.writeInvalid(ctx, "header", manyInvalid{known})
	case errors.As(err, &known):
		setErrorHeader(ctx, known.Code)
		s.write(ctx, answer{statusOf[known.Code], known})
	case errors.Is(err, cluster.ErrNoLeader):
		ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, retryAfter)
		s.write(ctx, answer{fasthttp.StatusServiceUnavailable, &webhook.Error{Code: webhook.CodeUnavailable,
			Detail: "The cluster has no leader at the moment, so it is not known whether this took effect. Try again."}})
	case s.config.Failed != nil && s.config.Failed(): // its log says why; another node may do what this one can't
		ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, retryAfter)
		s.write(ctx, answer{fasthttp.StatusServiceUnavailable, &webhook.Error{Code: webhook.CodeUnavailable,
			Detail: "This node has failed and is about to end, so it is not known whether this took effect. Try again."}})
	default:
		s.config.Logger.Error("a request failed", "method", string(ctx.Method()), "path", ctx.UserValue(router.MatchedRoutePathParam), "error", err)
		s.write(ctx, answer{fasthttp.StatusInternalServerError, &webhook.Error{Code: webhook.CodeInternal,
			Detail: "Something went wrong here. The log of this node says what."}})
	}
}

// setErrorHeader sets what comes with some errors: when to try again, and what would be accepted.
func setErrorHeader(ctx *fasthttp.RequestCtx, code webhook.Code) {
	header := &ctx.Response.Header
	switch code {
	case webhook.CodeNoSpace, webhook.CodeUnavailable, codeTooMany:
		header.Set(fasthttp.HeaderRetryAfter, retryAfter)
	case webhook.CodeUnauthorized:
		header.Set(fasthttp.HeaderWWWAuthenticate, "Bearer")
	case codeEncoding:
		header.Set(fasthttp.HeaderAcceptEncoding, "identity")
	}
}

func (s *Server) writeInvalid(ctx *fasthttp.RequestCtx, where string, list manyInvalid) {
	items := make([]invalidItem, len(list))
	for i, e := range list {
		items[i] = invalidItem{Loc: []string{where}, Msg: e.Detail, Type: "value_error"}
		if e.Code != webhook.CodeInvalid { // it has a type of its own
			items[i].Type = string(e.Code)
		}
		if e.Field != "" {
			items[i].Loc = append(items[i].Loc, strings.Split(e.Field, "/")...)
		}
	}
	s.write(ctx, answer{fasthttp.StatusUnprocessableEntity, struct {
		Detail []invalidItem `json:"detail"`
	}{items}})
}
