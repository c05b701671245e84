package tracing

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	trace "go.opentelemetry.io/proto/slim/otlp/trace/v1"

	"hookwheel/systemtest/collector"
	"hookwheel/systemtest/wait"
	"hookwheel/webhook"
)

var (
	testApp      = webhook.NewID(1, 2, 3)
	testEndpoint = webhook.NewID(1, 3, 3)
	testTime     = time.UnixMilli(1_800_000_000_000)
	testProducer = &webhook.TraceContext{TraceID: [16]byte{1, 2, 15: 3}, SpanID: [8]byte{4, 5}, Sampled: true, State: "a=1"}
)

func newTracer(t *testing.T, url string, log *strings.Builder) *Tracer {
	logger := slog.New(slog.DiscardHandler)
	if log != nil {
		logger = slog.New(slog.NewTextHandler(log, nil))
	}
	return New(Config{Endpoint: url + "/v1/traces", Headers: http.Header{"X-Tenant": {"secret-tenant"}}, Sample: 1, Node: "n7", Version: "1.2.3",
		Logger: logger, Metrics: prometheus.NewRegistry()})
}

func testDelivery(c *webhook.TraceContext) (*webhook.Delivery, *webhook.Attempt) {
	m := &webhook.Message{ID: webhook.NewID(testTime.UnixMilli(), 9, 1), App: testApp, EventType: "a", Payload: []byte("a secret payload"), Trace: c}
	e := &webhook.Endpoint{ID: testEndpoint, URL: "https://user:secret-password@example.com:8443/secret-path?token=secret-query"}
	a := &webhook.Attempt{Message: m.ID, Endpoint: e.ID, URL: e.URL, Number: 1, Status: webhook.StatusFail, StatusCode: 503, Start: testTime.Add(time.Second),
		Response: []byte("a secret response"), Trace: &webhook.Trace{Peer: netip.MustParseAddrPort("203.0.113.7:8443"), Headers: []byte("Server: secret-header\n")}}
	return &webhook.Delivery{Message: m, ID: m.ID, Endpoint: e, Number: 1}, a
}

func accept(t *Tracer, producer *webhook.TraceContext, messages int) *webhook.TraceContext {
	a := &webhook.Acceptance{Context: t.Begin(producer), Producer: producer, Route: "/api/v1/app/{app}/msg", Scheme: "https", Status: 202, RequestID: "r",
		App: testApp, Messages: messages, Begun: testTime, Ended: testTime.Add(time.Millisecond),
		Commits: []webhook.Commit{{Begun: testTime, Ended: testTime.Add(time.Microsecond)}, {Begun: testTime, Ended: testTime, Failed: true}}}
	if a.Context != nil {
		t.Accepted(a)
	}
	return a.Context
}

func every(collector.Span) bool { return true }

func parentOf(s collector.Span) string { return fmt.Sprintf("%x", s.ParentSpanId) }

func checkText(t *testing.T, s collector.Span, want map[string]string) {
	t.Helper()
	if fmt.Sprint(s.Attributes) != fmt.Sprint(want) {
		t.Errorf("%s has the attributes\n%v, want\n%v", s.Name, s.Attributes, want)
	}
}

