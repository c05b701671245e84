package httpapi

import (
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"

	"hookwheel/cluster"
	"hookwheel/webhook"
)

// response is what a handler returns if nothing went wrong.
type response struct {
	status int
	value  any   // encoded as JSON unless it is rawJSON or a *messageBody; nil: no body
	loan   *loan // the memory that a large body has borrowed, if any
}

func ok(value any) *response       { return &response{status: fasthttp.StatusOK, value: value} }
func created(value any) *response  { return &response{status: fasthttp.StatusCreated, value: value} }
func accepted(value any) *response { return &response{status: fasthttp.StatusAccepted, value: value} }
func noContent() *response         { return &response{status: fasthttp.StatusNoContent} }

// rawJSON is encoded JSON, for the hot path.
type rawJSON []byte

// messageBody is a message as rawJSON, in memory that is used again.
type messageBody struct{ text []byte }

var messageBodies = sync.Pool{New: func() any { return new(messageBody) }}

// maxMessageBody is how much memory is used again. Larger messages are not copied.
const maxMessageBody = 16 << 10

func newMessageBody(m *webhook.Message, withContent bool) any {
	if len(m.Payload) > maxMessageBody/2 {
		return rawJSON(appendMessageOut(nil, m, withContent))
	}
	b := messageBodies.Get().(*messageBody)
	b.text = appendMessageOut(b.text[:0], m, withContent)
	return b
}

// write writes the body, which must not be used after it.
func (b *messageBody) write(ctx *fasthttp.RequestCtx) {
	ctx.SetContentType("application/json")
	ctx.Response.SetBody(b.text)
	if cap(b.text) <= maxMessageBody {
		messageBodies.Put(b)
	}
}

// statusOf maps each code to its HTTP status.
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
	codePrecondition:           fasthttp.StatusPreconditionFailed,
	codeTooMany:                fasthttp.StatusTooManyRequests,
	codeRate:                   fasthttp.StatusTooManyRequests,
	codeEncoding:               fasthttp.StatusUnsupportedMediaType,
	codeVersion:                fasthttp.StatusHTTPVersionNotSupported,
	codeHeader:                 fasthttp.StatusRequestHeaderFieldsTooLarge,
	codeURI:                    fasthttp.StatusRequestURITooLong,
	codeTimeout:                fasthttp.StatusRequestTimeout,
	webhook.CodeInternal:       fasthttp.StatusInternalServerError,
}

// retryAfter is how many seconds a client should wait if the cluster has no leader or the disk is
// full.
const retryAfter = "5"

// invalidQuery is an invalid parameter of the query.
type invalidQuery struct{ fault *webhook.Error }

func (q invalidQuery) Error() string { return q.fault.Error() }

// manyInvalid lists the invalid fields of a body.
type manyInvalid []*webhook.Error

func (m manyInvalid) Error() string {
	texts := make([]string, len(m))
	for i, e := range m {
		texts[i] = e.Error()
	}
	return strings.Join(texts, "; ")
}

// faultsIn returns what an error says is wrong with a request, or nil if it is about something
// else.
func faultsIn(err error) manyInvalid {
	var many manyInvalid
	var one *webhook.Error
	switch {
	case errors.As(err, &many):
		return many
	case errors.As(err, &one):
		return manyInvalid{one}
	default:
		return nil
	}
}

// invalidItem is an item of a 422 response, in the format of the Svix API.
type invalidItem struct {
	Loc  []string `json:"loc"`
	Msg  string   `json:"msg"`
	Type string   `json:"type"`
}

// responder writes responses.
type responder struct {
	failed func() bool // Config.Failed; nil: never
	log    *slog.Logger
}

// write writes a response. It takes over the loan if the body outlives the call.
func (w *responder) write(ctx *fasthttp.RequestCtx, r *response) {
	ctx.SetStatusCode(r.status)
	if r.value == nil {
		return
	}
	if body, is := r.value.(*messageBody); is {
		body.write(ctx)
		return
	}
	ctx.Response.Header.Set(fasthttp.HeaderCacheControl, "no-store") // it may have secrets
	text, encoded := r.value.(rawJSON)
	if !encoded {
		var err error
		if text, err = json.Marshal(r.value); err != nil {
			w.writeError(ctx, err)
			return
		}
	}
	ctx.SetContentType("application/json")
	if r.loan != nil && len(text) > smallResponse {
		r.loan.shrink(int64(len(text)))
		setBody(ctx, text, r.loan)
		r.loan = nil
		return
	}
	ctx.Response.SetBodyRaw(text)
}

