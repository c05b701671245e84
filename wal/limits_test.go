package wal

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"hookwheel/webhook"
)

// 128 requests in one entry must not exceed a limit: each is counted with those before it.
func TestLimitsWithinOneEntry(t *testing.T) {
	s, w, app, endpoint := newWorld(t)
	encode := func(k kind, v any) []byte {
		t.Helper()
		body, err := encodeCommand(k, v)
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	now := time.UnixMilli(testClock)
	for name, test := range map[string]struct {
		command func(i int) []byte
		allowed int
		code    webhook.Code
	}{
		"endpoints": {func(int) []byte {
			return encode(kindCreateEndpoint, createEndpoint{Endpoint: webhook.Endpoint{App: app.ID, URL: "http://x/"}, Max: 5})
		}, 4, webhook.CodeLimit}, // newWorld has made one
		"applications": {func(int) []byte {
			return encode(kindCreateApplication, createApplication{Application: webhook.Application{Name: "a"}, Max: 5})
		}, 4, webhook.CodeLimit},
		"event types": {func(i int) []byte {
			return encode(kindCreateEventType, createEventType{EventType: webhook.EventType{Name: fmt.Sprint("limit.", i)}, Max: 5})
		}, 5, webhook.CodeLimit},
		"replays": {func(int) []byte {
			return encode(kindCreateTask, createTask{Task: webhook.Task{App: app.ID, Endpoint: endpoint.ID, Since: now.Add(-time.Hour), Until: now}, Max: 3})
		}, 3, webhook.CodeConflict},
	} {
		t.Run(name, func(t *testing.T) {
			bodies := make([][]byte, 128)
			for i := range bodies {
				bodies[i] = test.command(i)
			}
			made := 0
			for _, reply := range applyList(t, s, bodies...) {
				if _, err := decodeReply(reply); err == nil {
					made++
				} else if webhook.ErrorCode(err) != test.code {
					t.Fatal(err)
				}
			}
			if made != test.allowed {
				t.Errorf("%d were made, want %d", made, test.allowed)
			}
		})
	}
	// An application's own limit takes precedence, in both directions.
	a := *app
	for _, limit := range []uint32{6, 2} {
		a.Endpoints = limit
		changed, err := w.UpdateApplication(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		a = *changed
		w.Limit(Limits{Endpoints: 5})
		_, err = w.CreateEndpoint(t.Context(), webhook.Endpoint{App: app.ID, URL: "http://x/"})
		if (err == nil) != (limit == 6) {
			t.Errorf("own limit %d: %v", limit, err)
		}
	}
}

// Those that have replays cannot take the places that others need.
func TestReplaysOfOthersHaveRoom(t *testing.T) {
	_, w, _, _ := newWorld(t)
	replay := func(app, endpoint webhook.ID) error {
		_, err := w.CreateTask(t.Context(), webhook.Task{App: app, Endpoint: endpoint, Since: time.UnixMilli(1), Until: time.UnixMilli(testClock)})
		return err
	}
	made := 0
	var app webhook.ID
	for i := range (maxOpenTasks-reservedTasks)/maxEndpointTasks + 4 {
		if i%(maxAppTasks/maxEndpointTasks) == 0 {
			next, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "greedy"}, false)
			if err != nil {
				t.Fatal(err)
			}
			app = next.ID
		}
		endpoint, err := w.CreateEndpoint(t.Context(), webhook.Endpoint{App: app, URL: "http://x/"})
		if err != nil {
			t.Fatal(err)
		}
		for range maxEndpointTasks {
			if err := replay(app, endpoint.ID); err == nil {
				made++
			} else if webhook.ErrorCode(err) != webhook.CodeConflict {
				t.Fatal(err)
			}
		}
	}
	if made != maxOpenTasks-reservedTasks {
		t.Errorf("the first applications have %d replays, want %d", made, maxOpenTasks-reservedTasks)
	}
	other, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "other"}, false)
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := w.CreateEndpoint(t.Context(), webhook.Endpoint{App: other.ID, URL: "http://x/"})
	if err != nil {
		t.Fatal(err)
	}
	if err := replay(other.ID, endpoint.ID); err != nil {
		t.Errorf("another application has no room: %v", err)
	}
}

// Only the state machine writes operational webhooks.
func TestOperationalMessagesOfOthers(t *testing.T) {
	_, w, _, _ := newWorld(t)
	app, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "o", UID: webhook.OperationalUID}, false)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.CreateMessage(t.Context(), &webhook.Message{App: app.ID, EventType: "endpoint.disabled"})
	wantCode(t, err, webhook.CodeForbidden)
}

// To a portal without its flag an event type does not exist: the errors are the same.
func TestHiddenEventTypes(t *testing.T) {
	_, w, app, endpoint := newWorld(t)
	for _, made := range []webhook.EventType{{Name: "open"}, {Name: "hidden", FeatureFlags: []string{"beta"}}, {Name: "old", FeatureFlags: []string{"beta"}, Archived: true}} {
		if _, err := w.CreateEventType(t.Context(), made); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(w *Writer, eventTypes ...string) (texts []string) {
		_, made := w.CreateEndpoint(t.Context(), webhook.Endpoint{App: app.ID, URL: "http://x/", EventTypes: eventTypes})
		changed := *endpoint
		changed.EventTypes = eventTypes
		kept, updated := w.UpdateEndpoint(t.Context(), changed)
		if updated == nil {
			endpoint = kept
		}
		_, replayed := w.CreateTask(t.Context(), webhook.Task{App: app.ID, Endpoint: endpoint.ID, Since: time.UnixMilli(1), Until: time.UnixMilli(testClock), EventTypes: eventTypes})
		return []string{fmt.Sprint(made), fmt.Sprint(updated), fmt.Sprint(replayed)}
	}
	none := w.Portal(nil)
	for _, hidden := range []string{"hidden", "old"} {
		for _, order := range [][]string{{hidden}, {"open", hidden}, {hidden, "missing"}} {
			got := fmt.Sprint(ask(none, order...))
			missing := make([]string, len(order))
			for i, name := range order {
				if missing[i] = name; name == hidden {
					missing[i] = "no-such-type"
				}
			}
			want := strings.ReplaceAll(fmt.Sprint(ask(none, missing...)), "no-such-type", hidden)
			if got != want || got == fmt.Sprint(ask(w, "open")) {
				t.Errorf("%v: %s; one that is missing: %s", order, got, want)
			}
		}
	}
	if texts := fmt.Sprint(ask(w.Portal([]string{"beta"}), "hidden")); texts != "[<nil> <nil> <nil>]" {
		t.Errorf("with the flag: %s", texts)
	}
	if texts := fmt.Sprint(ask(w, "hidden")); texts != "[<nil> <nil> <nil>]" {
		t.Errorf("an admin: %s", texts)
	}
}
