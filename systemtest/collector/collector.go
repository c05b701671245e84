// Package collector is a collector of OpenTelemetry for tests: it receives OTLP over HTTP and
// keeps the spans, decoded with the types that OpenTelemetry publishes.
package collector

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	trace "go.opentelemetry.io/proto/slim/otlp/trace/v1"
)

// Collector keeps the spans that arrive.
type Collector struct {
	URL     string       // that a node is configured with
	Handler http.Handler // responds if it is not nil; spans are kept only if its status is 200

	mu       sync.Mutex
	spans    []Span
	received bytes.Buffer
	headers  http.Header
}

// Span is a span with the attributes of its resource, as texts.
type Span struct {
	*trace.Span
	Resource   map[string]string
	Attributes map[string]string
}

// Start starts a collector that ends with the test. handler may be nil.
func Start(t testing.TB, handler http.Handler) *Collector {
	c := &Collector{Handler: handler}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", func(w http.ResponseWriter, r *http.Request) { c.receive(t, w, r) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

func (c *Collector) receive(t testing.TB, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil { // the sender was killed
		return
	}
	var data trace.TracesData // the same on the wire as an ExportTraceServiceRequest
	if err := proto.Unmarshal(body, &data); err != nil || len(data.ProtoReflect().GetUnknown()) > 0 || r.Header.Get("Content-Type") != "application/x-protobuf" {
		t.Errorf("a request that is not OTLP: %v, %v", err, r.Header)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if c.Handler != nil {
		recorder := httptest.NewRecorder()
		c.Handler.ServeHTTP(recorder, r)
		for name, values := range recorder.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(recorder.Code)
		if _, err := w.Write(recorder.Body.Bytes()); err != nil || recorder.Code != http.StatusOK {
			return
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.headers = r.Header
	c.received.Write(body)
	for _, resource := range data.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			for _, span := range scope.Spans {
				c.spans = append(c.spans, Span{span, texts(resource.Resource.Attributes), texts(span.Attributes)})
			}
		}
	}
}

func texts(list []*common.KeyValue) map[string]string {
	m := make(map[string]string)
	for _, attribute := range list {
		switch value := attribute.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			m[attribute.Key] = value.StringValue
		case *common.AnyValue_IntValue:
			m[attribute.Key] = fmt.Sprint(value.IntValue)
		default:
			m[attribute.Key] = fmt.Sprintf("%T", value)
		}
	}
	return m
}

// Spans returns those that have arrived and that want accepts.
func (c *Collector) Spans(want func(Span) bool) (list []Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if want(s) {
			list = append(list, s)
		}
	}
	return list
}

// Received reports whether a text was in any request.
func (c *Collector) Received(text string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Contains(c.received.Bytes(), []byte(text))
}

// Header returns a header of the last request.
func (c *Collector) Header(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.headers.Get(name)
}