// Spans arrive as OTLP, in a tree, with attributes after the conventions and without secrets.
func TestSpans(t *testing.T) {
	c := collector.Start(t, nil)
	tracer := newTracer(t, c.URL, nil)
	kept := accept(tracer, testProducer, 2)
	d, a := testDelivery(kept)
	tracer.Attempted(d, a, testTime.Add(time.Second), 2*time.Second, "status")
	retry := *a
	retry.Number, retry.StatusCode, retry.Trace, retry.Start = 2, 0, nil, testTime.Add(2*time.Hour)
	d.Source, d.Due = webhook.SourceRetry, testTime.Add(time.Hour)
	tracer.Attempted(d, &retry, retry.Start, time.Second, "timeout")
	if err := tracer.Close(); err != nil {
		t.Fatal(err)
	}
	spans := c.Spans(every)
	if len(spans) != 7 {
		t.Fatalf("%d spans: %v", len(spans), spans)
	}
	request, commit, failed, wait, attempt, wait2, late := spans[0], spans[1], spans[2], spans[3], spans[4], spans[5], spans[6]
	app, message := testApp.Text(webhook.KindApplication), d.ID.Text(webhook.KindMessage)
	for _, s := range spans {
		if fmt.Sprint(s.Resource) != "map[service.instance.id:n7 service.name:hookwheel service.version:1.2.3]" {
			t.Errorf("%s is of %v", s.Name, s.Resource)
		}
		if s.EndTimeUnixNano < s.StartTimeUnixNano || s.Flags&0xff != 1 || len(s.SpanId) != 8 || len(s.TraceId) != 16 {
			t.Errorf("%+v", s)
		}
	}
	if request.Name != "POST /api/v1/app/{app}/msg" || request.Kind != trace.Span_SPAN_KIND_SERVER || parentOf(request) != fmt.Sprintf("%x", testProducer.SpanID) ||
		string(request.SpanId) != string(kept.SpanID[:]) || request.TraceState != "a=1" || request.Status != nil || request.Flags != 0x301 {
		t.Errorf("%+v", request)
	}
	checkText(t, request, map[string]string{"http.request.method": "POST", "http.route": "/api/v1/app/{app}/msg", "url.scheme": "https", "network.protocol.version": "1.1",
		"http.response.status_code": "202", "hookwheel.request.id": "r", "hookwheel.application.id": app, "messaging.batch.message_count": "2"})
	for _, s := range []collector.Span{commit, failed} {
		if s.Name != "commit" || s.Kind != trace.Span_SPAN_KIND_INTERNAL || string(s.ParentSpanId) != string(request.SpanId) || s.Flags != 0x101 {
			t.Errorf("%+v", s)
		}
	}
	if commit.Status != nil || failed.Status.GetCode() != trace.Status_STATUS_CODE_ERROR {
		t.Errorf("%v, %v", commit.Status, failed.Status)
	}
	for _, s := range []collector.Span{wait, wait2, attempt} {
		if string(s.ParentSpanId) != string(request.SpanId) || string(s.TraceId) != string(testProducer.TraceID[:]) || s.Flags != 0x301 || len(s.Links) > 0 {
			t.Errorf("%+v", s)
		}
	}
	if wait.Name != "wait" || wait.StartTimeUnixNano != uint64(testTime.UnixNano()) || wait.EndTimeUnixNano != attempt.StartTimeUnixNano ||
		wait2.StartTimeUnixNano != uint64(d.Due.UnixNano()) {
		t.Errorf("%+v, %+v", wait, wait2)
	}
	if attempt.Name != "POST" || attempt.Kind != trace.Span_SPAN_KIND_CLIENT || attempt.Status.GetCode() != trace.Status_STATUS_CODE_ERROR {
		t.Errorf("%+v", attempt)
	}
	want := map[string]string{"http.request.method": "POST", "url.full": "https://example.com:8443/", "server.address": "example.com", "server.port": "8443",
		"network.protocol.version": "1.1", "network.peer.address": "203.0.113.7", "network.peer.port": "8443", "http.response.status_code": "503", "error.type": "503",
		"hookwheel.application.id": app, "messaging.message.id": message, "hookwheel.endpoint.id": testEndpoint.Text(webhook.KindEndpoint),
		"hookwheel.attempt.number": "1", "hookwheel.attempt.trigger": "scheduled"}
	checkText(t, attempt, want)
	for _, key := range []string{"network.peer.address", "network.peer.port", "http.response.status_code"} {
		delete(want, key)
	}
	want["error.type"], want["hookwheel.attempt.number"], want["http.request.resend_count"] = "timeout", "2", "1"
	checkText(t, late, want)
	if len(late.ParentSpanId) > 0 || string(late.TraceId) == string(attempt.TraceId) || late.TraceState != "" || len(late.Links) != 1 ||
		string(late.Links[0].SpanId) != string(request.SpanId) || string(late.Links[0].TraceId) != string(request.TraceId) || late.Links[0].TraceState != "a=1" || late.Links[0].Flags != 0x301 {
		t.Errorf("%+v", late)
	}
	if c.Received("secret") || c.Header("X-Tenant") != "secret-tenant" || c.Header("User-Agent") != "Hookwheel/1.2.3" {
		t.Error("a secret is in a span, or a header is not in a request")
	}
}

// Who is recorded is what the producer says, and otherwise a share.
func TestSampling(t *testing.T) {
	c := collector.Start(t, nil)
	tracer := newTracer(t, c.URL, nil)
	unsampled := *testProducer
	unsampled.Sampled = false
	kept := accept(tracer, &unsampled, 1)
	if kept == nil || *kept != unsampled {
		t.Errorf("%+v became %+v", unsampled, kept)
	}
	d, a := testDelivery(kept)
	tracer.Attempted(d, a, testTime, 0, "status")
	for _, test := range []struct {
		sample   float64
		min, max int
	}{{0, 0, 0}, {0.25, 100, 400}, {1, 1000, 1000}} {
		tracer.sample = test.sample
		begun := 0
		for range 1000 {
			if c := tracer.Begin(nil); c != nil {
				begun++
				if !c.Sampled || c.TraceID == [16]byte{} || c.SpanID == [8]byte{} {
					t.Fatalf("%+v", c)
				}
			}
		}
		if begun < test.min || begun > test.max {
			t.Errorf("%d of 1000 at %v", begun, test.sample)
		}
	}
	if err := tracer.Close(); err != nil || len(c.Spans(every)) > 0 {
		t.Errorf("%v, %v", err, c.Spans(every))
	}
}

