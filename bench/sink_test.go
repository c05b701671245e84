package bench

import (
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// post sends a body to a URL and returns the status of the answer.
func post(t *testing.T, url string, body []byte) int {
	t.Helper()
	request, response := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	request.Header.SetMethod("POST")
	request.SetRequestURI(url)
	request.SetBody(body)
	if err := fasthttp.DoTimeout(request, response, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode()
}

func payloadOf(event int) []byte {
	body := make([]byte, 100)
	writePayload(body, event, now())
	return body
}

func TestSinkCountsUnknownRequests(t *testing.T) {
	sink := newTestSink(t, 1, 10)
	cases := []struct {
		url    string
		body   []byte
		status int
	}{
		{sink.URL(0), payloadOf(10), 200}, // one beyond the last event
		{sink.URL(0), payloadOf(9_999_999_999), 200},
		{sink.URL(0), []byte(`{"hello":"world"}`), 200},
		{sink.URL(0), nil, 200},
		{sink.URL(2), payloadOf(1), 404},
		{sink.URL(0) + "x", payloadOf(1), 404},
		{sink.URL(0)[:len(sink.URL(0))-1], payloadOf(1), 404},
	}
	for _, c := range cases {
		if got := post(t, c.url, c.body); got != c.status {
			t.Errorf("%s %s: status %d, expected %d", c.url, c.body, got, c.status)
		}
	}
	if sink.Unknown() != len(cases) || sink.Delivered(0) != 0 {
		t.Errorf("unknown %d of %d, delivered %d", sink.Unknown(), len(cases), sink.Delivered(0))
	}
}

func TestSinkMisbehaves(t *testing.T) {
	sink := newTestSink(t, 2, 10)
	sink.SetRespond(func(endpoint, event int, ctx *fasthttp.RequestCtx) bool {
		switch {
		case endpoint == 1:
			return false
		case event == 2:
			ctx.SetStatusCode(201)
		default:
			ctx.SetStatusCode(500)
		}
		return true
	})
	for event, want := range []int{500, 500, 201, 500} {
		if got := post(t, sink.URL(0), payloadOf(event)); got != want {
			t.Errorf("event %d: status %d, expected %d", event, got, want)
		}
	}
	if got := post(t, sink.URL(1), payloadOf(1)); got != 200 {
		t.Errorf("endpoint 1: status %d", got)
	}
	sink.SetRespond(nil)
	if got := post(t, sink.URL(0), payloadOf(0)); got != 200 {
		t.Errorf("after the fault: status %d", got)
	}
	if sink.Delivered(0) != 2 || sink.Arrivals(0, 0) != 1 || sink.Arrivals(0, 1) != 0 || sink.Arrivals(0, 2) != 1 {
		t.Errorf("endpoint 0: delivered %d", sink.Delivered(0))
	}
	if sink.Delivered(1) != 1 || sink.Latency(1).Count() != 1 || sink.Unknown() != 0 {
		t.Errorf("endpoint 1: delivered %d, unknown %d", sink.Delivered(1), sink.Unknown())
	}
}

func TestNewSinkRefusesNonsense(t *testing.T) {
	for _, c := range []struct {
		listen            string
		endpoints, events int
	}{
		{"127.0.0.1:0", 0, 1}, {"127.0.0.1:0", 1, 0}, {"127.0.0.1:0", 1 << 20, 1 << 20}, {"nowhere", 1, 1},
	} {
		if sink, err := NewSink(c.listen, c.endpoints, c.events); err == nil {
			sink.Close()
			t.Errorf("accepted %+v", c)
		}
	}
}
