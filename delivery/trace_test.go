package delivery

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"hookwheel/webhook"
)

// traceTo makes attempts at one endpoint, one after the other, and returns them.
func traceTo(t *testing.T, endpoint *webhook.Endpoint, count int) (list []webhook.Attempt) {
	t.Helper()
	s := newTestSender(loopback)
	s.timeout = time.Minute
	defer s.dialer.abort()
	m := &webhook.Message{ID: webhook.NewID(1_790_000_000_000, 1, 0), Payload: []byte(`{"a": 1}`)}
	for range count {
		a, _, _ := s.send(s.begin(webhook.Delivery{Message: m, ID: m.ID, Endpoint: endpoint, Number: 1}))
		list = append(list, a)
	}
	return list
}

// TestTrace checks the trace of attempts against what the receiver has seen.
func TestTrace(t *testing.T) {
	var sent http.Header
	receiver := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sent = r.Header.Clone()
		sent.Set("Host", r.Host)
		w.Header().Set("Set-Cookie", "session=geheim")
		w.Header().Set("X-Api-Key", "geheim")
		w.Header().Set("X-Weird", "a\xff\tb")
		w.Header().Set("Webhook-Delivery", "Abort-Message")
		fmt.Fprint(w, "hello")
	}))
	defer receiver.Close()
	endpoint := &webhook.Endpoint{URL: receiver.URL, Keys: testKeys, InsecureTLS: true, Envelope: true, Style: webhook.StyleStripe}
	list := traceTo(t, endpoint, 2)
	address := receiver.Listener.Addr().String()
	for i, a := range list {
		trace := a.Trace
		if trace == nil || a.StatusCode != 200 {
			t.Fatalf("attempt %+v", a)
		}
		if trace.Peer.String() != address || !trace.Internal || trace.Proxied || trace.TLS != 0x304 || trace.Reused != (i == 1) || trace.Control != webhook.ControlAbort {
			t.Errorf("attempt %d: %+v", i+1, trace)
		}
		if (trace.Connect > 0) != (i == 0) || (trace.Handshake > 0) != (i == 0) || trace.Lookup != 0 || trace.FirstByte <= 0 {
			t.Errorf("attempt %d: times %+v", i+1, trace)
		}
		if trace.Sent < 300 || trace.Received < 100 {
			t.Errorf("attempt %d: sent %d, received %d bytes", i+1, trace.Sent, trace.Received)
		}
		headers := string(trace.Headers)
		if strings.Contains(headers, "geheim") || !strings.Contains(headers, "Set-Cookie: ***\n") || !strings.Contains(headers, "X-Weird: a\xff\tb\n") || trace.HeadersCut {
			t.Errorf("headers %q", headers)
		}
	}
	pool := &Pool{sender: newTestSender(loopback)}
	m := &webhook.Message{ID: list[1].Message, Payload: []byte(`{"a": 1}`)}
	again, err := pool.SentHeaders(endpoint, m, &list[1])
	if err != nil || len(again) == 0 {
		t.Fatal(again, err)
	}
	for _, h := range again {
		if sent.Get(h.Name) != h.Value || h.Custom {
			t.Errorf("%s: sent %q, computed %q", h.Name, sent.Get(h.Name), h.Value)
		}
		sent.Del(h.Name)
	}
	if len(sent) > 0 {
		t.Errorf("not computed: %v", sent)
	}
	changed := *endpoint
	changed.Keys = append([]webhook.Key{{Sealed: new(webhook.Keyring).Seal([]byte(webhook.Secret(make([]byte, 30)).Text()), nil)}}, testKeys...)
	for name, known := range map[string][]webhook.SentHeader{
		"another secret":    must(pool.SentHeaders(&changed, m, &list[1])),
		"no endpoint":       must(pool.SentHeaders(nil, m, &list[1])),
		"expunged":          must(pool.SentHeaders(endpoint, &webhook.Message{ID: m.ID, Expunged: true}, &list[1])),
		"without a trace":   must(pool.SentHeaders(endpoint, m, &webhook.Attempt{})),
		"without a message": must(pool.SentHeaders(endpoint, nil, &list[1])),
	} {
		if known != nil {
			t.Errorf("%s: %v", name, known)
		}
	}
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// TestTraceOfFailures checks the traces of attempts without a response.
func TestTraceOfFailures(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	a := traceTo(t, &webhook.Endpoint{URL: "http://" + l.Addr().String(), Keys: testKeys}, 1)[0]
	if a.Trace == nil || a.Trace.Peer.String() != l.Addr().String() || a.Trace.Sent != 0 || a.Trace.Received != 0 {
		t.Errorf("refused: %+v", a.Trace)
	}
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	a = traceTo(t, &webhook.Endpoint{URL: secure.URL, Keys: testKeys}, 1)[0]
	if a.Trace == nil || a.Trace.Peer.String() != secure.Listener.Addr().String() || a.Trace.Sent != 0 || a.Trace.Handshake <= 0 {
		t.Errorf("certificate: %+v", a.Trace)
	}
}

// TestTraceHeaderBounds limits the headers that are kept.
func TestTraceHeaderBounds(t *testing.T) {
	status := http.StatusOK
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("A-Long", strings.Repeat("a", 20_000))
		for i := range 100 {
			w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("b", 90))
		}
		w.WriteHeader(status)
	}))
	defer receiver.Close()
	for code, limit := range map[int]int{200: webhook.MaxHeadersSuccess, 500: webhook.MaxHeaders} {
		status = code
		trace := traceTo(t, &webhook.Endpoint{URL: receiver.URL, Keys: testKeys}, 1)[0].Trace
		if trace == nil || len(trace.Headers) > limit || !trace.HeadersCut || len(trace.Headers) > 0 && trace.Headers[len(trace.Headers)-1] != '\n' {
			t.Errorf("status %d: %d bytes of headers, cut: %v", code, len(trace.Headers), trace.HeadersCut)
		}
		if trace.CutHeaders(128); len(trace.Headers) > 128 {
			t.Errorf("status %d: cut to %d bytes", code, len(trace.Headers))
		}
	}
}
