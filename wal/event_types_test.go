package wal

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"hookwheel/systemtest/memdir"
	"hookwheel/webhook"
)

func TestEventTypes(t *testing.T) {
	s, w, _, _ := newWorld(t)
	ctx := t.Context()
	made, err := w.CreateEventType(ctx, webhook.EventType{Name: "b", Description: "first", Schemas: map[string]json.RawMessage{"1": json.RawMessage("{}")}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.CreateEventType(ctx, webhook.EventType{Name: "b"})
	wantCode(t, err, webhook.CodeTypeExists)
	change := *made
	change.Description = "second"
	changed, err := w.UpdateEventType(ctx, change)
	if err != nil || changed.Description != "second" || !changed.CreatedAt.Equal(made.CreatedAt) {
		t.Fatalf("%+v, %v", changed, err)
	}
	_, err = w.UpdateEventType(ctx, change)
	wantCode(t, err, webhook.CodeChanged)
	if err := w.DeleteEventType(ctx, "b", false); err != nil {
		t.Fatal(err)
	}
	got, err := s.EventType("b")
	if err != nil || !got.Archived {
		t.Fatalf("%+v, %v", got, err)
	}
	if got, err = w.CreateEventType(ctx, webhook.EventType{Name: "b", Description: "third"}); err != nil || got.Archived || got.Description != "third" {
		t.Fatalf("%+v, %v", got, err)
	}
	if err := w.DeleteEventType(ctx, "b", true); err != nil {
		t.Fatal(err)
	}
	_, err = s.EventType("b")
	wantCode(t, err, webhook.CodeNotFound)
	wantCode(t, w.DeleteEventType(ctx, "b", true), webhook.CodeNotFound)
}

// Each page goes on where the one before ended, in both directions.
func TestEventTypePages(t *testing.T) {
	s, w, _, _ := newWorld(t)
	var names []string
	for i := range 23 {
		names = append(names, fmt.Sprintf("type.%02d", i))
		if _, err := w.CreateEventType(t.Context(), webhook.EventType{Name: names[i], Archived: i%5 == 0}); err != nil {
			t.Fatal(err)
		}
	}
	wanted := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Index(names, name)%5 == 0 })
	for _, ascending := range []bool{true, false} {
		var seen []string
		page := NamePage{Limit: 4, Ascending: ascending}
		for more := true; more; {
			list, next, err := s.EventTypes(page, func(t *webhook.EventType) bool { return !t.Archived })
			if err != nil {
				t.Fatal(err)
			}
			for _, item := range list {
				seen = append(seen, item.Name)
			}
			page.From, more = seen[len(seen)-1], next
		}
		if !ascending {
			slices.Reverse(seen)
		}
		if !slices.Equal(seen, wanted) {
			t.Errorf("ascending %v: %q", ascending, seen)
		}
	}
}

// Apply reads no record of an event type to see whether it can be chosen, or how many there are:
// here, none could be decoded.
func TestChosenEventTypesAreNotRead(t *testing.T) {
	s := closing(t, openTest(t, uncheckedDir(t)))
	w := NewWriter(direct{s, 1})
	w.Limit(Limits{EventTypes: 100})
	ctx := t.Context()
	app, _, err := w.CreateApplication(ctx, webhook.Application{Name: "a"}, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b", "old", "hidden"} {
		eventType := webhook.EventType{Name: name, Archived: name == "old"}
		if name == "hidden" {
			eventType.FeatureFlags = []string{"beta"}
		}
		if _, err := w.CreateEventType(ctx, eventType); err != nil {
			t.Fatal(err)
		}
		s.pending.Lock()
		s.pending.staged.set(nameKey(keyEventType, name), []byte("damaged"))
		s.pending.Unlock()
	}
	choose := func(flags []string, names ...string) error {
		made := createEndpoint{Endpoint: webhook.Endpoint{App: app.ID, URL: "http://x/", EventTypes: names, Keys: testKeys}, Viewer: &viewer{FeatureFlags: flags}}
		_, err := decodeReply(applyList(t, s, mustEncode(t, kindCreateEndpoint, made))[0])
		return err
	}
	for _, name := range []string{"old", "hidden", "none"} {
		wantCode(t, choose(nil, "a", name), webhook.CodeInvalid)
	}
	if err := choose([]string{"beta"}, "a", "hidden"); err != nil {
		t.Error(err)
	}
	endpoint, err := w.CreateEndpoint(ctx, webhook.Endpoint{App: app.ID, URL: "http://x/", EventTypes: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	change := *endpoint
	change.EventTypes = []string{"a", "b"}
	if _, err := w.UpdateEndpoint(ctx, change); err != nil {
		t.Error(err)
	}
	if _, err := w.CreateTask(ctx, webhook.Task{App: app.ID, Endpoint: endpoint.ID, EventTypes: []string{"a", "old"}}); err != nil {
		t.Error(err)
	}
	if _, err := w.CreateEventType(ctx, webhook.EventType{Name: "c"}); err != nil {
		t.Error(err)
	}
	_, err = w.CreateEventType(ctx, webhook.EventType{Name: "a"})
	wantCode(t, err, webhook.CodeTypeExists)
}

// What the catalog has of event types is what a restart finds, wherever the last commit was.
func TestEventTypesInCatalog(t *testing.T) {
	rnd := seeded(t)
	dir := memdir.New(t)
	s := openTest(t, dir)
	for range 300 {
		name := fmt.Sprint("t", rnd.Intn(6))
		eventType := webhook.EventType{Name: name, Archived: rnd.Intn(4) == 0, Schemas: map[string]json.RawMessage{"1": json.RawMessage(`{"featureFlags":["no"]}`)}}
		if rnd.Intn(2) == 0 {
			eventType.FeatureFlags = []string{fmt.Sprint("f", rnd.Intn(3))}
		}
		commands := [][]byte{mustEncode(t, kindCreateEventType, eventType), mustEncode(t, kindDeleteEventType, deleteEventType{name, rnd.Intn(2) == 0})}
		if is, err := s.EventType(name); err == nil {
			eventType.Revision = is.Revision
			commands = append(commands, mustEncode(t, kindUpdateEventType, eventType))
		}
		applyList(t, s, commands[rnd.Intn(len(commands))])
		switch rnd.Intn(6) {
		case 0:
			s = crash(t, s, dir)
		case 1:
			if err := s.Commit(); err != nil {
				t.Fatal(err)
			}
			stored, _, err := readState(s.db)
			if err != nil {
				t.Fatal(err)
			}
			same := func(a, b *eventTypeHead) bool {
				return a.Archived == b.Archived && slices.Equal(a.FeatureFlags, b.FeatureFlags)
			}
			if !maps.EqualFunc(s.catalog.eventTypes, stored.eventTypes, same) {
				t.Fatalf("in memory: %v, stored: %v", s.catalog.eventTypes, stored.eventTypes)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
