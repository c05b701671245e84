package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"hookwheel/config"
	"hookwheel/delivery/receivertest"
	"hookwheel/httpapi/apitest"
)

type apiTrace struct {
	Trace struct {
		Peer          *string
		SentBytes     int
		ReceivedBytes int
		FirstByteMs   float64
		Control       *string
	}
}

type apiHeaders struct {
	Sensitive               []string
	SentHeaders             map[string]string
	ResponseHeaders         [][2]string
	SentHeadersComplete     bool
	ResponseHeadersComplete bool
}

// TestAttemptHeaders shows what was sent and received to those who may see it, until the endpoint
// changes.
func TestAttemptHeaders(t *testing.T) {
	a := apiStart(t)
	receiver := receivertest.Start(t, nil)
	a.call("POST", "/app", `{"name":"A","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", fmt.Sprintf(`{"uid":"e","url":%q}`, receiver.URL), 201, nil)
	a.call("PUT", "/app/acme/endpoint/e/headers", `{"headers":{"X-Api-Key":"geheim","X-Pin":"1234","X-Team":"billing"}}`, 204, nil)
	a.call("POST", "/app/acme/msg", `{"eventType":"t","eventId":"m","payload":{"n":1}}`, 202, nil)
	attempt := a.awaitAttempts("/app/acme/attempt/msg/m", 1).Data[0]
	path := "/app/acme/msg/m/attempt/" + attempt.ID
	portal, reader := a.portalToken("acme"), a.newKey(`{"name":"r","role":"reader"}`).Token
	var byOperator, byPortal, byReader apiHeaders
	for token, out := range map[string]*apiHeaders{apiToken: &byOperator, portal: &byPortal, reader: &byReader} {
		a.callWith(token, "GET", path+"/headers", "", 200, out)
		if out.SentHeaders["X-Api-Key"] != "" || !out.SentHeadersComplete || !out.ResponseHeadersComplete || len(out.ResponseHeaders) == 0 ||
			out.SentHeaders["X-Team"] != "billing" || out.SentHeaders["Webhook-Id"] == "" {
			t.Errorf("%+v", out)
		}
	}
	for name, h := range map[string]apiHeaders{"operator": byOperator, "portal": byPortal} {
		if h.SentHeaders["Webhook-Signature"] == "" || h.SentHeaders["X-Pin"] != "1234" || strings.Join(h.Sensitive, " ") != "X-Api-Key" {
			t.Errorf("%s sees %+v", name, h)
		}
	}
	if strings.Join(byReader.Sensitive, " ") != "Svix-Signature Webhook-Signature X-Api-Key X-Pin" {
		t.Errorf("a reader sees %+v", byReader)
	}

	a.call("PUT", "/app/acme/endpoint/e/headers", `{"headers":{}}`, 204, nil)
	var changed apiHeaders
	a.call("GET", path+"/headers", "", 200, &changed)
	if changed.SentHeadersComplete || len(changed.SentHeaders) != 4 || len(changed.ResponseHeaders) == 0 {
		t.Errorf("after a change: %+v", changed)
	}
	a.call("DELETE", path+"/content", "", 204, nil)
	var expunged apiHeaders
	if a.call("GET", path+"/headers", "", 200, &expunged); expunged.ResponseHeadersComplete || len(expunged.ResponseHeaders) != 0 {
		t.Errorf("after the response was expunged: %+v", expunged)
	}
	a.call("GET", path+"x/headers", "", 404, nil)
}

// TestTraceShown shows traces in attempts, explanations and the tail. Private addresses are only
// for operators.
func TestTraceShown(t *testing.T) {
	a := apiStart(t, func(c *config.Config) { c.Delivery.Retry.Delays = []time.Duration{time.Hour} })
	receiver := receivertest.Start(t, nil)
	receiver.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("webhook-delivery", "abort-message")
		w.WriteHeader(500)
	})
	a.call("POST", "/app", `{"name":"A","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", fmt.Sprintf(`{"uid":"e","url":%q}`, receiver.URL), 201, nil)
	portal := a.portalToken("acme")
	tails := map[string]*apitest.Tail{apiToken: apitest.Follow(t, apiToken, "", a.url), portal: apitest.Follow(t, portal, "", a.url)}
	a.call("POST", "/app/acme/msg", `{"eventType":"t","eventId":"m","payload":{}}`, 202, nil)
	attempt := a.awaitAttempts("/app/acme/attempt/msg/m", 1).Data[0]
	address := receiver.Listener.Addr().String()
	for token, tail := range tails {
		var one apiTrace
		a.callWith(token, "GET", "/app/acme/msg/m/attempt/"+attempt.ID, "", 200, &one)
		if one.Trace.SentBytes == 0 || one.Trace.ReceivedBytes == 0 || one.Trace.FirstByteMs <= 0 || one.Trace.Control == nil || *one.Trace.Control != "abort-message" {
			t.Errorf("%+v", one)
		}
		if shown := one.Trace.Peer != nil && *one.Trace.Peer == address; shown != (token == apiToken) {
			t.Errorf("peer %v", one.Trace.Peer)
		}
		for _, path := range []string{"/app/acme/attempt", "/app/acme/attempt/endpoint/e", "/app/acme/attempt/msg/m"} {
			var list struct{ Data []apiTrace }
			if a.callWith(token, "GET", path, "", 200, &list); (list.Data[0].Trace.Peer != nil) != (token == apiToken) {
				t.Errorf("%s: peer %v", path, list.Data[0].Trace.Peer)
			}
		}
		var why struct {
			Index, Place *int
			Text         string
			Data         []struct {
				apiTrace
				State, Text string
			}
		}
		a.callWith(token, "GET", "/app/acme/msg/m/explain", "", 200, &why)
		if got := why.Data[0]; got.State != "given up" || !strings.Contains(got.Text, "abort-message") || (got.Trace.Peer != nil) != (token == apiToken) {
			t.Errorf("explained as %+v", got)
		}
		if inLog := strings.Contains(why.Text, "of the log"); (why.Index != nil) != (token == apiToken) || (why.Place != nil) != (token == apiToken) || inLog != (token == apiToken) {
			t.Errorf("index %v, place %v: %s", why.Index, why.Place, why.Text)
		}
		tail.Await(t, 1)
		for _, event := range tail.Events() {
			if text := event.Data; event.Name == "attempt" && (!strings.Contains(text, `"firstByteMs":`) || strings.Contains(text, `"peer":"`+address) && token != apiToken) {
				t.Errorf("in the tail: %s", text)
			}
		}
	}
}
