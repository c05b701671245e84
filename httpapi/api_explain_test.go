package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"hookwheel/config"
	"hookwheel/delivery/receivertest"
	"hookwheel/systemtest/wait"
)

type apiExplanation struct {
	Text  string
	Index uint64
	Data  []struct{ EndpointUID, State, Text, AttemptID, NextAttempt string }
	Done  bool
}

// TestAPIExplain explains a message whose endpoints are in many states.
func TestAPIExplain(t *testing.T) {
	a := apiStart(t, func(c *config.Config) { c.Delivery.Retry.Delays = []time.Duration{time.Hour} })
	good, bad := receivertest.Start(t, nil), receivertest.Start(t, nil)
	bad.Say(http.StatusInternalServerError)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	for _, endpoint := range []string{
		`"uid":"good","url":"` + good.URL + `"`, `"uid":"bad","url":"` + bad.URL + `"`, `"uid":"other","channels":["other"],"url":"` + good.URL + `"`,
		`"uid":"off","disabled":true,"url":"` + good.URL + `"`,
	} {
		a.call("POST", "/app/acme/endpoint", "{"+endpoint+"}", 201, nil)
	}
	a.call("POST", "/app/acme/msg", `{"eventType":"a","eventId":"m","payload":{}}`, 202, nil)
	a.call("POST", "/app/acme/endpoint", `{"uid":"late","url":"`+good.URL+`"}`, 201, nil)
	a.awaitAttempts("/app/acme/attempt/msg/m", 2)
	var got apiExplanation
	a.call("GET", "/app/acme/msg/m/explain", "", 200, &got)
	wants := []struct{ uid, state, text string }{
		{"good", "delivered", "by attempt 1: the endpoint responded with 200"},
		{"bad", "retrying", "attempt 1 at "},
		{"other", "filtered", "channel"},
		{"off", "waiting", "the endpoint is disabled"},
		{"late", "earlier", "the endpoint was created later"},
	}
	if len(got.Data) != len(wants) || !got.Done || got.Index == 0 || !strings.HasPrefix(got.Text, "accepted at ") {
		t.Fatalf("%+v", got)
	}
	for i, want := range wants {
		if x := got.Data[i]; x.EndpointUID != want.uid || x.State != want.state || !strings.Contains(x.Text, want.text) {
			t.Errorf("got %+v, want %+v", x, want)
		}
	}
	a.call("GET", "/app/acme/msg/m/explain?limit=2", "", 200, &got)
	if len(got.Data) != 2 || got.Done {
		t.Errorf("a page of two: %+v", got)
	}
	a.call("POST", "/app/acme/msg/m/endpoint/off/resend", "", 202, nil)
	a.call("GET", "/app/acme/msg/m/explain", "", 200, &got)
	if x := got.Data[3]; x.State != "requested" || !strings.Contains(x.Text, "a resend was requested; the endpoint is disabled") {
		t.Errorf("after a resend to an endpoint that is disabled: %+v", x)
	}
}

// explained waits until a message has that state at the only endpoint of its application.
func (a *api) explained(message, state, text string) {
	a.t.Helper()
	var got apiExplanation
	wait.For(a.t, message+" to be "+state, func() bool {
		a.call("GET", "/app/acme/msg/"+message+"/explain", "", 200, &got)
		return len(got.Data) == 1 && got.Data[0].State == state
	})
	if x := got.Data[0]; !strings.Contains(x.Text, text) {
		a.t.Errorf("%s is %s: %s; want %s: %s", message, x.State, x.Text, state, text)
	}
}

