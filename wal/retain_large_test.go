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

// Many endpoints hold all of many messages, so a command that removed the lines of all messages
// that it names would write hundreds of thousands of records. Those that have yet to come to the
// messages lose them all in the end, and each is counted.
func TestRetainManyEndpoints(t *testing.T) {
	s, w, app, paused := newWorld(t)
	const endpoints, messages, perEntry = 200, 300, 100
	var eps []webhook.ID
	for range endpoints {
		e, err := w.CreateEndpoint(t.Context(), webhook.Endpoint{App: app.ID, URL: "http://x/", Keys: testKeys, Ordering: webhook.OrderingKey})
		if err != nil {
			t.Fatal(err)
		}
		eps = append(eps, e.ID)
	}
	var held []webhook.Outcome
	for range messages / perEntry {
		var bodies [][]byte
		for range perEntry {
			bodies = append(bodies, appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "a", OrderingKey: "k", Payload: []byte("{}")}))
		}
		for _, reply := range applyAt(t, s, testClock, bodies...) {
			held = append(held, webhook.Outcome{Attempt: webhook.Attempt{Message: webhook.ID(reply[1:])}, Source: webhook.SourceLog, Hold: true, Key: webhook.OrderingKeyHash("k")})
		}
	}
	for _, e := range eps {
		p := webhook.Progress{Endpoint: e, Cursor: held[len(held)-1].Attempt.Message, Outcomes: held}
		applyAt(t, s, testClock, encodeProgress(1, []webhook.Progress{p}))
	}
	if lines := countKeys(t, s, keyHeld); lines != endpoints*messages {
		t.Fatalf("%d messages are held, want %d", lines, endpoints*messages)
	}
	recordBytes := 2*idSize + 100 // at least
	if largest := retainAll(t, s, testClock+1000); largest > 2*retainRecords*recordBytes {
		t.Errorf("one command has written %d bytes", largest)
	}
	if lines := countKeys(t, s, keyHeld) + countKeys(t, s, keyLog); lines != 0 {
		t.Errorf("%d lines and parts of the log are left", lines)
	}
	if got, want := s.Expired(), uint64((endpoints+1)*messages); got != want {
		t.Errorf("%d were lost, want %d, with those of the endpoint %s, whose cursor has not moved", got, want, paused.ID)
	}
}

// Where messages that have to stay spend what one command may look at, others of the same part
// leave all the same.
func TestShrinkBehindMessagesThatStay(t *testing.T) {
	s, w, app, first := newWorld(t)
	const endpoints, messages = 200, 100
	list := []webhook.ID{first.ID}
	for range endpoints {
		e, err := w.CreateEndpoint(t.Context(), webhook.Endpoint{App: app.ID, URL: "http://x/", Keys: testKeys, Ordering: webhook.OrderingKey})
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e.ID)
	}
	var bodies [][]byte
	for range messages {
		bodies = append(bodies, appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "a", OrderingKey: "k", Payload: []byte("{}")}))
	}
	var ids []webhook.ID
	for _, reply := range applyAt(t, s, testClock, bodies...) {
		ids = append(ids, webhook.ID(reply[1:]))
	}
	const stay = messages * 9 / 10 // the first so many of them
	for _, e := range list {
		p := webhook.Progress{Endpoint: e, Cursor: ids[len(ids)-1]}
		for _, id := range ids[:stay] {
			p.Outcomes = append(p.Outcomes, webhook.Outcome{Attempt: webhook.Attempt{Message: id}, Source: webhook.SourceLog, Hold: true, Key: webhook.OrderingKeyHash("k")})
		}
		applyAt(t, s, testClock, encodeProgress(1, []webhook.Progress{p}))
	}
	ask := mustEncode(t, kindRetain, retain{Size: 1, Records: retainRecords, Parts: []part{{app.ID, entryOf(ids[0][:entrySize])}}})
	for range messages { // each entry begins with another message
		applyAt(t, s, testClock, ask)
	}
	for i, id := range ids {
		_, err := s.Deliveries().MessageByID(app.ID, id)
		if stays := webhook.ErrorCode(err) != webhook.CodeNotFound; stays != (i < stay) {
			t.Fatalf("message %d: %v", i, err)
		}
	}
}
