package httpapi

import (
	"crypto/rand"
	"crypto/subtle"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/fasthttp/router"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

// headerRequestID is in each response. A client may choose it, to find its request in the log.
const headerRequestID = "X-Request-Id"

const maxRequestID = 64 // bytes of one that a client chooses

// callerValue is the key of the user value of a request that has its caller.
type callerValue struct{}

// setRequestID gives the response the ID of the request: the client's, or that of a Svix SDK, if
// it can be logged as it is, or else a new one.
func (s *Server) setRequestID(ctx *fasthttp.RequestCtx) {
	header := &ctx.Request.Header
	id := string(header.Peek(headerRequestID))
	if id == "" {
		id = string(header.Peek("Svix-Req-Id"))
	}
	if !isRequestID(id) || isLike(id, tokenOf(header)) || s.live.Load().isSecret(id) {
		id = rand.Text()
	}
	ctx.Response.Header.Set(headerRequestID, id)
}

// isLike reports whether a request ID may give away a token.
func isLike(id, token string) bool {
	return token != "" && (strings.Contains(id, token) || strings.Contains(token, id))
}

// isSecret reports whether a request ID is a secret of the configuration, whatever the request
// presents as its token. A part of one is not looked for: who asks may not know it, and would learn
// from the response that it is a part.
func (l *live) isSecret(id string) bool {
	return subtle.ConstantTimeCompare([]byte(id), []byte(l.Token))|subtle.ConstantTimeCompare([]byte(id), []byte(l.JWTSecret)) == 1
}

func isRequestID(id string) bool {
	return id != "" && len(id) <= maxRequestID && !strings.ContainsFunc(id, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-_.", c)
	})
}

// requestID returns the ID of a request.
func requestID(ctx *fasthttp.RequestCtx) string {
	return string(ctx.Response.Header.Peek(headerRequestID))
}

// statusClasses are the classes of status codes: of the codes from 100 on, from 200 on, and so on.
var statusClasses = [...]string{"1xx", "2xx", "3xx", "4xx", "5xx"}

// accessLog counts the responses, and logs and traces the requests.
type accessLog struct {
	live     *atomic.Pointer[live]
	log      *slog.Logger
	tracer   Tracer // nil: nothing is traced
	counts   *prometheus.CounterVec
	statuses [len(statusClasses)]prometheus.Counter // of counts
}

func newAccessLog(config *Config, live *atomic.Pointer[live]) *accessLog {
	l := &accessLog{live: live, log: config.Logger, tracer: config.Tracer, counts: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "hookwheel_http_responses_total", Help: "Responses to requests to this node, by class of status code."}, []string{"class"})}
	for i, class := range statusClasses {
		l.statuses[i] = l.counts.WithLabelValues(class)
	}
	return l
}

// record counts a response, logs the request if that is wanted, and ends its trace.
func (l *accessLog) record(ctx *fasthttp.RequestCtx, begun time.Time) {
	if class := ctx.Response.StatusCode()/100 - 1; class >= 0 && class < len(l.statuses) {
		l.statuses[class].Inc()
	}
	if l.live.Load().AccessLog {
		l.logRequest(ctx, begun)
	}
	if l.tracer != nil {
		l.endTrace(ctx, begun)
	}
}

var knownMethods = []string{fasthttp.MethodGet, fasthttp.MethodHead, fasthttp.MethodPost, fasthttp.MethodPut, fasthttp.MethodPatch,
	fasthttp.MethodDelete, fasthttp.MethodOptions}

// logRequest logs a request. The log has nothing that a client could put a secret
// into but the request ID: of the path it has the pattern, and of the caller the ID.
func (l *accessLog) logRequest(ctx *fasthttp.RequestCtx, begun time.Time) {
	method := string(ctx.Method())
	if !slices.Contains(knownMethods, method) {
		method = "other"
	}
	route, _ := ctx.UserValue(router.MatchedRoutePathParam).(string)
	var actor webhook.Actor
	if caller, known := ctx.UserValue(callerValue{}).(*webhook.APIKey); known {
		actor = actorOf(caller)
	}
	list := []any{"method", method, "route", route, "status", ctx.Response.StatusCode(), "bytes", bodySize(&ctx.Response, method),
		"milliseconds", float64(time.Since(begun).Microseconds()) / 1000, "requestId", requestID(ctx)}
	if actor.Type != "" {
		list = append(list, "caller", string(actor.Type), "role", string(actor.Role))
	}
	if !actor.Key.IsZero() {
		list = append(list, "key", actor.Key.Text(webhook.KindAPIKey))
	}
	l.log.Info("request", list...)
}

// bodySize returns the size of the body of a response; -1 for a stream whose end is not known.
func bodySize(response *fasthttp.Response, method string) int {
	switch {
	case method == fasthttp.MethodHead:
		return 0
	case response.IsBodyStream():
		return max(response.Header.ContentLength(), -1)
	default:
		return len(response.Body())
	}
}