// TestAPIExplainWaiting has messages wait for all that they can wait for, and then not be sent for
// all reasons that there are.
func TestAPIExplainWaiting(t *testing.T) {
	a := apiStart(t, func(c *config.Config) {
		c.Delivery.Retry.Delays = []time.Duration{time.Hour}
		c.Delivery.Breaker.MinAttempts = 4
	})
	receiver := receivertest.Start(t, nil)
	receiver.Say(http.StatusInternalServerError)
	send := func(id, more string) {
		a.call("POST", "/app/acme/msg", `{"eventType":"a","eventId":"`+id+`","payload":{}`+more+`}`, 202, nil)
	}
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"uid":"e","ordering":"key","url":"`+receiver.URL+`"}`, 201, nil)

	send("later", `,"deliverAt":"`+time.Now().Add(time.Hour).UTC().Format(time.RFC3339)+`"`)
	a.explained("later", "scheduled", "scheduled: not sent before ")
	send("first", `,"orderingKey":"k"`)
	a.explained("first", "retrying", "attempt 1 at ")
	send("second", `,"orderingKey":"k"`)
	a.explained("second", "held", "waiting for an earlier message with the same ordering key")
	for _, id := range []string{"x", "y", "z"} {
		send(id, "")
		a.explained(id, "retrying", "got status 500; the next attempt is at ")
	}
	send("behind", "")
	a.explained("behind", "waiting", "; the endpoint has been parked since ")
	a.explained("second", "held", "; the endpoint has been parked since ")

	a.call("POST", "/app/acme/endpoint/e/pause", "", 200, nil)
	a.explained("behind", "waiting", "; the endpoint is paused")
	a.call("POST", "/app/acme/endpoint/e/resume", `{"from":"now"}`, 200, nil)
	a.explained("behind", "skipped", "it was skipped on request, at ")

	a.call("POST", "/app/acme/msg/x/endpoint/e/resend", "", 202, nil)
	a.explained("x", "retrying", "manual attempt 1 at ")
	a.call("DELETE", "/app/acme/msg/y/content", "", 204, nil)
	receiver.Say(http.StatusOK)
	a.call("POST", "/app/acme/msg/x/endpoint/e/resend", "", 202, nil) // with its success the others are tried at once
	a.explained("x", "delivered", "by manual attempt 2: the endpoint responded with 200")
	a.explained("second", "delivered", "by attempt 1: the endpoint responded with 200")
	a.explained("y", "canceled", "not sent: the payload was expunged before it was sent")
}

// TestAPIExplainResendOfWaiting resends a message by hand, without success, before the endpoint's
// cursor has reached it.
func TestAPIExplainResendOfWaiting(t *testing.T) {
	a := apiStart(t, func(c *config.Config) { c.Delivery.Retry.Delays = []time.Duration{time.Hour} })
	receiver := receivertest.Start(t, nil)
	receiver.Say(http.StatusServiceUnavailable)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"uid":"e","ordering":"endpoint","onExhausted":"block","url":"`+receiver.URL+`"}`, 201, nil)
	a.call("POST", "/app/acme/msg", `{"eventType":"a","eventId":"first","payload":{}}`, 202, nil)
	a.explained("first", "retrying", "attempt 1 at ")
	a.call("POST", "/app/acme/msg", `{"eventType":"a","eventId":"m","payload":{}}`, 202, nil)
	a.call("POST", "/app/acme/msg/m/endpoint/e/resend", "", 202, nil)
	a.awaitAttempts("/app/acme/attempt/msg/m", 1)
	a.explained("m", "waiting", "got status 503; waiting in the log: the endpoint has not reached it yet")
	for _, path := range []string{"/app/acme/endpoint/e/msg", "/app/acme/msg/m/endpoint"} {
		var list struct {
			Data []struct{ EventID, StatusText string }
		}
		a.call("GET", path, "", 200, &list)
		if len(list.Data) == 0 || list.Data[0].StatusText != "sending" {
			t.Errorf("%s: %+v", path, list)
		}
	}
}

// TestAPIExplainNoLongerWanted changes the filters of an endpoint that is parked, which has it
// probed.
func TestAPIExplainNoLongerWanted(t *testing.T) {
	a := apiStart(t, func(c *config.Config) {
		c.Delivery.Retry.Delays = []time.Duration{time.Millisecond}
		c.Delivery.Breaker.MinAttempts = 1
	})
	receiver := receivertest.Start(t, nil)
	receiver.Say(http.StatusInternalServerError)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/event-type", `{"name":"b","description":"d"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"uid":"e","url":"`+receiver.URL+`"}`, 201, nil)
	a.call("POST", "/app/acme/msg", `{"eventType":"a","eventId":"m","payload":{}}`, 202, nil)
	a.explained("m", "retrying", "; the endpoint has been parked since ")
	a.call("PATCH", "/app/acme/endpoint/e", `{"filterTypes":["b"]}`, 200, nil)
	a.explained("m", "canceled", "not sent: it no longer matches the endpoint's filters (event type)")
}

