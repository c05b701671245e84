package scheduler

import (
	"log/slog"
	"testing"
	"time"

	"hookwheel/webhook"
)

// Lanes whose windows do not all fit into memory get messages nevertheless: one that has read a
// window takes from it at once.
func TestLargeWindowsMakeProgress(t *testing.T) {
	const lanes, messages, size = 500, 2, 1 << 20
	w := newMemoryWorld(lanes, 1, 0)
	payload := testMessage(1, size).Payload
	for i := range messages {
		m := testMessage(10+i, 0)
		m.Payload, m.App = payload, w.endpoints[0].App
		w.add(m)
		w.logs[m.App] = append(w.logs[m.App], m)
	}
	// More than the memory of the tails.
	s := New(w.shelf, w.log[messages-1].ID.Index(), testConfig(64), slog.New(slog.DiscardHandler))
	s.Apply(webhook.Changes{Endpoints: w.endpoints})
	begun := time.Now()
	for i := range lanes * messages {
		got := make(chan webhook.Delivery, 1)
		go func() { d, _ := s.Next(); got <- d }()
		select {
		case d := <-got:
			a := webhook.Attempt{Message: d.ID, Endpoint: d.Endpoint.ID, Number: d.Number, Duration: time.Millisecond}
			s.Settle(s.Checkpoint([]webhook.Outcome{s.Done(d, a, Verdict{})}, 8))
		case <-time.After(10 * time.Second):
			t.Fatalf("after %d deliveries in %v nothing is handed out", i, time.Since(begun))
		}
	}
}
