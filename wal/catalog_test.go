package wal

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"hookwheel/systemtest/memdir"
	"hookwheel/webhook"
)

func TestUpdateApplication(t *testing.T) {
	s, w, app, endpoint := newWorld(t)
	ctx := t.Context()
	other, _, err := w.CreateApplication(ctx, webhook.Application{UID: "other", Name: "Other"}, false)
	if err != nil {
		t.Fatal(err)
	}
	change := *app
	change.UID, change.Name, change.CreatedAt = "emca", "Renamed", time.Time{}
	got, err := w.UpdateApplication(ctx, change)
	if err != nil || got.Name != "Renamed" || got.UID != "emca" || !got.CreatedAt.Equal(app.CreatedAt) || !got.UpdatedAt.After(app.UpdatedAt) || got.Revision <= app.Revision {
		t.Fatalf("%+v, %v", got, err)
	}
	found, err := s.Application("emca")
	wantSame(t, found, got, err)
	_, err = s.Application("acme")
	wantCode(t, err, webhook.CodeNotFound)

	_, err = w.UpdateApplication(ctx, change)
	wantCode(t, err, webhook.CodeChanged)
	clash := *got
	clash.UID = "other"
	_, err = w.UpdateApplication(ctx, clash)
	wantCode(t, err, webhook.CodeConflict)
	without := *got
	without.UID = ""
	if _, err := w.UpdateApplication(ctx, without); err != nil {
		t.Fatal(err)
	}
	taken := *other
	taken.UID = "emca" // is free again
	if _, err := w.UpdateApplication(ctx, taken); err != nil {
		t.Fatal(err)
	}
	_, err = w.UpdateApplication(ctx, webhook.Application{ID: endpoint.ID})
	wantCode(t, err, webhook.CodeNotFound)
}

func TestUpdateEndpoint(t *testing.T) {
	s, w, app, endpoint := newWorld(t)
	ctx := t.Context()
	if _, err := w.CreateEventType(ctx, webhook.EventType{Name: "a"}); err != nil {
		t.Fatal(err)
	}
	change := *endpoint
	change.UID, change.URL = "e2", "http://y/"
	got, err := w.UpdateEndpoint(ctx, change)
	if err != nil || got.URL != "http://y/" || got.FilterSince != endpoint.FilterSince || !got.CreatedAt.Equal(endpoint.CreatedAt) {
		t.Fatalf("%+v, %v", got, err)
	}
	_, err = s.Endpoint(app.ID, "e1")
	wantCode(t, err, webhook.CodeNotFound)
	_, err = w.UpdateEndpoint(ctx, change)
	wantCode(t, err, webhook.CodeChanged)

	filtered := *got
	filtered.EventTypes = []string{"a"}
	got, err = w.UpdateEndpoint(ctx, filtered)
	if err != nil || got.FilterSince.Index() != s.Applied() {
		t.Fatalf("filters since %d, %v", got.FilterSince.Index(), err)
	}
	if err := w.DeleteEventType(ctx, "a", false); err != nil {
		t.Fatal(err)
	}
	kept := *got
	kept.Description = "the archived type was chosen before"
	if got, err = w.UpdateEndpoint(ctx, kept); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "none"} {
		_, err = w.CreateEndpoint(ctx, webhook.Endpoint{App: app.ID, URL: "http://x/", EventTypes: []string{name}})
		wantCode(t, err, webhook.CodeInvalid)
	}
	if _, err := w.CreateEndpoint(ctx, webhook.Endpoint{App: app.ID, URL: "http://x/", UID: "e3"}); err != nil {
		t.Fatal(err)
	}
	clash := *got
	clash.UID = "e3"
	_, err = w.UpdateEndpoint(ctx, clash)
	wantCode(t, err, webhook.CodeConflict)
	_, err = w.UpdateEndpoint(ctx, webhook.Endpoint{ID: app.ID, App: app.ID})
	wantCode(t, err, webhook.CodeNotFound)
}

const manyEndpoints = 2*sweepPerEntry/handOnCost + 3 // more than one entry hands on

