package scheduler

import (
	"log/slog"
	"testing"
	"time"

	"hookwheel/webhook"
)

// However many endpoints nothing is known of have something to send, they get half of the workers: the others are for those that answer.
func TestUnprovenShare(t *testing.T) {
	b := newShelf()
	config := testConfig(8)
	config.Workers = 8
	s := New(b, 2, config, slog.New(slog.DiscardHandler))
	for i := range 20 {
		s.Add(testEndpoint(uint32(i)))
	}
	for i := range 10 {
		b.add(testMessage(10+i, 10))
	}
	s.Offer(b.log)
	var taken []webhook.Delivery
	for range 4 {
		d, _ := s.Next()
		taken = append(taken, d)
	}
	s.mu.Lock()
	flying, ready := s.flying, !s.ready.empty()
	s.mu.Unlock()
	if flying != 4 || ready {
		t.Fatalf("%d are under way, and there are more: %v", flying, ready)
	}
	s.Remove(taken[0].Endpoint.ID) // its place is another's
	next := make(chan webhook.Delivery)
	go func() {
		for {
			d, ok := s.Next()
			if !ok {
				return
			}
			next <- d
		}
	}()
	for range 100 {
		select {
		case d := <-next:
			o := s.Done(d, webhook.Attempt{Message: d.ID, Endpoint: d.Endpoint.ID, Number: 1, Duration: time.Millisecond}, Verdict{})
			s.Settle(s.Checkpoint([]webhook.Outcome{o}, 8))
		case <-time.After(5 * time.Second):
			t.Fatal("nothing more is handed out")
		}
	}
	s.mu.Lock()
	s.closed = true
	s.work.Broadcast()
	s.mu.Unlock()
}
