package wal

import (
	"testing"
	"time"

	"hookwheel/webhook"
)

// applyAt applies commands as one entry at a time of the log's clock.
func applyAt(t *testing.T, s *Store, clock int64, bodies ...[]byte) [][]byte {
	t.Helper()
	index := s.Applied() + 1
	var commands []Command
	for i, body := range bodies {
		commands = append(commands, Command{Request: [16]byte{0xaa, byte(index), byte(index >> 8), byte(i)}, Body: body})
	}
	replies, err := s.Apply(index, 1, clock, commands)
	if err != nil {
		t.Fatal(err)
	}
	for _, reply := range replies {
		if _, err := decodeReply(reply); err != nil {
			t.Fatal(err)
		}
	}
	return replies
}

// TestRetain lets messages of every state grow old: what is over leaves without a trace, the rest stays, and what was not
// delivered is counted. The store is checked when the test ends.
func TestRetain(t *testing.T) {
	s, w, app, endpoint := newWorld(t)
	other, err := w.CreateEndpoint(t.Context(), webhook.Endpoint{App: app.ID, URL: "http://y/", Channels: []string{"none"}})
	if err != nil {
		t.Fatal(err)
	}
	const days = 24 * hour
	names := []string{"delivered", "retried", "held", "manual", "waiting", "short", "long", "scheduled"}
	var bodies [][]byte
	for _, name := range names {
		m := webhook.Message{App: app.ID, EventType: "a", EventID: name, OrderingKey: "k", Payload: []byte("{}")}
		switch name {
		case "short":
			m.Retention = 2 * time.Hour
		case "long":
			m.Retention = 60 * 24 * time.Hour
		case "scheduled":
			m.DeliverAt = time.UnixMilli(testClock + 40*days).UTC()
		}
		bodies = append(bodies, encodeCreateMessage(&m))
	}
	ids := make(map[string]webhook.ID)
	for i, reply := range applyAt(t, s, testClock, bodies...) {
		ids[names[i]] = webhook.ID(reply[1:])
	}
	outcome := func(name string, o webhook.Outcome) webhook.Outcome {
		o.Attempt.Message, o.Attempt.URL = ids[name], "http://x/"
		return o
	}
	due := time.UnixMilli(testClock + 1000).UTC()
	p := webhook.Progress{Endpoint: endpoint.ID, Cursor: ids["manual"], Outcomes: []webhook.Outcome{
		outcome("delivered", webhook.Outcome{Attempt: webhook.Attempt{Number: 1}}),
		outcome("retried", webhook.Outcome{Attempt: webhook.Attempt{Number: 1, Status: webhook.StatusFail, Next: due}}),
		outcome("held", webhook.Outcome{Hold: true, Key: webhook.OrderingKeyHash("k")}),
		outcome("manual", webhook.Outcome{Attempt: webhook.Attempt{Number: 1, Status: webhook.StatusFail}}),
		outcome("long", webhook.Outcome{Attempt: webhook.Attempt{Number: 1}}),
		outcome("scheduled", webhook.Outcome{Attempt: webhook.Attempt{Next: time.UnixMilli(testClock + 40*days)}}),
	}}
	if err := w.RecordProgress(t.Context(), 1, []webhook.Progress{p}); err != nil {
		t.Fatal(err)
	}
	if err := w.Resend(t.Context(), app.ID, endpoint.ID, ids["manual"]); err != nil {
		t.Fatal(err)
	}
	// retainAt does what the leader does until there is nothing left to do.
	retainAt := func(clock, before int64) {
		t.Helper()
		for range 100 {
			parts, err := s.overdue(before, clock)
			if err != nil {
				t.Fatal(err)
			}
			if len(parts) == 0 {
				return
			}
			body, err := encodeCommand(kindRetain, retain{Before: before, Records: 3, Parts: parts})
			if err != nil {
				t.Fatal(err)
			}
			applyAt(t, s, clock, body)
		}
		t.Fatal("there is always more to do")
	}
	left := func(want ...string) {
		t.Helper()
		list, _, err := s.Messages(app.ID, Page{Limit: 20, Ascending: true}, MessageFilter{})
		if err != nil || len(list) != len(want) {
			t.Fatalf("%d messages are left, want %v; %v", len(list), want, err)
		}
		for i := range want {
			if list[i].EventID != want[i] {
				t.Errorf("%s is left, want %s", list[i].EventID, want[i])
			}
		}
	}
	retainAt(testClock+hour-1, testClock+hour)
	left(names...) // all are too young
	retainAt(testClock+3*hour, testClock-27*days)
	left("delivered", "retried", "held", "manual", "waiting", "long", "scheduled")
	retainAt(testClock+31*days, testClock+days)
	left("long", "scheduled")
	c := s.nouns.cursors[endpoint.ID].counts
	if c.expired != 5 || c.waiting != 1 || c.held != 0 || c.manual != 0 { // scheduled still waits
		t.Errorf("counts: %+v", c)
	}
	if n := s.nouns.cursors[other.ID].counts.expired; n != 0 {
		t.Errorf("%d messages are counted that were not wanted", n)
	}
	if list, _, err := s.AttemptsByEndpoint(endpoint.ID, Page{Limit: 20}, AttemptFilter{}); err != nil || len(list) != 1 || list[0].Message != ids["long"] {
		t.Errorf("attempts: %+v %v", list, err)
	}
	// A leader that has not heard of it tells how the attempts went that were under way.
	late := webhook.Progress{Endpoint: endpoint.ID, Cursor: ids["waiting"], Outcomes: []webhook.Outcome{
		outcome("waiting", webhook.Outcome{Attempt: webhook.Attempt{Number: 1, Status: webhook.StatusFail, Next: due}}),
		outcome("retried", webhook.Outcome{Source: webhook.SourceRetry, Due: due, Attempt: webhook.Attempt{Number: 2}}),
		outcome("manual", webhook.Outcome{Source: webhook.SourceManual, Attempt: webhook.Attempt{Number: 1, Trigger: webhook.TriggerManual}}),
	}}
	applyAt(t, s, testClock+32*days, encodeProgress(1, []webhook.Progress{late}))
	if c := s.nouns.cursors[endpoint.ID].counts; c.waiting != 1 {
		t.Errorf("what was told late is kept: %+v", c)
	}
	if _, err := w.CreateMessage(t.Context(), &webhook.Message{App: app.ID, EventType: "a", EventID: "delivered", Payload: []byte("{}")}); err != nil {
		t.Errorf("the event id can't be used again: %v", err)
	}
	retainAt(testClock+61*days, testClock+31*days)
	left("scheduled", "delivered")
	retainAt(testClock+100*days, testClock+70*days)
	left()
	if c := s.nouns.cursors[endpoint.ID].counts; c.expired != 7 || c.waiting != 0 {
		t.Errorf("counts: %+v", c)
	}
}