// writeError writes an error in the API's format. Errors that could reveal internals to the caller
// are logged instead.
func (w *responder) writeError(ctx *fasthttp.RequestCtx, err error) {
	var (
		known   *webhook.Error
		inQuery invalidQuery
		many    manyInvalid
	)
	switch {
	case errors.As(err, &many):
		w.writeInvalid(ctx, "body", many)
	case errors.As(err, &inQuery):
		w.writeInvalid(ctx, "query", manyInvalid{inQuery.fault})
	case errors.As(err, &known) && (known.Code == webhook.CodeKeyReused || known == errLongKey):
		w.writeInvalid(ctx, "header", manyInvalid{known})
	case errors.As(err, &known) && known.Code == webhook.CodeInvalid:
		w.writeInvalid(ctx, "body", manyInvalid{known})
	case errors.As(err, &known):
		setErrorHeader(ctx, known.Code)
		w.write(ctx, &response{status: statusOf[known.Code], value: known})
	case errors.Is(err, cluster.ErrNoLeader):
		ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, retryAfter)
		w.write(ctx, &response{status: fasthttp.StatusServiceUnavailable, value: &webhook.Error{Code: webhook.CodeUnavailable,
			Detail: tryAgain(ctx, "The cluster has no leader at the moment")}})
	case w.failed != nil && w.failed(): // the log says why; another node may still work
		ctx.Response.Header.Set(fasthttp.HeaderRetryAfter, retryAfter)
		w.write(ctx, &response{status: fasthttp.StatusServiceUnavailable, value: &webhook.Error{Code: webhook.CodeUnavailable,
			Detail: tryAgain(ctx, "This node has failed and is about to end")}})
	default:
		w.log.Error("a request failed", "method", string(ctx.Method()), "path", ctx.UserValue(router.MatchedRoutePathParam), "requestId", requestID(ctx), "error", err)
		w.write(ctx, &response{status: fasthttp.StatusInternalServerError, value: &webhook.Error{Code: webhook.CodeInternal,
			Detail: "Something went wrong here. The log of this node says what."}})
	}
}

// setErrorHeader sets the headers of some errors: when to try again, and what would be accepted.
func setErrorHeader(ctx *fasthttp.RequestCtx, code webhook.Code) {
	header := &ctx.Response.Header
	switch code {
	case webhook.CodeNoSpace, webhook.CodeUnavailable, codeTooMany:
		header.Set(fasthttp.HeaderRetryAfter, retryAfter)
	case codeRate:
		header.Set(fasthttp.HeaderRetryAfter, rateRetryAfter)
	case webhook.CodeUnauthorized:
		header.Set(fasthttp.HeaderWWWAuthenticate, "Bearer")
	case codeEncoding:
		header.Set(fasthttp.HeaderAcceptEncoding, "identity")
	}
}

// invalidItems returns the items for a list of errors below a location.
func invalidItems(list manyInvalid, location ...string) []invalidItem {
	items := make([]invalidItem, len(list))
	for i, e := range list {
		items[i] = invalidItem{Loc: slices.Clone(location), Msg: e.Detail, Type: "value_error"}
		if e.Code != webhook.CodeInvalid { // which has its own type
			items[i].Type = string(e.Code)
		}
		if e.Field != "" {
			items[i].Loc = append(items[i].Loc, strings.Split(e.Field, "/")...)
		}
	}
	return items
}

func (w *responder) writeInvalid(ctx *fasthttp.RequestCtx, location string, list manyInvalid) {
	w.write(ctx, &response{status: fasthttp.StatusUnprocessableEntity, value: struct {
		Detail []invalidItem `json:"detail"`
	}{invalidItems(list, location)}})
}

func (w *responder) notFound(ctx *fasthttp.RequestCtx) {
	w.writeError(ctx, &webhook.Error{Code: webhook.CodeNotFound, Detail: "There is no operation at this path."})
}

// methodNotAllowed leaves OPTIONS out of the Allow header, where the router has it: only the
// preflight requests of browsers are answered, and before the router has them.
func (w *responder) methodNotAllowed(ctx *fasthttp.RequestCtx) {
	methods := strings.Split(string(ctx.Response.Header.Peek(fasthttp.HeaderAllow)), ", ")
	methods = slices.DeleteFunc(methods, func(method string) bool { return method == fasthttp.MethodOptions })
	ctx.Response.Header.Set(fasthttp.HeaderAllow, strings.Join(methods, ", "))
	w.write(ctx, &response{status: fasthttp.StatusMethodNotAllowed, value: &webhook.Error{Code: "method_not_allowed",
		Detail: "This path does not answer " + string(ctx.Method()) + "; the Allow header says what it does."}})
}

// tryAgain adds to a reason why a node can't respond that a change may have been made
// nevertheless.
func tryAgain(ctx *fasthttp.RequestCtx, why string) string {
	if ctx.IsGet() {
		return why + ". Try again."
	}
	return why + ", so it is not known whether this took effect. Try again."
}
