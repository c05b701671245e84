package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"hookwheel/delivery/receivertest"
	"hookwheel/systemtest/wait"
)

// apiTask is a background task as a client reads it.
type apiTask struct {
	ID, Status, Task string
	UpdatedAt        time.Time
	Data             struct {
		State                                     string
		Total                                     *int64
		Looked, Taken, Delivered, Failed, Waiting int64
		MessagesSent                              int64
	}
}

// awaitTask waits until a task is in that state.
func (a *api) awaitTask(id, state string) (task apiTask) {
	a.t.Helper()
	wait.For(a.t, "the task to be "+state, func() bool {
		a.call("GET", "/background-task/"+id, "", 200, &task)
		return task.Data.State == state
	})
	return task
}

// since is a body that asks for a replay of what came in that time.
func since(ago time.Duration, more string) string {
	return fmt.Sprintf(`{"since":%q%s}`, time.Now().Add(-ago).UTC().Format(time.RFC3339), more)
}

func sinceAnHour(more string) string { return since(time.Hour, more) }

// TestReplays sends again what failed, what a new endpoint has missed, and all.
func TestReplays(t *testing.T) {
	a := apiStart(t)
	receiver := receivertest.Start(t, nil)
	a.call("POST", "/event-type", `{"name":"b","description":""}`, 201, nil)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"`+receiver.URL+`","uid":"old"}`, 201, nil)
	a.call("POST", "/app/acme/msg", `{"payload":{},"eventType":"a"}`, 202, nil)
	receiver.Await(t, 1)
	receiver.Say(http.StatusBadGateway)
	for range 3 {
		a.call("POST", "/app/acme/msg", `{"payload":{},"eventType":"b","tags":["t"]}`, 202, nil)
	}
	a.awaitAttempts("/app/acme/attempt/endpoint/old?status=2", 9) // each three times, and none is to come
	receiver.Say(http.StatusOK)
	before := len(receiver.Await(t, 10))

	var task apiTask
	a.call("POST", "/app/acme/endpoint/old/recover", sinceAnHour(""), 202, &task)
	if task.Status != "running" || task.Task != "endpoint.recover" || !strings.HasPrefix(task.ID, "qtask_") || task.UpdatedAt.IsZero() {
		t.Errorf("%+v", task)
	}
	task = a.awaitTask(task.ID, "finished")
	if task.Status != "finished" || *task.Data.Total != 3 || task.Data.Looked != 4 || task.Data.Taken != 3 || task.Data.Delivered != 3 || task.Data.MessagesSent != 3 {
		t.Errorf("recover: %+v", task)
	}
	if got := len(receiver.Await(t, before+3)); got != before+3 {
		t.Errorf("%d arrived, want %d", got-before, 3)
	}
	var list struct {
		Data []struct{ TriggerType, Number int }
	}
	a.call("GET", "/app/acme/attempt/endpoint/old?limit=1", "", 200, &list)
	if len(list.Data) != 1 || list.Data[0].TriggerType != 1 {
		t.Errorf("a replay is not a manual attempt: %+v", list)
	}

	a.call("POST", "/app/acme/endpoint", `{"url":"`+receiver.URL+`","uid":"new"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint/new/replay-missing", sinceAnHour(""), 202, &task)
	if task = a.awaitTask(task.ID, "finished"); task.Task != "endpoint.replay" || task.Data.Delivered != 4 {
		t.Errorf("replay-missing: %+v", task)
	}
	a.call("POST", "/app/acme/endpoint/new/bulk-replay", sinceAnHour(`,"status":0,"tag":"t","eventTypes":["b"],"statusCodeClass":200,"rate":100`), 202, &task)
	if task = a.awaitTask(task.ID, "finished"); task.Data.Delivered != 3 {
		t.Errorf("bulk-replay: %+v", task)
	}
}

