package httpapi_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hookwheel/delivery/receivertest"
	"hookwheel/systemtest/wait"
)

type anyMap = map[string]any

func TestAPIChangeApplication(t *testing.T) {
	a := apiStart(t)
	var made, got anyMap
	a.call("PUT", "/app/acme", `{"name":"Acme","uid":"acme","throttleRate":5,"metadata":{"k":"v"}}`, 201, &made)
	a.call("PUT", "/app/acme", `{"name":"Acme 2","uid":"acme"}`, 200, &got)
	if got["id"] != made["id"] || got["name"] != "Acme 2" || got["throttleRate"] != nil || len(got["metadata"].(anyMap)) != 0 || got["createdAt"] != made["createdAt"] {
		t.Errorf("put: %v after %v", got, made)
	}
	a.call("PATCH", "/app/acme", `{"rateLimit":7,"metadata":{"a":"b"}}`, 200, &got)
	if got["name"] != "Acme 2" || got["throttleRate"] != 7.0 || got["rateLimit"] != 7.0 {
		t.Errorf("patch: %v", got)
	}
	a.call("PATCH", "/app/acme", `{"name":"Acme 3"}`, 200, &got)
	if got["throttleRate"] != 7.0 || got["metadata"].(anyMap)["a"] != "b" || got["uid"] != "acme" {
		t.Errorf("what is absent was changed: %v", got)
	}
	a.call("PATCH", "/app/acme", `{"throttleRate":null}`, 200, &got)
	if got["throttleRate"] != nil {
		t.Errorf("null does not clear: %v", got)
	}
	a.call("PATCH", "/app/acme", `{"name":null}`, 422, nil)
	got = nil
	a.call("PATCH", "/app/acme", `{"uid":null}`, 200, &got)
	if _, given := got["uid"]; given {
		t.Errorf("the uid stays: %v", got)
	}
	a.call("GET", "/app/acme", "", 404, nil)
	a.call("PATCH", "/app/acme", `{"name":"x"}`, 404, nil)
	a.call("DELETE", "/app/"+made["id"].(string), "", 204, nil)
	a.call("DELETE", "/app/"+made["id"].(string), "", 404, nil)
}