// furnish gives an application endpoints, messages and attempts, and sets with lines. The first
// endpoint is deleted again.
func furnish(t *testing.T, w *Writer, app webhook.ID) {
	t.Helper()
	ctx := t.Context()
	var endpoints, messages []webhook.ID
	for range manyEndpoints {
		e, err := w.CreateEndpoint(ctx, webhook.Endpoint{App: app, URL: "http://x/"})
		if err != nil {
			t.Fatal(err)
		}
		endpoints = append(endpoints, e.ID)
	}
	for i := range 40 {
		id, err := w.CreateMessage(ctx, &webhook.Message{App: app, EventType: "a", EventID: fmt.Sprint("ev", i), Payload: []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, id)
	}
	for _, endpoint := range endpoints[:30] {
		p := webhook.Progress{Endpoint: endpoint, Cursor: messages[len(messages)-1]}
		for i, id := range messages {
			p.Outcomes = append(p.Outcomes, webhook.Outcome{Attempt: webhook.Attempt{Message: id, Number: 1, URL: "http://x/",
				Status: webhook.StatusFail, Next: time.UnixMilli(testClock + int64(i))}})
		}
		if err := w.Leader(1).RecordProgress(ctx, []webhook.Progress{p}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Resend(ctx, app, endpoints[1], messages[0]); err != nil {
		t.Fatal(err)
	}
	if err := w.DeleteEndpoint(ctx, app, endpoints[0]); err != nil {
		t.Fatal(err)
	}
}

// An application that is deleted is out of sight at once, and after a restart; in the end nothing
// of it is left on disk.
func TestDeleteApplication(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprint("restart ", restart), func(t *testing.T) {
			dir := memdir.New(t)
			s := openTest(t, dir)
			w := NewWriter(direct{s, 1})
			app, _, err := w.CreateApplication(t.Context(), webhook.Application{UID: "acme", Name: "a"}, false)
			if err != nil {
				t.Fatal(err)
			}
			furnish(t, w, app.ID)
			var removed int
			s.Watch(func(c webhook.Changes) { removed += len(c.Removed) })
			if err := w.DeleteApplication(t.Context(), app.ID); err != nil || removed != manyEndpoints-1 {
				t.Fatalf("%d endpoints were told to be removed; %v", removed, err)
			}
			wantCode(t, w.DeleteApplication(t.Context(), app.ID), webhook.CodeNotFound)
			_, err = w.CreateMessage(t.Context(), &webhook.Message{App: app.ID, EventType: "a"})
			wantCode(t, err, webhook.CodeNotFound)
			again, created, err := w.CreateApplication(t.Context(), webhook.Application{UID: "acme", Name: "again"}, false)
			if err != nil || !created {
				t.Fatal(created, err)
			}
			steps := 0
			for ; len(s.catalog.removedApps)+len(s.catalog.removed) > 0 && steps < 500; steps++ {
				if restart && steps%5 == 0 {
					s = reopen(t, s, dir)
					w = NewWriter(direct{s, 1})
				}
				if len(s.AllEndpoints()) != 0 || len(s.catalog.cursors) != 0 {
					t.Fatal("endpoints came back")
				}
				if found, err := s.Application("acme"); err != nil || found.ID != again.ID {
					t.Fatalf("%v, %v", found, err)
				}
				if _, err := NewCleaner(s, w).Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if steps < 10 {
				t.Errorf("swept in %d entries: too few to be of bounded size", steps)
			}
			for key := range recordsOf(t, content(t, s)) {
				if key == string(recentKey(webhook.ID{})) || key[0] == keyCounts {
					continue // what was counted stays until its time is over
				}
				if !strings.ContainsRune("!QAV", rune(key[0])) || key[0] == keyApplication && webhook.ID([]byte(key[1:])) != again.ID {
					t.Errorf("%q is left", key)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// reopen restarts a store, and looks in between whether it breaks any of its invariants.
func reopen(t *testing.T, s *Store, dir string) *Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := Check(dir, CheckOptions{})
	if err != nil || report.Err() != nil {
		t.Fatal(err, report.Err())
	}
	return openTest(t, dir)
}

func TestResumeEndpoint(t *testing.T) {
	s, w, app, endpoint := newWorld(t)
	ctx := t.Context()
	paused := *endpoint
	paused.Paused = true
	if _, err := w.UpdateEndpoint(ctx, paused); err != nil {
		t.Fatal(err)
	}
	var messages []webhook.ID
	send := func(count int) {
		for range count {
			id, err := w.CreateMessage(ctx, &webhook.Message{App: app.ID, EventType: "a", Payload: []byte("{}")})
			if err != nil {
				t.Fatal(err)
			}
			messages = append(messages, id)
		}
	}
	resume := func(to webhook.ID) (moved bool) {
		s.Watch(func(c webhook.Changes) { moved = len(c.Moved) > 0 })
		e, err := w.ResumeEndpoint(ctx, app.ID, endpoint.ID, to)
		if err != nil || e.Paused {
			t.Fatal(e, err)
		}
		return moved
	}
	end := func() webhook.ID {
		if len(messages) == 0 {
			return webhook.ID{}
		}
		return messages[len(messages)-1]
	}
	at := func() webhook.ID { return s.Deliveries().Place(endpoint.ID).Position }
	if resume(end()) || at() != endpoint.ID {
		t.Error("the cursor moved over an empty log")
	}
	send(5)
	if resume(webhook.ID{}) || at() != endpoint.ID {
		t.Error("the cursor moved, but all was to be drained")
	}
	if !resume(messages[1]) || at() != messages[1] {
		t.Errorf("the cursor is at %v, want the second message", at())
	}
	if resume(messages[0]) || at() != messages[1] {
		t.Error("the cursor moved back")
	}
	if !resume(end()) || at() != messages[4] {
		t.Errorf("the cursor is at %v, want the end", at())
	}
	c := s.catalog.cursors[endpoint.ID]
	if len(c.skips) != 1 || c.skips[0].from != endpoint.ID || c.skips[0].to != messages[4] {
		t.Errorf("skips are not merged: %v", c.skips)
	}
	for range maxSkips + 3 { // with a delivery in between, so that they can't be merged
		send(2)
		delivered := messages[len(messages)-2]
		outcome := webhook.Outcome{Attempt: webhook.Attempt{Message: delivered, Number: 1, URL: "http://x/"}}
		if err := w.Leader(1).RecordProgress(ctx, []webhook.Progress{{Endpoint: endpoint.ID, Cursor: delivered, Outcomes: []webhook.Outcome{outcome}}}); err != nil {
			t.Fatal(err)
		}
		resume(end())
	}
	if _, skipped := c.skipped(messages[0]); len(c.skips) != maxSkips || !skipped {
		t.Errorf("%d skips, the first one is remembered: %v", len(c.skips), skipped)
	}
	_, err := w.ResumeEndpoint(ctx, app.ID, endpoint.ID, idAt(s.Applied(), 5))
	wantCode(t, err, webhook.CodeChanged)
	_, err = w.ResumeEndpoint(ctx, endpoint.ID, endpoint.ID, end())
	wantCode(t, err, webhook.CodeNotFound)
}

// What an endpoint's filters leave out while they hold is not missed when they change, but what it
// wanted is.
func TestFiltersChange(t *testing.T) {
	dir := memdir.New(t)
	s := openTest(t, dir)
	w := NewWriter(direct{s, 1})
	ctx := t.Context()
	app, _, err := w.CreateApplication(ctx, webhook.Application{Name: "a"}, false)
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := w.CreateEndpoint(ctx, webhook.Endpoint{App: app.ID, URL: "http://x/", Channels: []string{"c"}})
	if err != nil {
		t.Fatal(err)
	}
	send := func() webhook.ID {
		id, err := w.CreateMessage(ctx, &webhook.Message{App: app.ID, EventType: "a", Payload: []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	pass := func(id webhook.ID) {
		if err := w.Leader(1).RecordProgress(ctx, []webhook.Progress{{Endpoint: endpoint.ID, Cursor: id}}); err != nil {
			t.Fatal(err)
		}
	}
	check := func(violations int) {
		t.Helper()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		report, err := Check(dir, CheckOptions{})
		if err != nil || len(report.Violations) != violations {
			t.Fatalf("%q, %v", report.Violations, err)
		}
		s = openTest(t, dir)
		w = NewWriter(direct{s, 1})
	}
	pass(send())
	check(0)
	all := *endpoint
	all.Channels = nil
	if _, err := w.UpdateEndpoint(ctx, all); err != nil {
		t.Fatal(err)
	}
	check(0)
	tolerate(t, "without any attempt")
	pass(send())
	check(1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// An endpoint with much that waits can't begin with an order per key, but may have any other.
func TestOrderOfManyWaiting(t *testing.T) {
	s, w, _, endpoint := newWorld(t)
	become := func(ordering webhook.Ordering) error {
		change := *endpoint
		change.Ordering = ordering
		changed, err := w.UpdateEndpoint(t.Context(), change)
		if err == nil {
			endpoint = changed
		}
		return err
	}
	waiting := &s.catalog.cursors[endpoint.ID].counts.waiting
	*waiting = maxSorted + 1
	wantCode(t, become(webhook.OrderingKey), webhook.CodeConflict)
	if err := become(webhook.OrderingEndpoint); err != nil {
		t.Error(err)
	}
	wantCode(t, become(webhook.OrderingKey), webhook.CodeConflict)
	*waiting--
	if err := become(webhook.OrderingKey); err != nil {
		t.Error(err)
	}
	*waiting++
	if err := become(webhook.OrderingKey); err != nil { // it has it already
		t.Error(err)
	}
	*waiting = 0
}
