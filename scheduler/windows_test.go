package scheduler

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"hookwheel/webhook"
)

// Windows of many lanes that lag, and take turns, are not all in memory, and each lane gets each
// message once nevertheless.
func TestWindowsAreBounded(t *testing.T) {
	const lanes, messages, size = 3000, 24, 6 << 10
	w := newMemoryWorld(lanes, 1, 0)
	for i := range messages {
		m := testMessage(10+i, size)
		m.App = w.endpoints[0].App
		w.add(m)
		w.logs[m.App] = append(w.logs[m.App], m)
	}
	s := New(w.shelf, w.log[messages-1].ID.Index(), testConfig(64), slog.New(slog.DiscardHandler))
	s.Apply(webhook.Changes{Endpoints: w.endpoints})
	got := make(map[[2]webhook.ID]bool)
	full := 0
	for range lanes * messages {
		d, _ := s.Next()
		pair := [2]webhook.ID{d.ID, d.Endpoint.ID}
		if got[pair] {
			t.Fatal("a message is handed out twice")
		}
		got[pair] = true
		if s.windows.bytes > allWindowBytes {
			t.Fatalf("%d windows take %d bytes", len(s.windows.held), s.windows.bytes)
		}
		full = max(full, s.windows.bytes)
		a := webhook.Attempt{Message: d.ID, Endpoint: d.Endpoint.ID, Number: d.Number, Duration: time.Millisecond}
		s.Settle(s.Checkpoint([]webhook.Outcome{s.Done(d, a, Verdict{})}, 8))
	}
	if full < allWindowBytes/2 {
		t.Errorf("windows took at most %d bytes: the test tests nothing", full)
	}
	s.Apply(webhook.Changes{Removed: ids(w.endpoints[:lanes/2])})
	if s.windows.bytes > 0 || len(s.windows.held) > 0 {
		t.Errorf("%d windows of %d bytes are left", len(s.windows.held), s.windows.bytes)
	}
}

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

// What a lane has read of the log no longer counts when it is removed, or gives a message back.
func TestWindowsAreReleased(t *testing.T) {
	w := newMemoryWorld(2, 1, 30)
	s := New(w.shelf, w.log[29].ID.Index(), testConfig(64), slog.New(slog.DiscardHandler))
	s.Apply(webhook.Changes{Endpoints: w.endpoints})
	for range 2 {
		if _, found := s.Next(); !found {
			t.Fatal("nothing is handed out")
		}
	}
	if len(s.windows.held) == 0 {
		t.Fatal("no lane has a window")
	}
	s.mu.Lock()
	for l := range s.windows.held {
		if len(l.log.taken) > 0 {
			logSource{l}.giveBack(candidate{})
			if s.windows.held[l] > 0 {
				t.Error("a window that was given up counts")
			}
		}
	}
	s.mu.Unlock()
	s.Apply(webhook.Changes{Removed: ids(w.endpoints)})
	if s.windows.bytes != 0 || len(s.windows.held) > 0 {
		t.Errorf("%d windows of %d bytes are left", len(s.windows.held), s.windows.bytes)
	}
}

// Where there are many lanes, each has fewer lines of its retry set in memory.
func TestLinesOfManyLanesAreBounded(t *testing.T) {
	const lanes = 2000
	w := newMemoryWorld(lanes, 1, 0)
	config := testConfig(1)
	config.Clock = func() time.Time { return time.UnixMilli(1_790_000_000_100) }
	s := New(million{w.shelf}, 2, config, slog.New(slog.DiscardHandler))
	ctx, end := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx) })
	defer wg.Wait()
	defer end()
	s.Apply(webhook.Changes{Endpoints: w.endpoints})
	seen := make(map[webhook.ID]bool)
	for len(seen) < lanes {
		d, _ := s.Next()
		seen[d.Endpoint.ID] = true
		if n := s.Stats().Retries; n > allLoaded {
			t.Fatalf("%d lines are in memory", n)
		}
		a := webhook.Attempt{Message: d.ID, Endpoint: d.Endpoint.ID, Number: d.Number, Duration: time.Millisecond}
		s.Settle(s.Checkpoint([]webhook.Outcome{s.Done(d, a, Verdict{})}, 8))
	}
	if n := s.Stats().Retries; n < lanes*minLoaded {
		t.Errorf("%d lines are in memory: the test tests nothing", n)
	}
}

// Where there are many lanes, each has fewer lines of its manual set in memory: a task may have put
// lines into all of them.
func TestManualLinesOfManyLanesAreBounded(t *testing.T) {
	const lanes = 4000
	w := newMemoryWorld(lanes, 1, 0)
	s := New(w.shelf, 2, testConfig(1), slog.New(slog.DiscardHandler))
	s.Apply(webhook.Changes{Endpoints: w.endpoints})
	e := w.endpoints[0].ID
	for i := range maxManual {
		w.shelf.manual[e] = append(w.shelf.manual[e], webhook.Manual{Message: testMessage(10+i, 0).ID, Number: 1})
	}
	s.wakeManual(e)
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[e]
	manualSource{l}.load(s.clock())
	if n := len(l.manual.lines); n == 0 || n > allLoaded/2/lanes {
		t.Errorf("%d lines are in memory", n)
	}
}

func ids(endpoints []*webhook.Endpoint) (list []webhook.ID) {
	for _, e := range endpoints {
		list = append(list, e.ID)
	}
	return list
}
