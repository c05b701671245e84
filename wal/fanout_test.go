package wal

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"hookwheel/systemtest/memdir"
	"hookwheel/webhook"
)

// fanOut makes a store in which one message was attempted twice at each of so many endpoints.
func fanOut(t testing.TB, count int) (s *Store, m *webhook.Message, endpoints []*webhook.Endpoint) {
	t.Helper()
	s, err := Open(Config{Dir: memdir.New(t), MinFree: 1, Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	w := NewWriter(direct{s, 1})
	app, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "a"}, false)
	if err != nil {
		t.Fatal(err)
	}
	for range count {
		e, err := w.CreateEndpoint(t.Context(), webhook.Endpoint{App: app.ID, URL: "http://x/"})
		if err != nil {
			t.Fatal(err)
		}
		endpoints = append(endpoints, e)
	}
	id, err := w.CreateMessage(t.Context(), &webhook.Message{App: app.ID, EventType: "a", Payload: []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	for part := range slices.Chunk(endpoints, 50) {
		var list []webhook.Progress
		for _, e := range part {
			p := webhook.Progress{Endpoint: e.ID}
			for n := range uint32(2) {
				p.Outcomes = append(p.Outcomes, webhook.Outcome{Source: webhook.SourceManual, Attempt: webhook.Attempt{Message: id, Number: n + 1,
					URL: "http://x/", Status: webhook.StatusFail, StatusCode: 500, Trigger: webhook.TriggerManual, Response: fmt.Appendf(nil, "no %d", n)}})
			}
			list = append(list, p)
		}
		if err := w.Leader(1).RecordProgress(t.Context(), list); err != nil {
			t.Fatal(err)
		}
	}
	if m, err = s.Deliveries().MessageByID(app.ID, id); err != nil {
		t.Fatal(err)
	}
	return s, m, endpoints
}

// A page of explanations or destinations looks at each attempt of the message once or twice,
// whatever the size of the page.
func TestFanOutIsWalkedOnce(t *testing.T) {
	const count, limit = 300, 100
	s, m, endpoints := fanOut(t, count)
	txn := s.db.at(s.Applied())
	defer txn.Discard()
	index := newIndexReader(viewOf(txn))
	defer index.close()
	list, err := index.explain(m, endpoints[:limit])
	if err != nil || len(list) != limit {
		t.Fatal(len(list), err)
	}
	for i, x := range list {
		if x.Endpoint.ID != endpoints[i].ID || x.Attempts != 2 || x.Last == nil || string(x.Last.Response) != "no 1" {
			t.Fatalf("endpoint %d: %+v", i, x)
		}
	}
	if index.visited != 2*count {
		t.Errorf("explaining a page of %d endpoints looked at %d attempts of %d", limit, index.visited, 2*count)
	}
	for _, ascending := range []bool{true, false} {
		var all []webhook.ID
		for page := (Page{Limit: limit, Ascending: ascending}); ; {
			index.visited = 0
			list, more, err := s.Attempts().destinations(index, m, page)
			if err != nil || index.visited != 2*2*count {
				t.Fatalf("a page of %d destinations looked at %d attempts of %d: %v", len(list), index.visited, 2*count, err)
			}
			for _, a := range list {
				all = append(all, a.Endpoint)
			}
			if page.From = all[len(all)-1]; !more {
				break
			}
		}
		if !ascending {
			slices.Reverse(all)
		}
		if !slices.EqualFunc(all, endpoints, func(id webhook.ID, e *webhook.Endpoint) bool { return id == e.ID }) {
			t.Errorf("%d destinations, ascending %t, are not the %d endpoints", len(all), ascending, count)
		}
	}
}

// BenchmarkExplain explains a page of endpoints of a message that went to 1,000 and to 10,000.
// What grows is one walk over the attempts; if it were one for each endpoint of the page, the
// ratio of the two would be near 10:
//
//	go test ./wal -run XX -bench Explain -benchtime 100x
func BenchmarkExplain(b *testing.B) {
	var small time.Duration
	for _, count := range []int{1000, 10_000} {
		b.Run(fmt.Sprint(count, " endpoints"), func(b *testing.B) {
			s, m, endpoints := fanOut(b, count)
			b.ResetTimer()
			for b.Loop() {
				if list, err := s.Deliveries().Explain(m, endpoints[:250]); err != nil || len(list) != 250 {
					b.Fatal(len(list), err)
				}
			}
			if each := b.Elapsed() / time.Duration(b.N); count == 1000 {
				small = each
			} else {
				b.ReportMetric(float64(each)/float64(small), "ratio")
			}
		})
	}
}

// A page ends when its items take Page.Bytes, and the next one goes on from there; one item always
// fits.
func TestPagesByBytes(t *testing.T) {
	s, w, app, _ := newWorld(t)
	var ids []webhook.ID
	for i := range 40 {
		id, err := w.CreateMessage(t.Context(), &webhook.Message{App: app.ID, EventType: "a", Payload: make([]byte, 1000*(1+i%7))})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	for _, bytes := range []int{1, 5000, 20_000, 1 << 20} {
		for _, ascending := range []bool{true, false} {
			var all []webhook.ID
			page := Page{Limit: 30, Bytes: bytes, Ascending: ascending}
			for {
				list, next, err := s.Messages(app.ID, page, MessageFilter{})
				if err != nil {
					t.Fatal(err)
				}
				size := 0
				for i := range list {
					all = append(all, list[i].ID)
					size += len(list[i].Payload)
				}
				if size > bytes && len(list) > 1 {
					t.Errorf("a page of %d bytes has %d", bytes, size)
				}
				if page.From = next; next.IsZero() {
					break
				}
			}
			if !ascending {
				slices.Reverse(all)
			}
			if !slices.Equal(all, ids) {
				t.Errorf("pages of %d bytes, ascending %t, have %d messages of %d", bytes, ascending, len(all), len(ids))
			}
		}
	}
	list, _, err := s.Messages(app.ID, Page{Limit: 30, Bytes: 30 * messageCost}, MessageFilter{WithoutPayload: true})
	if err != nil || len(list) != 30 || list[0].Payload != nil {
		t.Errorf("without payloads: %d messages, %v", len(list), err)
	}
}
