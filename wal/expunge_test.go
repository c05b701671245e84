package wal

import (
	"testing"
	"time"

	"hookwheel/webhook"
)

// What is expunged is gone, and nothing else is, also while its chunk is not yet durable.
func TestExpunge(t *testing.T) {
	s, w, app, endpoint := newWorld(t)
	ctx := t.Context()
	var bodies [][]byte
	for _, payload := range []string{`{"n":1}`, `{"n":2}`, `{"n":3}`} {
		bodies = append(bodies, appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "a", Tags: []string{"t"}, Payload: []byte(payload)}))
	}
	var ids []webhook.ID
	for _, reply := range applyList(t, s, bodies...) {
		ids = append(ids, webhook.ID(reply[1:]))
	}
	p := webhook.Progress{Endpoint: endpoint.ID, Cursor: ids[2]}
	for _, id := range ids {
		p.Outcomes = append(p.Outcomes, webhook.Outcome{Attempt: webhook.Attempt{Message: id, Number: 1, URL: "http://x/", Response: []byte("secret")}})
	}
	if err := w.Leader(1).RecordProgress(ctx, []webhook.Progress{p}); err != nil {
		t.Fatal(err)
	}
	attempts, _, err := s.Attempts().ByMessage(ids[1], Page{Limit: 9}, AttemptFilter{})
	if err != nil || len(attempts) != 1 {
		t.Fatal(attempts, err)
	}
	expungeMessage, err := encodeCommand(kindExpungeMessage, expunge{App: app.ID, Message: ids[1]})
	if err != nil {
		t.Fatal(err)
	}
	expungeAttempt, err := encodeCommand(kindExpungeAttempt, expunge{App: app.ID, Message: ids[1], Attempt: attempts[0].ID})
	if err != nil {
		t.Fatal(err)
	}
	applyList(t, s, expungeMessage, expungeAttempt, expungeMessage)
	for i, id := range ids {
		m, err := s.Deliveries().MessageByID(app.ID, id)
		if err != nil || m.Expunged != (i == 1) || (len(m.Payload) == 0) != (i == 1) || len(m.Tags) != 1 {
			t.Errorf("message %d: %+v %v", i, m, err)
		}
		list, _, err := s.Attempts().ByMessage(id, Page{Limit: 9}, AttemptFilter{})
		if want := map[bool]string{false: "secret", true: "EXPUNGED"}[i == 1]; err != nil || string(list[0].Response) != want || list[0].URL != "http://x/" {
			t.Errorf("attempt %d: %+v %v", i, list, err)
		}
	}
	wantCode(t, w.Resend(ctx, app.ID, endpoint.ID, ids[1]), webhook.CodeMissingPayload)
	wantCode(t, w.ExpungeMessage(ctx, app.ID, endpoint.ID), webhook.CodeNotFound)
	wantCode(t, w.ExpungeMessage(ctx, endpoint.ID, ids[0]), webhook.CodeNotFound)
	wantCode(t, w.ExpungeAttempt(ctx, app.ID, ids[0], attempts[0].ID), webhook.CodeNotFound)
}

// Attempts are counted in the hour in which they were recorded, for 90 days.
func TestStats(t *testing.T) {
	s, w, app, endpoint := newWorld(t)
	id, err := w.CreateMessage(t.Context(), &webhook.Message{App: app.ID, EventType: "a", Payload: []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	const days = 100
	record := func(at int64, statuses ...webhook.Status) {
		p := webhook.Progress{Endpoint: endpoint.ID, Cursor: id}
		for i, status := range statuses {
			p.Outcomes = append(p.Outcomes, webhook.Outcome{Source: webhook.SourceManual,
				Attempt: webhook.Attempt{Message: id, Number: uint32(i + 1), Trigger: webhook.TriggerManual, Status: status}})
		}
		index := s.Applied() + 1
		if _, err := s.Apply(index, 1, at, []Command{{Request: [16]byte{1, byte(index), byte(index >> 8)}, Body: encodeProgress(1, []webhook.Progress{p})}}); err != nil {
			t.Fatal(err)
		}
	}
	start := webhook.Outcome{Attempt: webhook.Attempt{Message: id, Number: 1, Status: webhook.StatusSuccess}}
	if err := w.Leader(1).RecordProgress(t.Context(), []webhook.Progress{{Endpoint: endpoint.ID, Cursor: id, Outcomes: []webhook.Outcome{start}}}); err != nil {
		t.Fatal(err)
	}
	for i := range int64(days * 24) {
		record(testClock+(i+1)*hour, webhook.StatusSuccess, webhook.StatusFail, webhook.StatusCanceled, webhook.StatusFail)
	}
	now := time.UnixMilli(testClock + days*24*hour)
	for _, test := range []struct{ back, hours int }{{0, 1}, {1, 2}, {24, 25}, {27 * 24, 27*24 + 1}, {days * 24, 91*24 + 1}} {
		n, err := s.Stats(endpoint.ID, now.Add(-time.Duration(test.back)*time.Hour), now)
		if want := uint64(test.hours); err != nil || n.Succeeded != want || n.Failed != 2*want || n.Canceled != want {
			t.Errorf("%d hours back: %+v, want %d; %v", test.back, n, want, err)
		}
	}
}