// Changes at the same time follow one another: none is lost, and none fails.
func TestAPIChangesRace(t *testing.T) {
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"http://127.0.0.1:1/","uid":"e"}`, 201, nil)
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			a.call("PATCH", "/app/acme/endpoint/e/headers", fmt.Sprintf(`{"headers":{"x-%d":"v"}}`, i), 204, nil)
		})
	}
	wg.Wait()
	var got struct{ Headers map[string]string }
	a.call("GET", "/app/acme/endpoint/e/headers", "", 200, &got)
	if len(got.Headers) != 6 {
		t.Errorf("lost: %v", got.Headers)
	}
}

func TestAPIChangeEndpoint(t *testing.T) {
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/event-type", `{"name":"a","description":""}`, 201, nil)
	var made, got anyMap
	a.call("PUT", "/app/acme/endpoint/e", `{"url":"http://127.0.0.1:1","uid":"e","secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw","headers":{"X-Team":"a"}}`, 201, &made)
	fresh := anyMap{"signatureStyle": "standard", "envelope": false, "ordering": nil, "onExhausted": "skip", "tlsVerify": true, "paused": false, "version": 1.0}
	for field, want := range fresh {
		if made[field] != want {
			t.Errorf("%s is %v, want %v", field, made[field], want)
		}
	}
	a.call("PATCH", "/app/acme/endpoint/e", `{"signatureStyle":"stripe","envelope":true,"ordering":"key","onExhausted":"block","tlsVerify":false,
		"eventTypes":["a"],"channels":["c"],"description":"d","disabled":true,"throttleRate":9}`, 200, &got)
	changed := anyMap{"signatureStyle": "stripe", "envelope": true, "ordering": "key", "onExhausted": "block", "tlsVerify": false, "description": "d", "disabled": true, "rateLimit": 9.0}
	for field, value := range changed {
		if got[field] != value {
			t.Errorf("%s is %v, want %v", field, got[field], value)
		}
	}
	if got["health"].(anyMap)["state"] != "disabled" {
		t.Errorf("health: %v", got["health"])
	}
	a.call("PATCH", "/app/acme/endpoint/e", `{"filterTypes":null,"channels":null,"ordering":null}`, 200, &got)
	if got["eventTypes"] != nil || got["channels"] != nil || got["ordering"] != nil || got["description"] != "d" {
		t.Errorf("null does not clear: %v", got)
	}
	a.call("PUT", "/app/acme/endpoint/e", `{"url":"http://127.0.0.1:2","uid":"e"}`, 200, &got)
	if got["id"] != made["id"] || got["description"] != "" || got["disabled"] != false || got["rateLimit"] != nil || got["signatureStyle"] != "stripe" {
		t.Errorf("put: %v", got)
	}
	var secret struct{ Key string }
	a.call("GET", "/app/acme/endpoint/e/secret", "", 200, &secret)
	if secret.Key != "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" {
		t.Error("the secret was changed by a replacement")
	}
	for body, loc := range map[string]string{
		`{"eventTypes":["none"]}`:      `"loc":["body","eventTypes"]`,
		`{"url":null}`:                 `"loc":["body","url"]`,
		`{"disabled":null}`:            `"loc":["body","disabled"]`,
		`{"signatureStyle":"x"}`:       `"loc":["body","signatureStyle"]`,
		`{"ordering":"x"}`:             `"loc":["body","ordering"]`,
		`{"onExhausted":7}`:            `"loc":["body","onExhausted"]`,
		`{"headers":{"Svix-Id":"x"}}`:  `"loc":["body","headers","Svix-Id"]`,
		`{"throttleRate":70000}`:       `"loc":["body","throttleRate"]`,
		`{"secret":"whsec_x"}`:         `"loc":["body","secret"]`,
		`{"channels":["a b"],"uid":7}`: `"loc":["body","uid"]`,
	} {
		response, text := a.raw("PATCH", "/api/v1/app/acme/endpoint/e", "Bearer "+apiToken, []byte(body))
		if response.StatusCode != 422 || !strings.Contains(string(text), loc) {
			t.Errorf("%s: %d %s", body, response.StatusCode, text)
		}
	}
	a.call("POST", "/app/acme/endpoint", `{"url":"http://127.0.0.1:1","uid":"other"}`, 201, nil)
	a.call("PATCH", "/app/acme/endpoint/other", `{"uid":"e"}`, 409, nil)
}

func TestAPIPauseAndResume(t *testing.T) {
	receiver := receivertest.Start(t, nil)
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"`+receiver.URL+`","uid":"e"}`, 201, nil)
	var got struct {
		Paused bool
		Health struct{ State, Text string }
	}
	send := func(n int) {
		a.call("POST", "/app/acme/msg", fmt.Sprintf(`{"eventType":"a","eventId":"ev%d","payload":{"n":%d}}`, n, n), 202, nil)
	}
	pause := func() {
		a.call("POST", "/app/acme/endpoint/e/pause", "", 200, &got)
		if !got.Paused || got.Health.State != "paused" || !strings.Contains(got.Health.Text, "paused by a user") {
			t.Errorf("%+v", got)
		}
	}
	arrived := func(count int) (seen []string) {
		t.Helper()
		for _, r := range receiver.Await(t, count) {
			seen = append(seen, string(r.Body))
		}
		wait.For(t, "the attempts are recorded", func() bool { // a pause before that would have them repeated
			var attempts struct{ Data []struct{ ID string } }
			a.call("GET", "/app/acme/attempt/endpoint/e", "", 200, &attempts)
			return len(attempts.Data) >= count
		})
		return seen
	}
	pause()
	pause()
	send(1)
	send(2)
	a.call("POST", "/app/acme/endpoint/e/resume", "", 200, &got)
	if got.Paused || got.Health.State != "healthy" {
		t.Errorf("%+v", got)
	}
	if bodies := arrived(2); !slices.Equal(bodies, []string{`{"n":1}`, `{"n":2}`}) && !slices.Equal(bodies, []string{`{"n":2}`, `{"n":1}`}) {
		t.Error("drained", bodies)
	}
	pause()
	send(3)
	send(4)
	a.call("POST", "/app/acme/endpoint/e/resume", `{"from":"now"}`, 200, &got)
	send(5)
	if bodies := arrived(3); bodies[2] != `{"n":5}` {
		t.Error("passed over", bodies)
	}
	pause()
	send(6)
	time.Sleep(20 * time.Millisecond) // so that the time is between the two
	at := time.Now()
	time.Sleep(20 * time.Millisecond)
	send(7)
	a.call("POST", "/app/acme/endpoint/e/resume", `{"from":"`+at.UTC().Format(time.RFC3339Nano)+`"}`, 200, &got)
	if bodies := arrived(4); bodies[3] != `{"n":7}` {
		t.Error("from a time", bodies)
	}
	for _, from := range []string{`"yesterday"`, `"2999-01-01T00:00:00Z"`, `7`, `"time"`, `"2001-01-01T00:00:00Z"`} {
		a.call("POST", "/app/acme/endpoint/e/resume", `{"from":`+from+`}`, 422, nil)
	}
	a.call("POST", "/app/acme/endpoint/none/pause", "", 404, nil)
	a.call("POST", "/app/acme/endpoint/none/resume", "", 404, nil)
	pause()
	send(8)
	a.call("POST", "/app/acme/endpoint/e/resume", `{"from":"2020-01-01T00:00:00Z"}`, 200, &got)
	again := arrived(12)[4:]
	slices.Sort(again)
	for i, body := range again {
		if body != fmt.Sprintf(`{"n":%d}`, i+1) {
			t.Fatalf("sent again: %v", again)
		}
	}
}

