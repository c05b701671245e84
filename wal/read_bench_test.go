package wal

import (
	"fmt"
	"log/slog"
	"testing"
	"time"

	"hookwheel/webhook"
)

// BenchmarkListAttempts lists a page of one endpoint's attempts in a store that holds a thousand
// and in one that holds a million, at 10,000 endpoints. The ratio of the two must stay below 2:
//
//	go test ./wal -run XX -bench ListAttempts -benchtime 2000x
func BenchmarkListAttempts(b *testing.B) {
	var small time.Duration
	for _, endpoints := range []int{10, 10_000} {
		b.Run(fmt.Sprint(endpoints*attemptsEach, " attempts"), func(b *testing.B) {
			s, ids := fillHistory(b, endpoints)
			status := webhook.StatusFail
			b.ResetTimer()
			for i := range b.N {
				list, _, err := s.Attempts().ByEndpoint(ids[i%len(ids)], Page{Limit: 50}, AttemptFilter{Status: &status})
				if err != nil || len(list) != 50 {
					b.Fatal(len(list), err)
				}
			}
			b.StopTimer()
			if each := b.Elapsed() / time.Duration(b.N); endpoints == 10 {
				small = each
			} else {
				b.ReportMetric(float64(each)/float64(small), "ratio")
			}
		})
	}
}

const attemptsEach = 100 // of an endpoint

// fillHistory makes a store with so many endpoints, in chunks of five attempts, as a busy leader
// records them.
func fillHistory(b *testing.B, count int) (s *Store, endpoints []webhook.ID) {
	b.Helper()
	s, err := Open(Config{Dir: b.TempDir(), MinFree: 1, Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { b.Error(err) }})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	w := NewWriter(direct{s, 1})
	app, _, err := w.CreateApplication(b.Context(), webhook.Application{Name: "a"}, false)
	if err != nil {
		b.Fatal(err)
	}
	for range count {
		e, err := w.CreateEndpoint(b.Context(), webhook.Endpoint{App: app.ID, URL: "http://x/"})
		if err != nil {
			b.Fatal(err)
		}
		endpoints = append(endpoints, e.ID)
	}
	const chunk = 5
	for range attemptsEach / chunk {
		m, err := w.CreateMessage(b.Context(), &webhook.Message{App: app.ID, EventType: "a", Payload: []byte("{}")})
		if err != nil {
			b.Fatal(err)
		}
		var list []webhook.Progress
		for i, endpoint := range endpoints {
			p := webhook.Progress{Endpoint: endpoint}
			for n := range uint32(chunk) {
				p.Outcomes = append(p.Outcomes, webhook.Outcome{Source: webhook.SourceManual, Attempt: webhook.Attempt{Message: m, Number: n + 1,
					URL: "http://x/", Status: webhook.StatusFail, StatusCode: 500, Trigger: webhook.TriggerManual, Response: []byte("no")}})
			}
			if list = append(list, p); len(list) == 50 || i == len(endpoints)-1 {
				if err := w.Leader(1).RecordProgress(b.Context(), list); err != nil {
					b.Fatal(err)
				}
				list = list[:0]
			}
		}
	}
	return s, endpoints
}
