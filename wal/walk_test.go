package wal

import (
	"testing"

	"hookwheel/webhook"
)

// A line that was written and removed many times does not take long to pass.
func TestWalkPassesOverVersions(t *testing.T) {
	const times = 500
	s, w, app, endpoint := newWorld(t)
	var messages []webhook.ID
	for range 3 {
		id, err := w.CreateMessage(t.Context(), &webhook.Message{App: app.ID, EventType: "a", Payload: []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
		messages = append(messages, id)
	}
	resend := func(id webhook.ID) {
		if err := w.Resend(t.Context(), app.ID, endpoint.ID, id); err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range uint32(times) {
		resend(messages[1])
		p := webhook.Progress{Endpoint: endpoint.ID, Outcomes: []webhook.Outcome{manualAttempt(messages[1], i+1)}}
		if err := w.Leader(1).RecordProgress(t.Context(), []webhook.Progress{p}); err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	resend(messages[0])
	resend(messages[2])
	prefix := idKey(keyManual, endpoint.ID)
	txn := s.db.at(s.Applied())
	defer txn.Discard()
	lines := newWalk(txn, prefix)
	defer lines.close()
	count := 0
	err := lines.seek(prefix, prefix, func(_, _ []byte) error { count++; return nil })
	if err != nil || count != 2 || lines.seen > 2*manyVersions {
		t.Errorf("%d lines, %d versions passed, %v", count, lines.seen, err)
	}
}
