package wal

import (
	"testing"
	"time"

	"hookwheel/webhook"
)

// TestBacklog: all that waits for an endpoint is counted, wherever it waits, and nothing else.
func TestBacklog(t *testing.T) {
	s := newSized(t, 100<<20)
	backlog := func() Backlog {
		t.Helper()
		list, err := s.Deliveries().Backlogs([]*webhook.Endpoint{s.catalog.endpoints[s.endpoint]})
		if err != nil {
			t.Fatal(err)
		}
		return list[0]
	}
	if b := backlog(); b != (Backlog{}) {
		t.Errorf("of nothing: %+v", b)
	}
	s.send(t, 60)
	if b := backlog(); b.Behind != 60 || b.More || !b.Oldest.Equal(s.messages[0].Time()) {
		t.Errorf("of 60 in the log: %+v", b)
	}
	s.attempt(t, 0, 40) // of which every tenth is to be tried again
	if b := backlog(); b.Behind != 20 || b.Retrying != 4 || !b.Oldest.Equal(s.messages[0].Time()) {
		t.Errorf("after 40 attempts: %+v", b)
	}
	if err := s.w.Resend(t.Context(), s.app, s.endpoint, s.messages[5]); err != nil {
		t.Fatal(err)
	}
	p := webhook.Progress{Endpoint: s.endpoint, Cursor: s.messages[39], Outcomes: []webhook.Outcome{
		{Attempt: webhook.Attempt{Message: s.messages[50], Number: 1, URL: "http://x/"}}, // ahead of the cursor
		{Hold: true, Key: webhook.OrderingKeyHash(""), Attempt: webhook.Attempt{Message: s.messages[41]}},
	}}
	if err := s.w.Leader(1).RecordProgress(t.Context(), []webhook.Progress{p}); err != nil {
		t.Fatal(err)
	}
	want := Backlog{Retrying: 4, Held: 1, Requested: 1, Behind: 18, Oldest: s.messages[0].Time()}
	if b := backlog(); b != want {
		t.Errorf("%+v, want %+v", b, want)
	}
	if sum, err := s.Deliveries().Waiting(webhook.ID{}); err != nil || sum != (Waiting{4, 1, 1, 18, s.messages[0].Time()}) {
		t.Errorf("in all: %+v, %v", sum, err)
	}
}

// TestBacklogIsBounded: a long log is not read to its end.
func TestBacklogIsBounded(t *testing.T) {
	s := newSized(t, 100<<20)
	begin := time.UnixMilli(testClock)
	s.send(t, backlogMessages+10)
	list, err := s.Deliveries().Backlogs([]*webhook.Endpoint{s.catalog.endpoints[s.endpoint]})
	if err != nil || !list[0].More || list[0].Behind < backlogMessages || list[0].Oldest.Before(begin) {
		t.Errorf("%+v, %v", list, err)
	}
}

// A message that is held, and is replayed in vain meanwhile, waits only once.
func TestHeldTwice(t *testing.T) {
	s := newSized(t, 100<<20)
	s.send(t, 2)
	key, due := webhook.OrderingKeyHash("k"), time.UnixMilli(testClock+1000).UTC()
	held := webhook.Attempt{Message: s.messages[1]}
	record := func(list ...webhook.Outcome) {
		t.Helper()
		p := webhook.Progress{Endpoint: s.endpoint, Cursor: s.messages[1], Outcomes: list}
		if err := s.w.Leader(1).RecordProgress(t.Context(), []webhook.Progress{p}); err != nil {
			t.Fatal(err)
		}
	}
	record(webhook.Outcome{Attempt: webhook.Attempt{Message: s.messages[0], Number: 1, URL: "http://x/"}},
		webhook.Outcome{Hold: true, Key: key, Attempt: held})
	if err := s.w.Resend(t.Context(), s.app, s.endpoint, s.messages[1]); err != nil {
		t.Fatal(err)
	}
	record(webhook.Outcome{Source: webhook.SourceManual, Key: key, Attempt: webhook.Attempt{Message: s.messages[1], Number: 1, URL: "http://x/", Status: webhook.StatusFail, Next: due}})
	count := func() uint64 {
		list, err := s.Deliveries().Backlogs([]*webhook.Endpoint{s.catalog.endpoints[s.endpoint]})
		if err != nil || list[0].Retrying != 0 {
			t.Errorf("%+v, %v", list, err)
		}
		return list[0].Held
	}
	if n := count(); n != 1 {
		t.Errorf("%d messages are held", n)
	}
	record(webhook.Outcome{Source: webhook.SourceHeld, Key: key, Attempt: webhook.Attempt{Message: s.messages[1], Number: 2, URL: "http://x/"}})
	if n := count(); n != 0 {
		t.Errorf("%d messages are held after the only one was sent", n)
	}
}

// A message that the cursor has yet to reach, and is replayed in vain meanwhile, waits only for the
// cursor.
func TestReplayBeforeCursor(t *testing.T) {
	s := newSized(t, 100<<20)
	s.send(t, 1)
	due := time.UnixMilli(testClock + 1000).UTC()
	fail := webhook.Attempt{Message: s.messages[0], Number: 1, URL: "http://x/", Status: webhook.StatusFail, Next: due}
	if err := s.w.Resend(t.Context(), s.app, s.endpoint, s.messages[0]); err != nil {
		t.Fatal(err)
	}
	for retrying, source := range []webhook.Source{webhook.SourceManual, webhook.SourceLog} {
		fail.Number = uint32(retrying + 1)
		p := webhook.Progress{Endpoint: s.endpoint, Outcomes: []webhook.Outcome{{Source: source, Attempt: fail}}}
		if err := s.w.Leader(1).RecordProgress(t.Context(), []webhook.Progress{p}); err != nil {
			t.Fatal(err)
		}
		list, err := s.Deliveries().Backlogs([]*webhook.Endpoint{s.catalog.endpoints[s.endpoint]})
		if err != nil || list[0].Retrying != uint64(retrying) {
			t.Errorf("after an attempt from source %d: %+v, %v", source, list, err)
		}
	}
}

// A manual success settles a planned retry also if its request has left the manual set meanwhile,
// with its task.
func TestDeliveredAfterCancel(t *testing.T) {
	s := newSized(t, 100<<20)
	s.send(t, 1)
	a := webhook.Attempt{Message: s.messages[0], Number: 1, URL: "http://x/", Status: webhook.StatusFail, Next: time.UnixMilli(testClock + 1000).UTC()}
	success := a
	success.Number, success.Status, success.Next, success.Trigger = 2, webhook.StatusSuccess, time.Time{}, webhook.TriggerManual
	for _, o := range []webhook.Outcome{{Source: webhook.SourceLog, Attempt: a}, {Source: webhook.SourceManual, Attempt: success}} {
		if err := s.w.Leader(1).RecordProgress(t.Context(), []webhook.Progress{{Endpoint: s.endpoint, Outcomes: []webhook.Outcome{o}}}); err != nil {
			t.Fatal(err)
		}
	}
	list, err := s.Deliveries().Backlogs([]*webhook.Endpoint{s.catalog.endpoints[s.endpoint]})
	if err != nil || list[0].Retrying != 0 {
		t.Errorf("after the delivery: %+v, %v", list, err)
	}
}
