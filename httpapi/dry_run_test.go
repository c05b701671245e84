package httpapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"hookwheel/config"
	"hookwheel/delivery/receivertest"
)

// replayCount is the response to a dry run.
type replayCount struct {
	Task, EndpointID, Messages string
	Total, Looked              int64
	Exact                      bool
	Since, Until, Position     time.Time
}

// TestDryRun counts what each kind of replay sends, with its filters, and changes nothing.
func TestDryRun(t *testing.T) {
	a := apiStart(t, func(c *config.Config) { c.Delivery.Retry.Delays = nil })
	receiver := receivertest.Start(t, nil)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/event-type", `{"name":"b","description":""}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"`+receiver.URL+`","uid":"e"}`, 201, nil)
	for i := range 3 {
		a.call("POST", "/app/acme/msg", `{"payload":{},"eventType":"a"}`, 202, nil)
		receiver.Await(t, i+1)
	}
	receiver.Say(http.StatusBadGateway)
	for range 2 {
		a.call("POST", "/app/acme/msg", `{"payload":{},"eventType":"b","tags":["t"],"channels":["c"]}`, 202, nil)
	}
	a.awaitAttempts("/app/acme/attempt/endpoint/e?status=2", 2)
	a.call("POST", "/app/acme/endpoint", `{"url":"`+receiver.URL+`","uid":"new"}`, 201, nil)
	dry := `,"dryRun":true`
	tests := []struct {
		path, more string
		total      int64
	}{
		{"e/recover", "", 2},
		{"e/replay-missing", "", 0},
		{"new/replay-missing", "", 5},
		{"new/recover", "", 0},
		{"e/bulk-replay", "", 5},
		{"e/bulk-replay", `,"status":"failed"`, 2},
		{"e/bulk-replay", `,"status":0`, 3},
		{"e/bulk-replay", `,"eventTypes":["b"]`, 2},
		{"e/bulk-replay", `,"tag":"t","channel":"c","statusCodeClass":500`, 2},
		{"e/bulk-replay", `,"statusCodeClass":400`, 0},
		{"e/bulk-replay", `,"until":"2026-01-01T00:00:00Z","since":"2025-01-01T00:00:00Z"`, 0},
		{"e/bulk-replay", `,"until":"9999-01-01T00:00:00Z"`, 5},
	}
	for _, test := range tests {
		body := since(time.Hour, test.more+dry)
		if strings.Contains(test.more, "since") {
			body = "{" + test.more[1:] + dry + "}"
		}
		var count replayCount
		a.call("POST", "/app/acme/endpoint/"+test.path, body, 200, &count)
		if count.Total != test.total || !count.Exact || !strings.HasPrefix(count.EndpointID, "ep_") || !count.Position.Equal(count.Until) || count.Until.After(time.Now()) {
			t.Errorf("%s %s: %+v, want %d", test.path, test.more, count, test.total)
		}
	}
	var tasks struct{ Data []apiTask }
	if a.call("GET", "/background-task", "", 200, &tasks); len(tasks.Data) != 0 {
		t.Errorf("dry runs have left tasks: %+v", tasks)
	}
	if got := len(receiver.Await(t, 5)); got != 5 {
		t.Errorf("dry runs have sent %d messages", got-5)
	}
	for _, test := range []struct {
		path, body string
		status     int
	}{
		{"e/recover", since(15*24*time.Hour, dry), 422},
		{"e/recover", since(time.Hour, `,"dryRun":"yes"`), 422},
		{"e/bulk-replay", since(time.Hour, `,"eventTypes":["a.typo"]`+dry), 422},
		{"none/recover", since(time.Hour, dry), 404},
		{"e/recover", since(time.Hour, `,"dryRun":null`), 202},
		{"e/recover", since(time.Hour, `,"dryRun":true,"dry\u0052un":false`), 422},
		{"new/recover", since(time.Hour, `,"dryRun":false`), 202},
	} {
		a.call("POST", "/app/acme/endpoint/"+test.path, test.body, test.status, nil)
	}
}

