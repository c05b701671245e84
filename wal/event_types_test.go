package wal

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

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
