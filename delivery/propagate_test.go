package delivery

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"hookwheel/webhook"
)

func TestPropagateTo(t *testing.T) {
	for _, test := range []struct {
		list receivers
		host string
		want bool
	}{
		{nil, "a.example", false},
		{receivers{"*"}, "a.example", true},
		{receivers{"*"}, "10.0.0.1", true},
		{receivers{"a.example"}, "a.example", true},
		{receivers{"A.Example"}, "a.example", true},
		{receivers{"b.example", "a.example"}, "x.y.a.example", true},
		{receivers{"a.example"}, "ba.example", false},
		{receivers{"a.example"}, "example", false},
		{receivers{"10.0.0.1"}, "10.0.0.1", true},
		{receivers{"0.0.1"}, "10.0.0.1", false},
		{receivers{"10.0.0.1"}, "x.10.0.0.1.example", false},
		{receivers{"2001:db8:0::1"}, "2001:db8::1", true},
		{receivers{"2001:db8::1"}, "2001:db8::2", false},
	} {
		if got := test.list.include(test.host); got != test.want {
			t.Errorf("%v includes %s: %v", test.list, test.host, got)
		}
	}
}

// Receivers get the context of the attempt if they are to, once, and what was sent is shown again.
// Headers that the endpoint has of its own take precedence.
func TestPropagation(t *testing.T) {
	var got http.Header
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header }))
	defer receiver.Close()
	address, err := url.Parse(receiver.URL)
	if err != nil {
		t.Fatal(err)
	}
	host := address.Hostname()
	context := &webhook.TraceContext{TraceID: [16]byte{1}, SpanID: [8]byte{2}, Sampled: true, State: "vendor=x"}
	for _, test := range []struct {
		name      string
		propagate []string
		own       string
		context   *webhook.TraceContext
		ours      bool
		parent    []string // of the endpoint
		state     []string
	}{
		{name: "by default", context: context},
		{name: "to others", propagate: []string{"other.example"}, context: context},
		{name: "to this one", propagate: []string{"other.example", host}, context: context, ours: true},
		{name: "to all", propagate: []string{"*"}, context: context, ours: true},
		{name: "a message without a trace", propagate: []string{"*"}},
		{name: "own traceparent", propagate: []string{"*"}, own: `{"TraceParent": "own"}`, context: context, parent: []string{"own"}},
		{name: "own tracestate", propagate: []string{"*"}, own: `{"tracestate": "own"}`, context: context, state: []string{"own"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newTestSender(loopback)
			s.timeout, s.secrets.propagate = time.Minute, test.propagate
			defer s.dialer.abort()
			d := testDelivery(receiver.URL)
			m := *d.Message
			m.ID, m.Trace = webhook.NewID(time.Now().UnixMilli(), 1, 0), test.context
			d.Message, d.ID = &m, m.ID
			if test.own != "" {
				d.Endpoint.Headers = seal(test.own)
			}
			a, why, _ := s.send(s.begin(d))
			if why != reasonSuccess || a.Trace.Propagated != test.ours {
				t.Fatalf("%s %+v", why, a.Trace)
			}
			if test.ours {
				c, _ := m.AttemptContext(&a)
				test.parent = []string{string(c.AppendTraceparent(nil))}
				if c.State != "" {
					test.state = []string{c.State}
				}
			}
			if !slices.Equal(got.Values("traceparent"), test.parent) || !slices.Equal(got.Values("tracestate"), test.state) {
				t.Errorf("sent %q and %q, want %q and %q", got.Values("traceparent"), got.Values("tracestate"), test.parent, test.state)
			}
			shown, err := (&Pool{sender: newTestSender(loopback)}).SentHeaders(d.Endpoint, &m, &a) // of a node with other settings
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range shown {
				if !slices.Contains(got.Values(h.Name), h.Value) && h.Name != "Host" {
					t.Errorf("shown %s: %s, sent %q", h.Name, h.Value, got.Values(h.Name))
				}
				got.Del(h.Name)
			}
			if len(got) > 0 {
				t.Errorf("not shown: %v", got)
			}
		})
	}
}
