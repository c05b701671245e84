package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"hookwheel/config"
	"hookwheel/delivery/receivertest"
)

// get answers with the fields of an object.
func (a *api) get(path string) map[string]any {
	a.t.Helper()
	var fields map[string]any
	a.call("GET", path, "", 200, &fields)
	return fields
}

func (a *api) list(path string) (list apiList) {
	a.t.Helper()
	a.call("GET", path, "", 200, &list)
	return list
}

func TestAPIMessageFields(t *testing.T) {
	a := apiStart(t)
	receiver := receivertest.Start(t, nil)
	at := time.Now().Add(500 * time.Millisecond).UTC().Truncate(time.Millisecond)
	a.call("POST", "/app/acme/msg", `{"eventType":"first","payload":{},"application":{"name":"Acme","uid":"acme"}}`, 202, nil)
	a.call("POST", "/app/acme/msg", `{"eventType":"second","payload":{},"application":{"name":"Other","uid":"other"}}`, 202, nil) // is not looked at any more
	a.call("POST", "/app/acme/endpoint", `{"uid":"e","url":"`+receiver.URL+`"}`, 201, nil)
	var m apiThing
	a.call("POST", "/app/acme/msg", `{"eventType":"a","eventId":"full","payload":{"n": 1},"channels":["c"],"tags":["x\\y","z/1"],"orderingKey":"k",
		"deliverAt":"`+at.Format(time.RFC3339Nano)+`","payloadRetentionPeriod":3}`, 202, &m)
	got := a.get("/app/acme/msg/full")
	want := map[string]any{"id": m.ID, "eventType": "a", "eventId": "full", "channels": []any{"c"}, "tags": []any{`x\y`, "z/1"}, "orderingKey": "k",
		"deliverAt": at.Format(time.RFC3339Nano), "payload": map[string]any{"n": 1.0}, "timestamp": got["timestamp"]}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := a.get("/app/acme/msg/full?with_content=false"); fmt.Sprint(got["payload"]) != "map[]" {
		t.Errorf("without content: %v", got)
	}
	if receiver.Await(t, 1); time.Now().Before(at) {
		t.Error("it was sent before its time")
	}
}