// counted returns the counter of exported spans, or with a reason that of dropped ones.
func counted(t *testing.T, tracer *Tracer, reason string) (value float64) {
	families, err := tracer.exporter.config.Metrics.(*prometheus.Registry).Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.Metric {
			if len(m.Label) == 0 && reason == "" || len(m.Label) > 0 && m.Label[0].GetValue() == reason {
				value = m.Counter.GetValue()
			}
		}
	}
	return value
}

// What a collector says decides whether spans are sent again.
func TestCollectorResponses(t *testing.T) {
	partial := "\x0a\x09\x08\x01\x12\x05sorry" // one span refused, and why
	for _, test := range []struct {
		name                       string
		first, posts               int
		body                       string
		exported, failed, rejected float64
		log                        string
	}{
		{"fine", 200, 1, "", 3, 0, 0, ""},
		{"no protobuf", 200, 1, "\xff\xff\xff", 3, 0, 0, ""},
		{"partial success", 200, 1, partial, 2, 0, 1, `refused 1 of 3 spans: \"sorry\"`},
		{"busy", 503, 2, "", 3, 0, 0, "503 Service Unavailable"},
		{"limited", 429, 2, "", 3, 0, 0, "429 Too Many Requests"},
		{"unauthorized", 401, 1, "who?", 0, 3, 0, "401 Unauthorized"},
		{"elsewhere", 302, 1, "", 0, 3, 0, "302 Found"},
		{"broken", 500, 1, "", 0, 3, 0, "500 Internal"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var posts atomic.Int32
			c := collector.Start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Location", "/v1/traces")
				if posts.Add(1) == 1 {
					w.WriteHeader(test.first)
					fmt.Fprint(w, test.body)
				}
			}))
			var log strings.Builder
			tracer := newTracer(t, c.URL, &log)
			accept(tracer, testProducer, 1)
			wait.For(t, "the outcome is known", func() bool {
				return counted(t, tracer, "")+counted(t, tracer, dropFailed)+counted(t, tracer, dropRefused) == 3
			})
			if err := tracer.Close(); err != nil {
				t.Fatal(err)
			}
			exported := counted(t, tracer, "")
			if int(posts.Load()) != test.posts || exported != test.exported || counted(t, tracer, dropFailed) != test.failed || counted(t, tracer, dropRefused) != test.rejected {
				t.Errorf("%d posts, %v exported, %v and %v dropped", posts.Load(), exported, counted(t, tracer, dropFailed), counted(t, tracer, dropRefused))
			}
			if text := log.String(); !strings.Contains(text, test.log) || test.log == "" && text != "" || strings.Contains(text, "secret") {
				t.Errorf("the log says %s", text)
			}
		})
	}
}

// A collector that does not respond, or that is not there, costs no more than a bounded buffer,
// and Close does not wait for long.
func TestDeadCollector(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts nothing: the kernel does
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, url := range map[string]string{"silent": "http://" + silent.Addr().String(), "refuses": "http://127.0.0.1:1", "no name": "http://collector.invalid"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tracer := newTracer(t, url, nil)
			var producers sync.WaitGroup
			for range 4 {
				producers.Go(func() {
					for range 10_000 {
						accept(tracer, testProducer, 1)
					}
				})
			}
			producers.Wait()
			tracer.exporter.mu.Lock()
			waiting := len(tracer.exporter.pending.data)
			tracer.exporter.mu.Unlock()
			if waiting > maxPending || counted(t, tracer, dropFull) == 0 {
				t.Errorf("%d bytes wait, %v dropped", waiting, counted(t, tracer, dropFull))
			}
			closed := make(chan error, 1)
			go func() { closed <- tracer.Close() }()
			select {
			case err := <-closed:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(wait.Patience):
				t.Fatal("Close does not return")
			}
			if all := counted(t, tracer, dropFull) + counted(t, tracer, dropFailed); all != 4*10_000*3 {
				t.Errorf("%v dropped", all)
			}
			accept(tracer, testProducer, 1) // harmless
		})
	}
}
