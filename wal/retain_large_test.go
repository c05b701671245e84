package wal

import (
	"fmt"
	"testing"
	"time"

	"hookwheel/systemtest/memdir"
	"hookwheel/webhook"
)

// retainAll gives one retain command after another, as the leader does, until nothing more is due
// at that clock. It returns how many bytes one of them has written at most.
func retainAll(t *testing.T, s *Store, clock int64) (largest int) {
	t.Helper()
	written := countWrites(s)
	for range 10_000 {
		o, err := NewCleaner(s, nil).overdue(clock, clock)
		if err != nil {
			t.Fatal(err)
		}
		if len(o.command.Parts)+len(o.command.Looked) == 0 && !NewCleaner(s, nil).needsSweep() {
			return largest
		}
		if err := s.Commit(); err != nil {
			t.Fatal(err)
		}
		before := written()
		applyAt(t, s, clock, mustEncode(t, kindRetain, o.command))
		largest = max(largest, written()-before)
	}
	t.Fatal("it never ends")
	return 0
}

// One message in each of many large chunks is due: a command that rewrote them all would not fit
// into memory, nor once into a transaction.
func TestRetainLargeChunks(t *testing.T) {
	s, _, app, _ := newWorld(t)
	const chunks = 120
	for range chunks {
		var bodies [][]byte
		for i := range 10 {
			m := webhook.Message{App: app.ID, EventType: "a", Payload: make([]byte, 24_000)}
			if i == 0 {
				m.Retention = time.Hour
			}
			bodies = append(bodies, appendCreateMessage(nil, &m))
		}
		applyAt(t, s, testClock+100, bodies...)
	}
	clock := int64(testClock) + 2*time.Hour.Milliseconds()
	o, err := NewCleaner(s, nil).overdue(testClock, clock)
	if err != nil || len(o.command.Parts) != chunks {
		t.Fatalf("%d parts are overdue, want %d: %v", len(o.command.Parts), chunks, err)
	}
	rounds, written := 0, countWrites(s)
	for ; len(o.command.Parts) > 0 && rounds < 100; rounds++ {
		if err := s.Commit(); err != nil {
			t.Fatal(err)
		}
		before := written()
		applyAt(t, s, clock, mustEncode(t, kindRetain, o.command))
		if size := written() - before; size > retainBytes+1<<20 {
			t.Fatalf("one command has written %d bytes", size)
		}
		if o, err = NewCleaner(s, nil).overdue(testClock, clock); err != nil {
			t.Fatal(err)
		}
	}
	if want := chunks * 240_000 / retainBytes; rounds < want || rounds > 3*want {
		t.Errorf("it took %d commands, want about %d", rounds, want)
	}
}

// A message with very many attempts leaves the log at once, and its attempts bit by bit, also
// across a restart.
func TestRetainManyAttempts(t *testing.T) {
	dir := memdir.New(t)
	s := openTest(t, dir)
	w := NewWriter(direct{s, 1})
	app, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "n"}, false)
	if err != nil {
		t.Fatal(err)
	}
	const endpoints, attempts = 600, 12
	var eps []webhook.ID
	for range endpoints {
		e, err := w.CreateEndpoint(t.Context(), webhook.Endpoint{App: app.ID, URL: "http://x/", Keys: testKeys})
		if err != nil {
			t.Fatal(err)
		}
		eps = append(eps, e.ID)
	}
	message, err := w.CreateMessage(t.Context(), &webhook.Message{App: app.ID, EventType: "a", EventID: "e", Payload: []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	for number := range uint32(attempts) {
		var list []webhook.Progress
		for _, e := range eps {
			o := webhook.Outcome{Attempt: webhook.Attempt{Message: message, Number: number + 1, URL: "http://x/", Status: webhook.StatusFail,
				Start: time.UnixMilli(testClock), Next: time.UnixMilli(testClock + 1000*int64(number+1))}}
			if number > 0 {
				o.Source, o.Due = webhook.SourceRetry, time.UnixMilli(testClock+1000*int64(number))
			}
			list = append(list, webhook.Progress{Endpoint: e, Cursor: message, Outcomes: []webhook.Outcome{o}})
		}
		applyAt(t, s, testClock+1000*int64(number), encodeProgress(1, list))
	}
	clock := int64(testClock) + 1e8
	o, err := NewCleaner(s, nil).overdue(clock, clock)
	if err != nil || len(o.command.Parts) != 1 {
		t.Fatal(o.command.Parts, err)
	}
	applyAt(t, s, clock, mustEncode(t, kindRetain, o.command))
	if _, err := s.Deliveries().MessageByID(app.ID, message); webhook.ErrorCode(err) != webhook.CodeNotFound {
		t.Errorf("the message is still there: %v", err)
	}
	left := countKeys(t, s, keyIndex)
	if !NewCleaner(s, nil).needsSweep() || left == 0 || left < endpoints*attempts-retainRecords {
		t.Errorf("%d of %d attempts are left after one command", left, endpoints*attempts)
	}
	if lines := countKeys(t, s, keyRetry); lines != 0 {
		t.Errorf("%d lines wait for a message that is gone", lines)
	}
	s = reopen(t, s, dir) // and checks it meanwhile
	retainAll(t, s, clock)
	for _, set := range []byte{keyIndex, keyHistory, keyDropped, keyUnique} {
		if left := countKeys(t, s, set); left != 0 {
			t.Errorf("%d records of kind %c are left", left, set)
		}
	}
	if got := s.Expired(); got != endpoints {
		t.Errorf("%d endpoints have lost it, want %d: %s", got, endpoints, fmt.Sprint(eps[0]))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
