package wal

import (
	"testing"
	"time"

	"hookwheel/webhook"
)

// TestPlannedWithoutAttempt: a message that others have overtaken before its endpoint responded has
// a line in the retry set, but no attempt. A search for the endpoints that wait for it finds the
// line.
func TestPlannedWithoutAttempt(t *testing.T) {
	s := newSized(t, 1<<20)
	s.send(t, 10)
	due := time.UnixMilli(testClock + 60_000).UTC()
	progress := func(outcomes ...webhook.Outcome) {
		t.Helper()
		p := webhook.Progress{Endpoint: s.endpoint, Cursor: s.messages[9], Outcomes: outcomes}
		if err := s.w.Leader(1).RecordProgress(t.Context(), []webhook.Progress{p}); err != nil {
			t.Fatal(err)
		}
	}
	delivered := func(from, to int) (list []webhook.Outcome) {
		for _, m := range s.messages[from:to] {
			list = append(list, webhook.Outcome{Attempt: webhook.Attempt{Message: m, Number: 1, URL: "http://x/"}})
		}
		return list
	}
	overtaken := func(i int) webhook.Outcome {
		return webhook.Outcome{Attempt: webhook.Attempt{Message: s.messages[i], Next: due}}
	}
	progress(append(delivered(2, 10), overtaken(0), overtaken(1))...)
	checkState := func(i int, want DeliveryState) {
		t.Helper()
		m, err := s.Message(s.app, s.messages[i].Text(webhook.KindMessage))
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		list, err := s.Deliveries().Explain(m, []*webhook.Endpoint{s.catalog.endpoints[s.endpoint]})
		if err != nil || len(list) != 1 || list[0].State != want {
			t.Errorf("message %d is explained by %+v, %v; want %s", i, list, err, want)
		}
	}

	s.shrink(t, 1)
	left := s.left(t)
	if !left[s.messages[0]] || !left[s.messages[1]] || left[s.messages[2]] {
		t.Fatalf("what is under way is not what is left: %v", left)
	}
	checkState(0, StateSending)

	// A manual success settles the message altogether.
	if err := s.w.Resend(t.Context(), s.app, s.endpoint, s.messages[1]); err != nil {
		t.Fatal(err)
	}
	progress(webhook.Outcome{Source: webhook.SourceManual, Attempt: webhook.Attempt{Message: s.messages[1], Number: 1,
		Trigger: webhook.TriggerManual, URL: "http://x/"}})
	if c := s.catalog.cursors[s.endpoint].counts; c.waiting != 1 {
		t.Errorf("%d lines wait after a manual success, want 1", c.waiting)
	}
	checkState(1, StateDelivered)

	// A message that leaves by age is counted, and its line goes with it.
	ask := retain{Before: testClock + 1000, Records: 1000, Parts: []part{{s.app, s.messages[0]}, {s.app, s.messages[1]}}}
	applyAt(t, s.Store, testClock+2000, mustEncode(t, kindRetain, ask))
	if c := s.catalog.cursors[s.endpoint].counts; c.waiting != 0 || c.expired != 1 {
		t.Errorf("counts after expiry: %+v", c)
	}
}