// TestAPIExplainFilters changes the filters of an endpoint while a message waits that they then do
// not want, and again when it has passed.
func TestAPIExplainFilters(t *testing.T) {
	a := apiStart(t)
	receiver := receivertest.Start(t, nil)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	for _, name := range []string{"a", "b"} {
		a.call("POST", "/event-type", `{"name":"`+name+`","description":"d"}`, 201, nil)
	}
	a.call("POST", "/app/acme/endpoint", `{"uid":"e","url":"`+receiver.URL+`"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint/e/pause", "", 200, nil)
	a.call("POST", "/app/acme/msg", `{"eventType":"a","eventId":"m","payload":{}}`, 202, nil)
	a.call("PATCH", "/app/acme/endpoint/e", `{"filterTypes":["b"]}`, 200, nil)
	a.call("POST", "/app/acme/endpoint/e/resume", "", 200, nil)
	a.call("POST", "/app/acme/msg", `{"eventType":"b","eventId":"after","payload":{}}`, 202, nil)
	a.explained("after", "delivered", "")
	a.explained("m", "filtered", "it does not match the endpoint's filters (event type")
	a.call("PATCH", "/app/acme/endpoint/e", `{"filterTypes":["a"]}`, 200, nil)
	a.explained("m", "earlier", "the endpoint had passed it before the current filters took effect")
}

// TestAPIExplainGivenUp explains messages that were given up.
func TestAPIExplainGivenUp(t *testing.T) {
	for _, test := range []struct {
		retries int
		text    string
	}{{0, "given up: attempt 1 at "}, {1, "given up after 2 attempts: attempt 2 at "}} {
		a := apiStart(t, func(c *config.Config) { c.Delivery.Retry.Delays = make([]time.Duration, test.retries) })
		receiver := receivertest.Start(t, nil)
		receiver.Say(http.StatusInternalServerError)
		a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
		a.call("POST", "/app/acme/endpoint", `{"uid":"e","url":"`+receiver.URL+`"}`, 201, nil)
		a.call("POST", "/app/acme/msg", `{"eventType":"a","eventId":"m","payload":{}}`, 202, nil)
		a.explained("m", "given up", test.text)
	}
}

// TestAPIExpungeAndStats expunges what was delivered, and counts it.
func TestAPIExpungeAndStats(t *testing.T) {
	a := apiStart(t)
	receiver := receivertest.Start(t, nil)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"uid":"e","url":"`+receiver.URL+`","channels":["none"]}`, 201, nil)
	a.call("POST", "/event-type", `{"name":"user.made","description":"d","schemas":{"1":{"type":"object","examples":[{"n":1},{"n":2}]},"2":{}}}`, 201, nil)
	a.call("POST", "/event-type", `{"name":"bare","description":"d"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint/e/send-example", `{"eventType":"user.made","exampleIndex":1}`, 200, nil)
	a.call("POST", "/app/acme/endpoint/e/send-example", `{"eventType":"nothing"}`, 404, nil)
	response, text := a.raw("POST", "/api/v1/app/acme/endpoint/e/send-example", "Bearer "+apiToken, []byte(`{"eventType":"bare"}`))
	if response.StatusCode != 400 || !strings.Contains(string(text), `"code":"invalid_scheme"`) {
		t.Errorf("no example: %d %s", response.StatusCode, text)
	}
	var ping apiThing
	a.call("POST", "/app/acme/endpoint/e/send-example", `{"eventType":"svix.ping"}`, 200, &ping)
	bodies := make(map[string]bool)
	for _, request := range receiver.Await(t, 2) {
		bodies[string(request.Body)] = true
	}
	if !bodies[`{"n":2}`] || !bodies[`{"success": true}`] {
		t.Errorf("arrived: %v", bodies)
	}
	attempts := a.awaitAttempts("/app/acme/attempt/endpoint/e", 2)
	last := attempts.Data[0]
	a.call("DELETE", "/app/acme/msg/"+ping.ID+"/content", "", 204, nil)
	a.call("DELETE", "/app/acme/msg/"+last.MsgID+"/attempt/"+last.ID+"/content", "", 204, nil)
	a.call("DELETE", "/app/acme/msg/"+last.MsgID+"/attempt/atmpt_x/content", "", 404, nil)
	var m, attempt apiThing
	if a.call("GET", "/app/acme/msg/"+ping.ID, "", 200, &m); string(m.Payload) != `{"expired":true}` {
		t.Errorf("expunged: %s", m.Payload)
	}
	if a.call("GET", "/app/acme/msg/"+last.MsgID+"/attempt/"+last.ID, "", 200, &attempt); attempt.Response != "EXPUNGED" {
		t.Errorf("expunged: %s", attempt.Response)
	}
	a.call("POST", "/app/acme/msg/"+ping.ID+"/endpoint/e/resend", "", 400, nil)
	stats := a.get("/app/acme/endpoint/e/stats")
	if stats["success"] != 2.0 || stats["fail"] != 0.0 || stats["canceled"] != 0.0 || stats["pending"] != 0.0 || stats["sending"] != 0.0 {
		t.Errorf("stats: %v", stats)
	}
	for _, query := range []string{"?since=2020-01-01T00:00:00Z", "?until=2999-01-01T00:00:00Z"} {
		response, text := a.raw("GET", "/api/v1/app/acme/endpoint/e/stats"+query, "Bearer "+apiToken, nil)
		if response.StatusCode != 400 || !strings.Contains(string(text), `"code":"invalid_range"`) {
			t.Errorf("%s: %d %s", query, response.StatusCode, text)
		}
	}
}
