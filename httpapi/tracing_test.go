package httpapi_test

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"hookwheel/config"
	"hookwheel/delivery/receivertest"
	"hookwheel/systemtest/collector"
	"hookwheel/systemtest/wait"
)

const (
	producerTrace = "0af7651916cd43dd8448eb211c80319c"
	producerSpan  = "00-" + producerTrace + "-b7ad6b7169203331-01"
)

// post sends a request with headers, given as names and values.
func (a *api) post(path, token, body string, status int, header ...string) {
	a.t.Helper()
	request, err := http.NewRequest("POST", a.url+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(header); i += 2 {
		request.Header.Add(header[i], header[i+1])
	}
	if response, text := a.do(request); response.StatusCode != status {
		a.t.Fatalf("POST %s: %d %s, want %d", path, response.StatusCode, text, status)
	}
}

// The producer's trace goes on, if it says so in the right form; that of a customer does not.
// Whatever the headers are, the response is the same.
func TestTraceOfProducer(t *testing.T) {
	c, receiver := collector.Start(t, nil), receivertest.Start(t, nil)
	a := apiStart(t, func(configuration *config.Config) {
		configuration.Tracing = config.Tracing{Endpoint: c.URL + "/v1/traces", Sample: 1}
	})
	a.call("POST", "/app", `{"name":"A","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", fmt.Sprintf(`{"uid":"e","url":%q}`, receiver.URL), 201, nil)
	portal := a.portalToken("acme")
	event := `{"eventType":"t","payload":{}}`
	for i, test := range []struct {
		path, token, body string
		status            int
		header            []string
		continues         bool
	}{
		{"/app/acme/msg", apiToken, event, 202, []string{"traceparent", producerSpan, "tracestate", "a=1"}, true},
		{"/app/acme/msg", apiToken, event, 202, []string{"TRACEPARENT", producerSpan, "tracestate", "not valid"}, true},
		{"/app/acme/msg", apiToken, event, 202, nil, false},
		{"/app/acme/msg", apiToken, event, 202, []string{"tracestate", "a=1"}, false},
		{"/app/acme/msg", apiToken, event, 202, []string{"traceparent", strings.ToUpper(producerSpan)}, false},
		{"/app/acme/msg", apiToken, event, 202, []string{"traceparent", producerSpan, "traceparent", producerSpan}, false},
		{"/app/acme/msg", apiToken, event, 202, []string{"traceparent", strings.Repeat("0", 10_000)}, false},
		{"/app/acme/endpoint/e/send-example", apiToken, `{"eventType":"svix.ping"}`, 200, []string{"traceparent", producerSpan}, true},
		{"/app/acme/endpoint/e/send-example", portal, `{"eventType":"svix.ping"}`, 200, []string{"traceparent", producerSpan}, false},
	} {
		id := fmt.Sprint("request-", i)
		a.post(test.path, test.token, test.body, test.status, append(test.header, "X-Request-Id", id)...)
		var span collector.Span
		wait.For(t, "the span of "+id, func() bool {
			list := c.Spans(func(s collector.Span) bool { return s.Attributes["hookwheel.request.id"] == id })
			if len(list) > 0 {
				span = list[0]
			}
			return len(list) > 0
		})
		if continues := hex.EncodeToString(span.TraceId) == producerTrace; continues != test.continues || continues != (len(span.ParentSpanId) > 0) {
			t.Errorf("%s %.200q: trace %x, parent %x", test.path, test.header, span.TraceId, span.ParentSpanId)
		}
		if span.Attributes["http.response.status_code"] != fmt.Sprint(test.status) || span.Attributes["messaging.message.id"] == "" {
			t.Errorf("%s: %v", test.path, span.Attributes)
		}
	}
	a.post("/app/acme/msg", apiToken, `{}`, 422, "traceparent", producerSpan, "X-Request-Id", "invalid")
	a.post("/app/acme/msg", apiToken, event, 202, "X-Request-Id", "last")
	ofRequest := func(id string) int {
		return len(c.Spans(func(s collector.Span) bool { return s.Attributes["hookwheel.request.id"] == id }))
	}
	wait.For(t, "the span of the last request", func() bool { return ofRequest("last") == 1 })
	if ofRequest("invalid") > 0 {
		t.Error("a request that creates nothing is traced")
	}
	for _, request := range receiver.Await(t, 10) {
		if len(request.Header.Values("traceparent")) > 0 || len(request.Header.Values("tracestate")) > 0 {
			t.Errorf("the receiver got %v", request.Header)
		}
	}
}

// Without a collector, no trace is kept.
func TestTraceIsOffByDefault(t *testing.T) {
	a, receiver := apiStart(t), receivertest.Start(t, nil)
	a.call("POST", "/app", `{"name":"A","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", fmt.Sprintf(`{"uid":"e","url":%q}`, receiver.URL), 201, nil)
	a.post("/app/acme/msg", apiToken, `{"eventType":"t","eventId":"m","payload":{}}`, 202, "traceparent", producerSpan)
	a.post("/app/acme/msg/batch", apiToken, `[{"eventType":"t","eventId":"n","payload":{}}]`, 202, "traceparent", producerSpan)
	app, err := a.node.Store().Application("acme")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"m", "n"} {
		if m, err := a.node.Store().Message(app.ID, name); err != nil || m.Trace != nil {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
	for _, request := range receiver.Await(t, 2) {
		if len(request.Header.Values("traceparent")) > 0 {
			t.Errorf("the receiver got %v", request.Header)
		}
	}
}