// TestDryRunOfCustomers: a customer may count what it may replay. Counting does not use up its
// manual sends, and what it must not see does not exist.
func TestDryRunOfCustomers(t *testing.T) {
	a := apiStart(t, func(c *config.Config) { c.Limits.ManualSends = 20 })
	a.missed("http://127.0.0.1:9/", 3)
	a.call("POST", "/app", `{"name":"Other","uid":"other"}`, 201, nil)
	a.call("POST", "/event-type", `{"name":"hidden","description":"","featureFlags":["beta"]}`, 201, nil)
	var reader authKey
	a.call("POST", "/auth/app-portal-access/acme", `{"readOnly":true}`, 200, &reader)
	for token, want := range map[string]int{reader.Token: 403, a.portalToken("other"): 404} {
		if got := a.as(token, "POST", "/app/acme/endpoint/new/recover", sinceAnHour(`,"dryRun":true`)); got != want {
			t.Errorf("%d, want %d", got, want)
		}
	}
	own := a.portalToken("acme")
	for range 3 {
		if got := a.as(own, "POST", "/app/acme/endpoint/new/bulk-replay", sinceAnHour(`,"dryRun":true`)); got != 200 {
			t.Errorf("a dry run: %d", got)
		}
	}
	if got := a.as(own, "POST", "/app/acme/endpoint/new/bulk-replay", sinceAnHour(`,"dryRun":true,"eventTypes":["hidden"]`)); got != 422 {
		t.Errorf("with a hidden event type: %d", got)
	}
	if got := a.as(own, "POST", "/app/acme/endpoint/new/bulk-replay", sinceAnHour("")); got != 202 {
		t.Errorf("a replay after them: %d", got)
	}
}

// TestTasksOfEndpoint lists tasks by application and endpoint.
func TestTasksOfEndpoint(t *testing.T) {
	a := apiStart(t)
	ids := make(map[string]string)
	for _, app := range []string{"acme", "other"} {
		a.call("POST", "/app", `{"name":"A","uid":"`+app+`"}`, 201, nil)
		for _, uid := range []string{"one", "two"} {
			var endpoint apiThing
			a.call("POST", "/app/"+app+"/endpoint", fmt.Sprintf(`{"url":"http://127.0.0.1:9/","uid":%q}`, uid), 201, &endpoint)
			ids[app+"/"+uid] = endpoint.ID
			a.call("POST", "/app/"+app+"/endpoint/"+uid+"/recover", sinceAnHour(""), 202, nil)
		}
	}
	a.call("POST", "/app/acme/endpoint/one/bulk-replay", sinceAnHour(""), 202, nil)
	for query, want := range map[string]int{"": 5, "app=acme": 3, "app=acme&endpoint=one": 2, "app=acme&endpoint=" + ids["acme/two"]: 1,
		"app=other&endpoint=one": 1, "app=acme&endpoint=one&task=endpoint.recover": 1} {
		var list struct{ Data []apiTask }
		if a.call("GET", "/background-task?"+query, "", 200, &list); len(list.Data) != want {
			t.Errorf("%s: %d tasks, want %d", query, len(list.Data), want)
		}
	}
	a.call("GET", "/background-task?endpoint=one", "", 422, nil)
	a.call("GET", "/background-task?app=nobody", "", 404, nil)
	a.call("GET", "/background-task?app=acme&endpoint=nobody", "", 404, nil)
	a.call("GET", "/background-task?app=acme&endpoint="+ids["other/one"], "", 404, nil)
	own := a.portalToken("acme")
	for query, want := range map[string]int{"": 200, "app=acme": 200, "endpoint=one": 200, "app=other": 404, "app=nobody": 404, "endpoint=" + ids["other/one"]: 404} {
		if got := a.as(own, "GET", "/background-task?"+query, ""); got != want {
			t.Errorf("with a token of acme, %q: %d, want %d", query, got, want)
		}
	}
}