func TestReplayChanges(t *testing.T) {
	a := apiStart(t)
	receiver := receivertest.Start(t, nil)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	for range 30 {
		a.call("POST", "/app/acme/msg", `{"payload":{},"eventType":"a"}`, 202, nil)
	}
	a.call("POST", "/app/acme/endpoint", `{"url":"`+receiver.URL+`","uid":"new"}`, 201, nil)
	var task, other apiTask
	a.call("POST", "/app/acme/endpoint/new/bulk-replay", sinceAnHour(`,"rate":5`), 202, &task)
	receiver.Await(t, 3)
	a.call("POST", "/background-task/"+task.ID+"/pause", "", 200, &other)
	if other.Status != "running" || other.Data.State != "paused" {
		t.Errorf("%+v", other)
	}
	a.call("GET", "/background-task?status=paused&task=endpoint.bulk-replay", "", 200, &struct{ Data []apiTask }{})
	a.call("POST", "/background-task/"+task.ID+"/resume", "", 200, nil)
	receiver.Await(t, 6)
	a.call("POST", "/background-task/"+task.ID+"/cancel", "", 200, &other)
	if other.Status != "finished" || other.Data.State != "canceled" || other.Data.Waiting != 0 || other.Data.Taken >= 30 {
		t.Errorf("%+v", other)
	}
	a.call("POST", "/background-task/"+task.ID+"/resume", "", 409, nil)
	a.call("POST", "/event-type", `{"name":"old","description":"","archived":true}`, 201, nil)
	for query, want := range map[string]int{"": 1, "status=running": 0, "status=finished": 1, "status=canceled&task=endpoint.bulk-replay": 1, "task=endpoint.recover": 0} {
		var list struct{ Data []json.RawMessage }
		if a.call("GET", "/background-task?"+query, "", 200, &list); len(list.Data) != want {
			t.Errorf("%q lists %d, want %d", query, len(list.Data), want)
		}
	}
	const path = "/app/acme/endpoint/new/"
	tooLong := since(15*24*time.Hour, "")
	for _, test := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"POST", path + "recover", "{}", 422, `"loc":["body","since"]`},
		{"POST", path + "recover", `{"since":"yesterday"}`, 422, `"loc":["body","since"]`},
		{"POST", path + "recover", tooLong, 422, `"loc":["body","since"]`},
		{"POST", path + "recover", `{"since":"2040-01-01T00:00:00Z"}`, 422, `in the past`},
		{"POST", path + "recover", `{"since":"2026-01-02T00:00:00Z","until":"2026-01-01T00:00:00Z"}`, 422, `before until`},
		{"POST", path + "bulk-replay", tooLong, 202, `"endpoint.bulk-replay"`},
		{"POST", path + "bulk-replay", sinceAnHour(`,"until":"9999-01-01T00:00:00Z"`), 202, `"total":30`},
		{"POST", path + "bulk-replay", sinceAnHour(`,"status":"odd"`), 422, `"loc":["body","status"]`},
		{"POST", path + "bulk-replay", sinceAnHour(`,"status":1`), 422, `"loc":["body","status"]`},
		{"POST", path + "bulk-replay", sinceAnHour(`,"statusCodeClass":250`), 422, `"loc":["body","statusCodeClass"]`},
		{"POST", path + "bulk-replay", sinceAnHour(`,"rate":0`), 422, `"loc":["body","rate"]`},
		{"POST", path + "bulk-replay", sinceAnHour(`,"eventTypes":["a.typo"]`), 422, `there is no event type \"a.typo\"`},
		{"POST", path + "bulk-replay", sinceAnHour(`,"eventTypes":["old"],"unknown":true`), 202, `"total":0`}, // as anywhere, what is not known is ignored
		{"POST", path + "bulk-replay", sinceAnHour(`,"eventTypes":[5]`), 422, `"loc":["body","eventTypes","[0]"]`},
		{"POST", "/app/acme/endpoint/none/recover", sinceAnHour(""), 404, "Endpoint not found"},
		{"GET", "/background-task/qtask_x", "", 404, "Background task not found"},
		{"GET", "/background-task?status=odd", "", 422, `"loc":["query","status"]`},
		{"GET", "/background-task?task=odd", "", 422, `"loc":["query","task"]`},
		{"GET", "/background-task?iterator=odd", "", 422, `"loc":["query","iterator"]`},
	} {
		response, text := a.raw(test.method, "/api/v1"+test.path, "Bearer "+apiToken, []byte(test.body))
		if response.StatusCode != test.status || !strings.Contains(string(text), test.want) {
			t.Errorf("%s %s %s: %d %s; want %d and %s", test.method, test.path, test.body, response.StatusCode, text, test.status, test.want)
		}
	}
}

// missed makes an endpoint after so many messages.
func (a *api) missed(url string, messages int) {
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	for range messages {
		a.call("POST", "/app/acme/msg", `{"payload":{},"eventType":"a"}`, 202, nil)
	}
	a.call("POST", "/app/acme/endpoint", `{"url":"`+url+`","uid":"new"}`, 201, nil)
}

// TestReplaySendsOnce: a set that grows while it is being sent holds messages that were sent and
// are not recorded yet.
func TestReplaySendsOnce(t *testing.T) {
	const messages = 200
	a := apiStart(t)
	receiver := receivertest.Start(t, nil)
	a.missed(receiver.URL, messages)
	var task apiTask
	a.call("POST", "/app/acme/endpoint/new/bulk-replay", sinceAnHour(`,"rate":200`), 202, &task)
	if task = a.awaitTask(task.ID, "finished"); task.Data.Delivered != messages {
		t.Errorf("%+v", task)
	}
	if got := len(receiver.Await(t, messages)); got != messages {
		t.Errorf("%d messages arrived %d times", messages, got)
	}
}

