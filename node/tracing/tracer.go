// Package tracing records distributed traces of messages: how each was accepted, committed, waited
// for and attempted. It exports spans as OTLP over HTTP, the protocol of OpenTelemetry, with
// attributes that follow its semantic conventions.
//
// The encoding is written by hand. The SDK of OpenTelemetry would make the program half a megabyte
// larger and its exporter, which needs gRPC, almost three; the tests decode what is sent with
// OpenTelemetry's own types.
//
// What happens to a message calls a Tracer, which encodes spans into a buffer of bounded size and
// never waits. One goroutine, from New to Close, sends the buffer. Spans for which there is no
// room are dropped and counted.
package tracing

import (
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hookwheel/webhook"
)

// Config says where spans are sent, and which traces are recorded.
type Config struct {
	Endpoint string      // the URL of the collector for traces
	Headers  http.Header // of each request to it
	Sample   float64     // share of the messages without a traceparent that are traced
	Node     string
	Version  string
	Logger   *slog.Logger
	Metrics  prometheus.Registerer
}

// Tracer makes spans. It is safe for concurrent use.
type Tracer struct {
	sample   float64
	exporter *exporter
}

// New returns a Tracer, which must be closed.
func New(config Config) *Tracer {
	return &Tracer{sample: config.Sample, exporter: newExporter(&config)}
}

// Close sends what waits, for a limited time.
func (t *Tracer) Close() error { return t.exporter.close() }

// Begin returns the context of the span of a request. It is in the trace of the producer, if there
// is one, and is recorded only if that is. nil means that the request is not traced at all.
func (t *Tracer) Begin(producer *webhook.TraceContext) *webhook.TraceContext {
	if producer == nil {
		return t.root()
	}
	c := *producer
	if c.Sampled { // otherwise there is no span, and the producer's remains the parent of others
		c.SpanID = newSpanID()
	}
	return &c
}

// root begins a trace. The decision depends on the lower half of the ID, as in other SDKs.
func (t *Tracer) root() *webhook.TraceContext {
	c := &webhook.TraceContext{SpanID: newSpanID(), Sampled: true}
	binary.BigEndian.PutUint64(c.TraceID[:8], rand.Uint64())
	binary.BigEndian.PutUint64(c.TraceID[8:], max(1, rand.Uint64()))
	if float64(binary.BigEndian.Uint64(c.TraceID[8:])>>1) >= t.sample*(1<<63) {
		return nil
	}
	return c
}

func newSpanID() (id [8]byte) {
	binary.BigEndian.PutUint64(id[:], max(1, rand.Uint64()))
	return id
}

// Accepted records a request that created messages, and the time for each commit.
func (t *Tracer) Accepted(a *webhook.Acceptance) {
	if !a.Context.Sampled {
		return
	}
	s := span{context: *a.Context, name: "POST " + a.Route, kind: kindServer, begun: a.Begun, ended: a.Ended, failed: a.Status >= 500}
	if a.Producer != nil {
		s.parent, s.remoteParent = a.Producer.SpanID, true
	}
	s.text("http.request.method", "POST")
	s.text("http.route", a.Route)
	s.text("url.scheme", a.Scheme)
	s.number("http.response.status_code", int64(a.Status))
	s.text("network.protocol.version", "1.1")
	s.text("hookwheel.request.id", a.RequestID)
	s.ids(a.App, a.Message)
	if a.Messages > 1 {
		s.number("messaging.batch.message_count", int64(a.Messages))
	}
	if s.failed {
		s.statusType(a.Status)
	}
	t.exporter.add(&s)
	for _, commit := range a.Commits {
		s := span{context: *a.Context, parent: a.Context.SpanID, name: "commit", kind: kindInternal, begun: commit.Begun, ended: commit.Ended, failed: commit.Failed}
		s.context.SpanID = newSpanID()
		s.ids(a.App, a.Message)
		t.exporter.add(&s)
	}
}

// Attempted records an attempt, from start on, and the wait before it: the time since the message
// could have been sent. outcome is why the attempt failed, in one word.
func (t *Tracer) Attempted(d *webhook.Delivery, a *webhook.Attempt, start time.Time, took time.Duration, outcome string) {
	m := d.Message
	if m.Trace == nil || !m.Trace.Sampled {
		return
	}
	t.waited(d, start)
	c, linked := m.AttemptContext(a)
	s := span{context: c, name: "POST", kind: kindClient, begun: start, ended: start.Add(took), failed: a.Status != webhook.StatusSuccess}
	if linked {
		s.link = m.Trace
	} else {
		s.parent, s.remoteParent = m.Trace.SpanID, true
	}
	s.text("http.request.method", "POST")
	s.address(a.URL)
	s.text("network.protocol.version", "1.1")
	if a.Trace != nil && a.Trace.Peer.IsValid() {
		s.text("network.peer.address", a.Trace.Peer.Addr().String())
		s.number("network.peer.port", int64(a.Trace.Peer.Port()))
	}
	if a.StatusCode != 0 {
		s.number("http.response.status_code", int64(a.StatusCode))
	}
	switch {
	case !s.failed:
	case a.StatusCode >= 300:
		s.statusType(int(a.StatusCode))
	default:
		s.text("error.type", outcome)
	}
	s.ids(m.App, m.ID)
	s.text("hookwheel.endpoint.id", d.Endpoint.ID.Text(webhook.KindEndpoint))
	s.number("hookwheel.attempt.number", int64(a.Number))
	if a.Trigger == webhook.TriggerManual {
		s.text("hookwheel.attempt.trigger", "manual")
	} else {
		s.text("hookwheel.attempt.trigger", "scheduled")
		if a.Number > 1 {
			s.number("http.request.resend_count", int64(a.Number-1))
		}
	}
	if !a.Task.IsZero() {
		s.text("hookwheel.task.id", a.Task.Text(webhook.KindTask))
	}
	t.exporter.add(&s)
}

// waited records the wait before an attempt. When a manual attempt was asked for is not known.
func (t *Tracer) waited(d *webhook.Delivery, until time.Time) {
	since := d.Message.ID.Time()
	for _, due := range []time.Time{d.Message.DeliverAt, d.Due} {
		if due.After(since) {
			since = due
		}
	}
	if d.Source == webhook.SourceManual || !since.Before(until) {
		return
	}
	s := span{context: *d.Message.Trace, parent: d.Message.Trace.SpanID, remoteParent: true, name: "wait", kind: kindInternal, begun: since, ended: until}
	s.context.SpanID = newSpanID()
	s.ids(d.Message.App, d.Message.ID)
	s.text("hookwheel.endpoint.id", d.Endpoint.ID.Text(webhook.KindEndpoint))
	t.exporter.add(&s)
}
