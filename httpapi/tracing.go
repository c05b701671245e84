package httpapi

import (
	"slices"
	"time"

	"github.com/fasthttp/router"
	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

// Tracer records the traces of messages.
type Tracer interface {
	// Begin returns the context that the messages of a request keep, which is that of its span;
	// nil: none. producer is that of the caller; nil: it has none.
	Begin(producer *webhook.TraceContext) *webhook.TraceContext
	// Accepted records how the request went.
	Accepted(*webhook.Acceptance)
}

// traceValue is the key of the user value of a request that has its *trace.
type traceValue struct{}

// trace is that of a request that creates messages. A nil one records nothing.
type trace struct{ webhook.Acceptance }

// trace returns the trace of a request, or nil. The first call begins it. The trace headers of a
// customer are ignored, as the customer's traces are not ours.
func (r *request) trace(app webhook.ID) *trace {
	tracer := r.server.config.Tracer
	if tracer == nil {
		return nil
	}
	if begun, is := r.http.UserValue(traceValue{}).(*trace); is {
		return begun
	}
	t := new(trace)
	if header := &r.http.Request.Header; !r.byCustomer() {
		parents := slices.Clone(header.PeekAll("Traceparent")) // the next call uses its memory
		t.Producer = webhook.ParseTraceContext(parents, header.PeekAll("Tracestate"))
	}
	if t.App, t.Context = app, tracer.Begin(t.Producer); t.Context == nil {
		t = nil
	}
	r.http.SetUserValue(traceValue{}, t)
	return t
}

// commit returns the context that messages keep which are about to be replicated, and the time.
func (t *trace) commit() (*webhook.TraceContext, time.Time) {
	if t == nil {
		return nil, time.Time{}
	}
	return t.Context, time.Now()
}

// committed notes how that went, with how many there are and the ID of one.
func (t *trace) committed(begun time.Time, count int, id webhook.ID, err error) {
	if t == nil {
		return
	}
	t.Commits = append(t.Commits, webhook.Commit{Begun: begun, Ended: time.Now(), Failed: err != nil})
	t.Messages += count
	t.Message = id
}

// endTrace records the trace of a request, if it has one.
func (l *accessLog) endTrace(ctx *fasthttp.RequestCtx, begun time.Time) {
	a, _ := ctx.UserValue(traceValue{}).(*trace)
	if a == nil {
		return
	}
	a.Route, _ = ctx.UserValue(router.MatchedRoutePathParam).(string)
	a.Scheme = "http"
	if ctx.IsTLS() {
		a.Scheme = "https"
	}
	if a.Messages > 1 {
		a.Message = webhook.ID{}
	}
	a.Status, a.RequestID, a.Begun, a.Ended = ctx.Response.StatusCode(), requestID(ctx), begun, time.Now()
	l.tracer.Accepted(&a.Acceptance)
}