func TestAPIOperationalWebhooks(t *testing.T) {
	receiver := receivertest.Start(t, nil)
	a := apiStart(t)
	var list apiList
	a.call("GET", "/operational-webhook/endpoint", "", 200, &list)
	if len(list.Data) != 0 || !list.Done {
		t.Errorf("%+v", list)
	}
	a.call("GET", "/operational-webhook/endpoint/o", "", 404, nil)
	a.call("POST", "/operational-webhook/endpoint", `{"url":"`+receiver.URL+`","uid":"o","filterTypes":["endpoint.created","endpoint.deleted"]}`, 201, nil)
	a.call("POST", "/operational-webhook/endpoint", `{"url":"`+receiver.URL+`","filterTypes":["none"]}`, 422, nil)
	a.call("GET", "/operational-webhook/endpoint", "", 200, &list)
	if len(list.Data) != 1 {
		t.Errorf("%+v", list)
	}
	a.call("PUT", "/operational-webhook/endpoint/o/headers", `{"headers":{"x-a":"b"}}`, 204, nil)
	a.call("GET", "/operational-webhook/endpoint/o/headers", "", 200, nil)
	a.call("POST", "/operational-webhook/endpoint/o/secret/rotate", `{}`, 200, nil)
	a.call("GET", "/operational-webhook/endpoint/o/secret", "", 200, nil)
	a.call("PUT", "/operational-webhook/endpoint/o", `{"url":"`+receiver.URL+`","uid":"o","filterTypes":["endpoint.created"]}`, 200, nil)

	var made apiThing
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"http://127.0.0.1:1/"}`, 201, &made)
	requests := receiver.Await(t, 1)
	var body struct {
		Type string
		Data struct{ AppUID, EndpointID string }
	}
	err := json.Unmarshal(requests[0].Body, &body)
	if err != nil || body.Type != "endpoint.created" || body.Data.AppUID != "acme" || body.Data.EndpointID != made.ID {
		t.Errorf("%+v, %v", body, err)
	}
	a.call("DELETE", "/operational-webhook/endpoint/o", "", 204, nil)
}