// TestAPIRawPayloads sends what the SDKs send as a raw payload: it must arrive byte for byte.
func TestAPIRawPayloads(t *testing.T) {
	a := apiStart(t)
	receiver := receivertest.Start(t, nil)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"`+receiver.URL+`"}`, 201, nil)
	tests := []struct{ raw, contentType, shown string }{
		{"{\"a\" :  1.50,\n\"b\":null}", "", `{"a":1.50,"b":null}`},
		{`<xml a="1">é</xml>`, "application/xml", `{"rawPayload":"\u003cxml a=\"1\"\u003eé\u003c/xml\u003e"}`},
		{`[1,2]`, "", `{"rawPayload":"[1,2]"}`},
		{``, "text/plain", `{"rawPayload":""}`},
		{strings.Repeat("[", 5000), "", `{"rawPayload":"` + strings.Repeat("[", 5000) + `"}`},
	}
	for i, test := range tests {
		raw, err := json.Marshal(test.raw)
		if err != nil {
			t.Fatal(err)
		}
		var m apiThing
		a.call("POST", "/app/acme/msg", fmt.Sprintf(`{"eventType":"a","payload":{},"transformationsParams":{"rawPayload":%s,"headers":{"Content-Type":%q}}}`,
			raw, test.contentType), 202, &m)
		sent := receiver.Await(t, i+1)[i]
		if string(sent.Body) != test.raw {
			t.Errorf("sent %q, arrived %q", test.raw, sent.Body)
		}
		if got := a.get("/app/acme/msg/" + m.ID)["contentType"]; test.contentType != "" && got != test.contentType {
			t.Errorf("the content type is shown as %v", got)
		}
		a.call("GET", "/app/acme/msg/"+m.ID, "", 200, &m)
		var got, shown any
		if err := json.Unmarshal(m.Payload, &got); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(test.shown), &shown); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(got) != fmt.Sprint(shown) {
			t.Errorf("%.80q is shown as %.80s", test.raw, m.Payload)
		}
	}
}

func TestAPIMessageFaults(t *testing.T) {
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	tests := []struct {
		path, body string
		status     int
		want       string
	}{
		{"nobody", `{"eventType":"a","payload":{},"application":{"name":"x"}}`, 422, `"type":"application_uid_missing"`},
		{"nobody", `{"eventType":"a","payload":{},"application":{"name":"x","uid":"y"}}`, 422, `"type":"application_uid_mismatch"`},
		{"nobody", `{"eventType":"a","payload":{},"application":{"uid":"nobody"}}`, 404, `Application not found`},
		{"acme", `{"eventType":"a","payload":{},"application":{"uid":"nobody"}}`, 422, `"loc":["body","application","name"]`},
		{"acme", `{"eventType":"a","payload":{},"application":7}`, 422, `"loc":["body","application"]`},
		{"acme", `{"eventType":"a","payload":{},"deliverAt":"soon"}`, 422, `"loc":["body","deliverAt"]`},
		{"acme", `{"eventType":"a","payload":{},"deliverAt":"2999-01-01T00:00:00Z"}`, 422, `"loc":["body","deliverAt"]`},
		{"acme", `{"eventType":"a","payload":{},"payloadRetentionPeriod":91}`, 422, `"loc":["body","payloadRetentionPeriod"]`},
		{"acme", `{"eventType":"a","payload":{},"payloadRetentionHours":2161}`, 422, `"loc":["body","payloadRetentionHours"]`},
		{"acme", `{"eventType":"a","payload":{},"payloadRetentionHours":1.5}`, 422, `"loc":["body","payloadRetentionHours"]`},
		{"acme", `{"eventType":"a","payload":{},"tags":["a b"]}`, 422, `"loc":["body","tags"]`},
		{"acme", `{"eventType":"a","payload":{},"transformationsParams":[]}`, 422, `"loc":["body","transformationsParams"]`},
		{"acme", `{"eventType":"a","payload":{},"transformationsParams":{"rawPayload":{}}}`, 422, `"loc":["body","transformationsParams","rawPayload"]`},
		{"acme", `{"eventType":"a","payload":{},"transformationsParams":{"rawPayload":"","headers":{"content-type":"a\nb"}}}`, 422, `"content-type"`},
	}
	for _, test := range tests {
		response, text := a.raw("POST", "/api/v1/app/"+test.path+"/msg", "Bearer "+apiToken, []byte(test.body))
		if response.StatusCode != test.status || !strings.Contains(string(text), test.want) || !json.Valid(text) {
			t.Errorf("%s %s: %d %s; want %d and %s", test.path, test.body, response.StatusCode, text, test.status, test.want)
		}
	}
}

// TestAPIAttempts makes attempts that fail and succeed, and finds them through every list.
func TestAPIAttempts(t *testing.T) {
	a := apiStart(t, func(c *config.Config) { c.Delivery.Retry.Delays = []time.Duration{time.Hour} })
	receiver := receivertest.Start(t, nil)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	for _, name := range []string{"one", "two"} {
		a.call("POST", "/app/acme/endpoint", `{"uid":"`+name+`","url":"`+receiver.URL+`/`+name+`"}`, 201, nil)
	}
	send := func(id string, status int) {
		receiver.Say(status)
		before := len(receiver.Await(t, 0))
		a.call("POST", "/app/acme/msg", `{"eventType":"t.`+id+`","eventId":"`+id+`","channels":["c`+id+`"],"tags":["g`+id+`"],"payload":{}}`, 202, nil)
		receiver.Await(t, before+2)
		a.awaitAttempts("/app/acme/attempt/msg/"+id, 2)
	}
	send("good", http.StatusOK)
	send("bad", http.StatusInternalServerError)
	lists := []struct {
		path string
		want int
	}{
		{"/app/acme/attempt/endpoint/one", 2},
		{"/app/acme/attempt/endpoint/one?status=0", 1},
		{"/app/acme/attempt/endpoint/one?status=2&expanded_statuses=true", 1},
		{"/app/acme/attempt/endpoint/one?status_code_class=500", 1},
		{"/app/acme/attempt/endpoint/one?channel=cgood", 1},
		{"/app/acme/attempt/endpoint/one?tag=gbad", 1},
		{"/app/acme/attempt/endpoint/one?tag=none", 0},
		{"/app/acme/attempt/endpoint/one?event_types=t.good,t.x", 1},
		{"/app/acme/attempt/endpoint/one?event_types[]=t.good&event_types[]=t.bad", 2},
		{"/app/acme/attempt/endpoint/one?before=2020-01-01T00:00:00Z", 0},
		{"/app/acme/attempt/endpoint/one?after=2020-01-01T00:00:00Z", 2},
		{"/app/acme/attempt/msg/good", 2},
		{"/app/acme/attempt/msg/good?endpoint_id=two", 1},
		{"/app/acme/attempt/msg/good?channel=cbad", 0},
		{"/app/acme/msg/good/attempt", 2},
		{"/app/acme/msg/good/endpoint/one/attempt", 1},
		{"/app/acme/endpoint/one/msg", 2},
		{"/app/acme/endpoint/one/msg?status=0", 1},
		{"/app/acme/endpoint/one/msg?status=3", 1},
		{"/app/acme/endpoint/one/msg?status=2", 0},
		{"/app/acme/endpoint/one/msg?channel=cgood&tag=gbad", 0},
		{"/app/acme/msg/bad/endpoint", 2},
		{"/app/acme/msg/bad/endpoint?limit=1", 1},
		{"/app/acme/msg?tag=gbad", 1},
		{"/app/acme/msg?channel=cbad&event_types=t.good", 0},
	}
	for _, test := range lists {
		if got := a.list(test.path); len(got.Data) != test.want || got.Done != !strings.Contains(test.path, "limit") {
			t.Errorf("%s: %d items, done %t; want %d", test.path, len(got.Data), got.Done, test.want)
		}
	}
	with := a.get("/app/acme/attempt/endpoint/one?with_msg=true&with_content=false&limit=1")["data"].([]any)[0].(map[string]any)
	if m := with["msg"].(map[string]any); m["eventId"] != "bad" || fmt.Sprint(m["payload"]) != "map[]" || with["response"] != "{}" {
		t.Errorf("with its message: %v", with)
	}
	one := a.get("/app/acme/msg/bad/attempt/" + with["id"].(string))
	if one["response"] != "thanks" || one["statusText"] != "fail" || one["nextAttempt"] == nil {
		t.Errorf("one attempt: %v", one)
	}
	a.call("GET", "/app/acme/msg/good/attempt/"+with["id"].(string), "", 404, nil)
	receiver.Say(http.StatusOK)
	var empty map[string]any
	a.call("POST", "/app/acme/msg/bad/endpoint/one/resend", "", 202, &empty)
	a.awaitAttempts("/app/acme/attempt/msg/bad?endpoint_id=one&status=0", 1)
	status := func(list apiList) (texts []string) {
		for _, item := range list.Data {
			texts = append(texts, item.StatusText)
		}
		return texts
	}
	if got := status(a.list("/app/acme/msg/bad/endpoint")); !slices.Equal(got, []string{"success", "sending"}) {
		t.Errorf("destinations: %v", got)
	}
	a.call("DELETE", "/app/acme/endpoint/two", "", 204, nil)
	if got := a.list("/app/acme/msg/bad/endpoint"); len(got.Data) != 2 || !strings.HasSuffix(got.Data[1].URL, "/two") {
		t.Errorf("destinations with one that is gone: %+v", got)
	}
}
