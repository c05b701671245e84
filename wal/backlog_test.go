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
		list, err := s.Backlogs([]*webhook.Endpoint{s.catalog.endpoints[s.endpoint]})
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
	if err := s.w.RecordProgress(t.Context(), 1, []webhook.Progress{p}); err != nil {
		t.Fatal(err)
	}
	want := Backlog{Retrying: 4, Held: 1, Requested: 1, Behind: 18, Oldest: s.messages[0].Time()}
	if b := backlog(); b != want {
		t.Errorf("%+v, want %+v", b, want)
	}
	if sum, err := s.Waiting(webhook.ID{}); err != nil || sum != (Waiting{4, 1, 1, 18, s.messages[0].Time()}) {
		t.Errorf("in all: %+v, %v", sum, err)
	}
}

// TestBacklogIsBounded: a long log is not read to its end.
func TestBacklogIsBounded(t *testing.T) {
	s := newSized(t, 100<<20)
	begin := time.UnixMilli(testClock)
	s.send(t, backlogMessages+10)
	list, err := s.Backlogs([]*webhook.Endpoint{s.catalog.endpoints[s.endpoint]})
	if err != nil || !list[0].More || list[0].Behind < backlogMessages || list[0].Oldest.Before(begin) {
		t.Errorf("%+v, %v", list, err)
	}
}
