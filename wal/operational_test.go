package wal

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"hookwheel/webhook"
)

// told are the operational messages in the log of an application.
func told(t *testing.T, s *Store, app webhook.ID) (list []string) {
	t.Helper()
	messages, _, err := s.Messages(app, Page{Ascending: true, Limit: 100}, MessageFilter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		var body struct {
			Type string
			Data map[string]any
		}
		if err := json.Unmarshal(m.Payload, &body); err != nil || body.Type != m.EventType {
			t.Errorf("%s: %v", m.Payload, err)
		}
		list = append(list, string(m.Payload))
	}
	return list
}

func TestOperationalMessages(t *testing.T) {
	s, w, app, endpoint := newWorld(t) // the endpoint is made before anybody wants to know
	ctx := t.Context()
	operational, _, err := w.CreateApplication(ctx, webhook.Application{UID: webhook.OperationalUID, Name: "o"}, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.CreateEndpoint(ctx, webhook.Endpoint{App: operational.ID, URL: "http://o/"}); err != nil {
		t.Fatal(err)
	}
	second, err := w.CreateEndpoint(ctx, webhook.Endpoint{App: app.ID, URL: "http://x/", Keys: testKeys})
	if err != nil {
		t.Fatal(err)
	}
	change := *endpoint
	change.Description = "changed"
	changed, err := w.UpdateEndpoint(ctx, change)
	if err != nil {
		t.Fatal(err)
	}
	rotated := *changed
	rotated.Keys = append(rotated.Keys, rotated.Keys...)
	again, err := w.UpdateEndpoint(ctx, rotated)
	if err != nil {
		t.Fatal(err)
	}
	resealed := *again
	resealed.Keys = slices.Clone(resealed.Keys)
	resealed.Keys[0].Sealed = []byte("the same secret") // nothing that anybody is told
	if again, err = w.ResealEndpoint(ctx, resealed); err != nil {
		t.Fatal(err)
	}
	if _, err = w.UpdateEndpoint(ctx, *again); err != nil { // nor is a change of nothing
		t.Fatal(err)
	}
	since := time.UnixMilli(testClock).UTC()
	wantCode(t, w.Leader(7).DisableEndpoint(ctx, second, since), webhook.CodeConflict)
	for range 2 { // the second time it is disabled already
		if err := w.Leader(1).DisableEndpoint(ctx, second, since); err != nil {
			t.Fatal(err)
		}
	}
	before := *again
	before.Revision-- // what has failed is not what it is now
	if err := w.Leader(1).DisableEndpoint(ctx, &before, since); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Endpoint(app.ID, again.ID.Text(webhook.KindEndpoint)); err != nil || got.Disabled {
		t.Error(got, err)
	}
	if got, err := s.Endpoint(app.ID, second.ID.Text(webhook.KindEndpoint)); err != nil || !got.Disabled {
		t.Error(got, err)
	}
	if err := w.DeleteEndpoint(ctx, app.ID, second.ID); err != nil {
		t.Fatal(err)
	}
	names := fmt.Sprintf(`{"appId":"%s","appUid":"acme","endpointId":"%s"`, app.ID.Text(webhook.KindApplication), second.ID.Text(webhook.KindEndpoint))
	first := fmt.Sprintf(`{"appId":"%s","appUid":"acme","endpointId":"%s","endpointUid":"e1"`, app.ID.Text(webhook.KindApplication), endpoint.ID.Text(webhook.KindEndpoint))
	want := []string{
		`{"type":"endpoint.created","data":` + names + `}}`,
		`{"type":"endpoint.updated","data":` + first + `}}`,
		`{"type":"endpoint.updated","data":` + first + `}}`,
		`{"type":"endpoint.disabled","data":` + names + `,"failSince":"` + since.Format(time.RFC3339Nano) + `","trigger":"automatic"}}`,
		`{"type":"endpoint.deleted","data":` + names + `}}`,
	}
	if got := told(t, s, operational.ID); !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// What is told of attempts: the fourth failure, the last one, and a success that came late; each
// once, however often it is recorded.
func TestOperationalAttempts(t *testing.T) {
	s, w, app, endpoint := newWorld(t)
	ctx := t.Context()
	operational, _, err := w.CreateApplication(ctx, webhook.Application{UID: webhook.OperationalUID, Name: "o"}, false)
	if err != nil {
		t.Fatal(err)
	}
	attempts := func(fails int, end webhook.Status) webhook.ID {
		id, err := w.CreateMessage(ctx, &webhook.Message{App: app.ID, EventType: "a", EventID: fmt.Sprintf("ev%d-%s", fails, end), Payload: []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
		due := time.Time{}
		for i := range fails + 1 {
			o := webhook.Outcome{Due: due, Attempt: webhook.Attempt{Message: id, Number: uint32(i + 1), URL: "http://x/", Status: webhook.StatusFail,
				StatusCode: 500, Start: time.UnixMilli(testClock).UTC()}}
			if i > 0 {
				o.Source = webhook.SourceRetry
			}
			if i == fails {
				o.Attempt.Status = end
			} else {
				due = time.UnixMilli(testClock + int64(s.Applied())).UTC()
				o.Attempt.Next = due
			}
			for range 2 {
				if err := w.Leader(1).RecordProgress(ctx, []webhook.Progress{{Endpoint: endpoint.ID, Cursor: id, Outcomes: []webhook.Outcome{o}}}); err != nil {
					t.Fatal(err)
				}
			}
		}
		return id
	}
	attempts(3, webhook.StatusSuccess)
	recovered := attempts(4, webhook.StatusSuccess)
	exhausted := attempts(5, webhook.StatusFail)
	attempts(1, webhook.StatusCanceled)
	var got []string
	for _, text := range told(t, s, operational.ID) {
		var body struct {
			Type string
			Data struct {
				MsgID, MsgEventID, EndpointUID string
				LastAttempt                    struct {
					ID                 string
					ResponseStatusCode int
					Timestamp          time.Time
				}
			}
		}
		if err := json.Unmarshal([]byte(text), &body); err != nil {
			t.Fatal(err)
		}
		d := body.Data
		if d.EndpointUID != "e1" || d.LastAttempt.ResponseStatusCode != 500 || d.LastAttempt.Timestamp.UnixMilli() != testClock {
			t.Error(text)
		}
		if _, err := webhook.ParseID(webhook.KindAttempt, d.LastAttempt.ID); err != nil {
			t.Error(text, err)
		}
		got = append(got, body.Type+" "+d.MsgID+" "+d.MsgEventID)
	}
	r, x := recovered.Text(webhook.KindMessage)+" ev4-success", exhausted.Text(webhook.KindMessage)+" ev5-fail"
	want := []string{"message.attempt.failing " + r, "message.attempt.recovered " + r, "message.attempt.failing " + x, "message.attempt.exhausted " + x}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A chunk of the log is read once for the attempts of its messages that one command reports.
func TestReportedMessagesAreReadTogether(t *testing.T) {
	const count, size = 64, 16 << 10
	s, w, app, endpoint := newWorld(t)
	operational, _, err := w.CreateApplication(t.Context(), webhook.Application{UID: webhook.OperationalUID, Name: "o"}, false)
	if err != nil {
		t.Fatal(err)
	}
	var list []webhook.Message
	for range count {
		list = append(list, webhook.Message{EventType: "a", Payload: make([]byte, size)})
	}
	applyAt(t, s, testClock+60_000, encodeCreateMessages(app.ID, placed(list...)))
	p := webhook.Progress{Endpoint: endpoint.ID, Cursor: idAt(s.Applied(), count-1)}
	for i := range uint32(count) {
		p.Outcomes = append(p.Outcomes, webhook.Outcome{Attempt: webhook.Attempt{Message: idAt(s.Applied(), i), Number: 1, URL: "http://x/", Status: webhook.StatusFail}})
	}
	if err := s.Commit(); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := w.Leader(1).RecordProgress(t.Context(), []webhook.Progress{p}); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if told := told(t, s, operational.ID); len(told) != count {
		t.Errorf("%d attempts are reported", len(told))
	}
	if bytes := after.TotalAlloc - before.TotalAlloc; bytes > 8*count*size {
		t.Errorf("%d MiB of memory for a chunk of %d MiB", bytes>>20, count*size>>20)
	}
}