// TestReplayRateAfterStandstill: while an endpoint takes nothing, no more gathers than its rate
// allows in a second.
func TestReplayRateAfterStandstill(t *testing.T) {
	const messages, rate = 150, 40
	a := apiStart(t)
	receiver := receivertest.Start(t, nil)
	a.missed(receiver.URL, messages)
	a.call("POST", "/app/acme/endpoint/new/pause", "", 200, nil)
	var task apiTask
	a.call("POST", "/app/acme/endpoint/new/bulk-replay", sinceAnHour(fmt.Sprintf(`,"rate":%d`, rate)), 202, &task)
	time.Sleep(2500 * time.Millisecond) // enough for two more seconds' worth
	if a.call("GET", "/background-task/"+task.ID, "", 200, &task); task.Data.Waiting != rate {
		t.Errorf("%d wait after a standstill, want %d", task.Data.Waiting, rate)
	}
	resumed := time.Now()
	a.call("POST", "/app/acme/endpoint/new/resume", "", 200, nil)
	wait.For(t, "all to arrive", func() bool {
		arrived := len(receiver.Arrivals())
		elapsed := time.Since(resumed)
		if limit := rate + rate/5 + rate*elapsed.Seconds(); float64(arrived) > limit+1 {
			t.Fatalf("%d arrived %s after it, at a rate of %d", arrived, elapsed, rate)
		}
		return arrived >= messages
	})
	a.awaitTask(task.ID, "finished")
}

// TestPausedReplay: what a task has asked for already does not go out while it is paused.
func TestPausedReplay(t *testing.T) {
	const messages = 100
	a := apiStart(t)
	receiver := receivertest.Start(t, nil)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	var first apiThing
	a.call("POST", "/app/acme/msg", `{"payload":{},"eventType":"a"}`, 202, &first)
	for range messages - 1 {
		a.call("POST", "/app/acme/msg", `{"payload":{},"eventType":"a"}`, 202, nil)
	}
	a.call("POST", "/app/acme/endpoint", `{"url":"`+receiver.URL+`","uid":"new"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint/new/pause", "", 200, nil)
	var task apiTask
	a.call("POST", "/app/acme/endpoint/new/bulk-replay", sinceAnHour(""), 202, &task)
	wait.For(t, "all messages of the task to wait", func() bool {
		a.call("GET", "/background-task/"+task.ID, "", 200, &task)
		return task.Data.Waiting == messages
	})
	a.call("POST", "/background-task/"+task.ID+"/pause", "", 200, nil)
	a.call("POST", "/app/acme/endpoint/new/resume", "", 200, nil)
	a.call("POST", "/app/acme/msg", `{"payload":{},"eventType":"a"}`, 202, nil)
	receiver.Await(t, 1)
	const others = 5
	for n := range others {
		a.call("POST", "/app/acme/msg", `{"payload":{},"eventType":"a"}`, 202, nil)
		receiver.Await(t, 2+n)
	}
	if got := len(receiver.Arrivals()); got != 1+others {
		t.Errorf("%d messages of a paused task were sent", got-1-others)
	}
	a.explained(first.ID, "requested", "will resend it; the task is paused")
	a.call("POST", "/background-task/"+task.ID+"/resume", "", 200, nil)
	receiver.Await(t, messages+1+others)
	a.awaitTask(task.ID, "finished")
}

// TestResendBesideReplay: a message that a user resends arrives even though a task that had
// requested it is canceled.
func TestResendBesideReplay(t *testing.T) {
	a := apiStart(t)
	receiver := receivertest.Start(t, nil)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	var asked apiThing
	a.call("POST", "/app/acme/msg", `{"payload":{},"eventType":"a"}`, 202, nil)
	a.call("POST", "/app/acme/msg", `{"payload":{},"eventType":"a"}`, 202, &asked)
	a.call("POST", "/app/acme/endpoint", `{"url":"`+receiver.URL+`","uid":"new"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint/new/pause", "", 200, nil)
	var task apiTask
	a.call("POST", "/app/acme/endpoint/new/bulk-replay", sinceAnHour(""), 202, &task)
	wait.For(t, "both messages of the task to wait", func() bool {
		a.call("GET", "/background-task/"+task.ID, "", 200, &task)
		return task.Data.Waiting == 2
	})
	a.call("POST", "/app/acme/msg/"+asked.ID+"/endpoint/new/resend", "", 202, nil)
	a.call("POST", "/background-task/"+task.ID+"/cancel", "", 200, &task)
	if task.Data.Taken != 0 {
		t.Errorf("%+v", task)
	}
	a.call("POST", "/app/acme/endpoint/new/resume", "", 200, nil)
	if got := receiver.Await(t, 1)[0].ID; got != asked.ID {
		t.Errorf("%s arrived", got)
	}
}
