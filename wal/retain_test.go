package wal

import (
	"testing"
	"time"

	"hookwheel/webhook"
)

// applyAt applies commands as one entry at a time of the log's clock.
func applyAt(t *testing.T, s *Store, clock int64, bodies ...[]byte) [][]byte {
	t.Helper()
	index := s.Applied() + 1
	var commands []Command
	for i, body := range bodies {
		commands = append(commands, Command{Request: [16]byte{0xaa, byte(index), byte(index >> 8), byte(i)}, Body: body})
	}
	replies, err := s.Apply(index, 1, clock, commands)
	if err != nil {
		t.Fatal(err)
	}
	for _, reply := range replies {
		if _, err := decodeReply(reply); err != nil {
			t.Fatal(err)
		}
	}
	return replies
}

// TestRetain lets messages of every state grow old: what is over leaves without a trace, the rest
// stays, and what was not delivered is counted. The store is checked when the test ends.
func TestRetain(t *testing.T) {
	s, w, app, endpoint := newWorld(t)
	other, err := w.CreateEndpoint(t.Context(), webhook.Endpoint{App: app.ID, URL: "http://y/", Channels: []string{"none"}})
	if err != nil {
		t.Fatal(err)
	}
	const days = 24 * hour
	names := []string{"delivered", "retried", "held", "manual", "waiting", "short", "long", "scheduled"}
	var bodies [][]byte
	for _, name := range names {
		m := webhook.Message{App: app.ID, EventType: "a", EventID: name, OrderingKey: "k", Payload: []byte("{}")}
		switch name {
		case "short":
			m.Retention = 2 * time.Hour
		case "long":
			m.Retention = 60 * 24 * time.Hour
		case "scheduled":
			m.DeliverAt = time.UnixMilli(testClock + 40*days).UTC()
		}
		bodies = append(bodies, appendCreateMessage(nil, &m))
	}
	ids := make(map[string]webhook.ID)
	for i, reply := range applyAt(t, s, testClock, bodies...) {
		ids[names[i]] = webhook.ID(reply[1:])
	}
	outcome := func(name string, o webhook.Outcome) webhook.Outcome {
		o.Attempt.Message, o.Attempt.URL = ids[name], "http://x/"
		return o
	}
	due := time.UnixMilli(testClock + 1000).UTC()
	p := webhook.Progress{Endpoint: endpoint.ID, Cursor: ids["manual"], Outcomes: []webhook.Outcome{
		outcome("delivered", webhook.Outcome{Attempt: webhook.Attempt{Number: 1}}),
		outcome("retried", webhook.Outcome{Attempt: webhook.Attempt{Number: 1, Status: webhook.StatusFail, Next: due}}),
		outcome("held", webhook.Outcome{Hold: true, Key: webhook.OrderingKeyHash("k")}),
		outcome("manual", webhook.Outcome{Attempt: webhook.Attempt{Number: 1, Status: webhook.StatusFail}}),
		outcome("long", webhook.Outcome{Attempt: webhook.Attempt{Number: 1}}),
		outcome("scheduled", webhook.Outcome{Attempt: webhook.Attempt{Next: time.UnixMilli(testClock + 40*days)}}),
	}}
	if err := w.Leader(1).RecordProgress(t.Context(), []webhook.Progress{p}); err != nil {
		t.Fatal(err)
	}
	if err := w.Resend(t.Context(), app.ID, endpoint.ID, ids["manual"]); err != nil {
		t.Fatal(err)
	}
	// retainAt does what the leader does until there is nothing left to do.
	retainAt := func(clock, before int64) {
		t.Helper()
		for range 100 {
			o, err := NewCleaner(s, nil).overdue(before, clock)
			if err != nil {
				t.Fatal(err)
			}
			if len(o.command.Parts)+len(o.command.Looked) == 0 {
				return
			}
			o.command.Records = 3
			body, err := encodeCommand(kindRetain, o.command)
			if err != nil {
				t.Fatal(err)
			}
			applyAt(t, s, clock, body)
		}
		t.Fatal("there is always more to do")
	}
	left := func(want ...string) {
		t.Helper()
		list, _, err := s.Messages(app.ID, Page{Limit: 20, Ascending: true}, MessageFilter{})
		if err != nil || len(list) != len(want) {
			t.Fatalf("%d messages are left, want %v; %v", len(list), want, err)
		}
		for i := range want {
			if list[i].EventID != want[i] {
				t.Errorf("%s is left, want %s", list[i].EventID, want[i])
			}
		}
	}
	retainAt(testClock+hour, testClock)
	left(names...) // all are too young
	retainAt(testClock+3*hour, testClock-27*days)
	left("delivered", "retried", "held", "manual", "waiting", "long", "scheduled")
	retainAt(testClock+31*days, testClock+days)
	left("long", "scheduled")
	c := s.catalog.cursors[endpoint.ID].counts
	if c.expired != 5 || c.waiting != 1 || c.held != 0 || c.manual != 0 { // scheduled still waits
		t.Errorf("counts: %+v", c)
	}
	if n := s.catalog.cursors[other.ID].counts.expired; n != 0 {
		t.Errorf("%d messages are counted that were not wanted", n)
	}
	if list, _, err := s.Attempts().ByEndpoint(endpoint.ID, Page{Limit: 20}, AttemptFilter{}); err != nil || len(list) != 1 || list[0].Message != ids["long"] {
		t.Errorf("attempts: %+v %v", list, err)
	}
	// A leader that does not know of it yet records the outcomes of attempts that were in flight.
	late := webhook.Progress{Endpoint: endpoint.ID, Cursor: ids["waiting"], Outcomes: []webhook.Outcome{
		outcome("waiting", webhook.Outcome{Attempt: webhook.Attempt{Number: 1, Status: webhook.StatusFail, Next: due}}),
		outcome("retried", webhook.Outcome{Source: webhook.SourceRetry, Due: due, Attempt: webhook.Attempt{Number: 2}}),
		outcome("manual", webhook.Outcome{Source: webhook.SourceManual, Attempt: webhook.Attempt{Number: 1, Trigger: webhook.TriggerManual}}),
	}}
	applyAt(t, s, testClock+32*days, encodeProgress(1, []webhook.Progress{late}))
	if c := s.catalog.cursors[endpoint.ID].counts; c.waiting != 1 {
		t.Errorf("what was told late is kept: %+v", c)
	}
	if _, err := w.CreateMessage(t.Context(), &webhook.Message{App: app.ID, EventType: "a", EventID: "delivered", Payload: []byte("{}")}); err != nil {
		t.Errorf("the event id can't be used again: %v", err)
	}
	retainAt(testClock+61*days, testClock+31*days)
	left("scheduled", "delivered")
	retainAt(testClock+100*days, testClock+70*days)
	left()
	if c := s.catalog.cursors[endpoint.ID].counts; c.expired != 7 || c.waiting != 0 || s.Expired() != 7 {
		t.Errorf("counts: %+v, %d expired in all", c, s.Expired())
	}
}

// sized is a store whose messages have a KiB each, in entries of their own.
type sized struct {
	*Store
	w        *Writer
	app      webhook.ID
	endpoint webhook.ID
	messages []webhook.ID
}

func newSized(t *testing.T, maxSize int64) *sized {
	s, w, app, endpoint := newWorld(t)
	setMaxSize(s, maxSize)
	return &sized{Store: s, w: w, app: app.ID, endpoint: endpoint.ID}
}

func (s *sized) message() *webhook.Message {
	return &webhook.Message{App: s.app, EventType: "a", Payload: make([]byte, 1024)}
}

// send makes messages, one to an entry.
func (s *sized) send(t *testing.T, count int) {
	t.Helper()
	for range count {
		id, err := s.w.CreateMessage(t.Context(), s.message())
		if err != nil {
			t.Fatal(err)
		}
		s.messages = append(s.messages, id)
	}
}

// attempt records that the next count messages after those already passed were attempted; every
// tenth is to be retried.
func (s *sized) attempt(t *testing.T, from, count int) {
	t.Helper()
	p := webhook.Progress{Endpoint: s.endpoint, Cursor: s.messages[from+count-1]}
	for i := from; i < from+count; i++ {
		a := webhook.Attempt{Message: s.messages[i], Number: 1, URL: "http://x/"}
		if i%10 == 0 {
			a.Status, a.Next = webhook.StatusFail, s.due(i)
		}
		p.Outcomes = append(p.Outcomes, webhook.Outcome{Attempt: a})
	}
	if err := s.w.Leader(1).RecordProgress(t.Context(), []webhook.Progress{p}); err != nil {
		t.Fatal(err)
	}
}

func (s *sized) due(i int) time.Time { return time.UnixMilli(testClock + int64(i)).UTC() }

// shrink does what the leader does until there is nothing left to do.
func (s *sized) shrink(t *testing.T, to int64) {
	t.Helper()
	k := NewShrinker(s.Store, s.w, s.space.maxSize)
	k.size, k.tight = to, to
	for range 100 {
		more, err := k.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return
		}
	}
	t.Fatal("there is always more to do")
}

func (s *sized) left(t *testing.T) map[webhook.ID]bool {
	t.Helper()
	list, next, err := s.Messages(s.app, Page{Limit: 5000, Ascending: true}, MessageFilter{})
	if err != nil || !next.IsZero() {
		t.Fatal(next, err)
	}
	left := make(map[webhook.ID]bool)
	for i := range list {
		left[list[i].ID] = true
	}
	return left
}

func (s *sized) admitted() bool {
	return s.Admit(appendCreateMessage(nil, s.message()), nil, false) == nil
}

// A store that has grown too large lets the oldest messages go that nobody waits for, however
// young, and no others. When all are waited for it takes no new ones, until they are delivered.
func TestShrink(t *testing.T) {
	const maxSize, count, passed = 500 << 10, 1000, 700
	s := newSized(t, maxSize)
	s.send(t, count)
	if s.admitted() {
		t.Error("a store that is twice too large takes more")
	}
	s.shrink(t, maxSize)
	if n := len(s.left(t)); n != count {
		t.Errorf("%d of %d messages are left, though none were delivered", n, count)
	}
	s.attempt(t, 0, passed)
	if err := s.w.Resend(t.Context(), s.app, s.endpoint, s.messages[1]); err != nil {
		t.Fatal(err)
	}
	s.shrink(t, 600<<10)
	if size := s.space.Size(); size > 600<<10 {
		t.Errorf("it has %d bytes still", size)
	}
	if !s.Deliveries().MayHaveLeft(s.messages[2]) || s.Deliveries().MayHaveLeft(s.messages[count-1]) {
		t.Error("which messages may have left is told wrongly")
	}
	left := s.left(t)
	for i, id := range s.messages {
		wanted := i >= passed || i%10 == 0 || i == 1
		if wanted && !left[id] {
			t.Fatalf("message %d is gone, but it is yet to be sent", i)
		}
		if i > 0 && !wanted && !left[id] && left[s.messages[i-1]] && (i-1)%10 != 0 && i-1 != 1 {
			t.Fatalf("message %d is gone, but the one before is not", i)
		}
	}
	if !left[s.messages[passed-1]] {
		t.Error("more than need be has left")
	}
	if s.admitted() {
		t.Error("it is too large still, but takes more")
	}
	s.shrink(t, maxSize)
	if !s.admitted() {
		t.Errorf("with %d bytes of %d it takes no more", s.space.Size(), maxSize)
	}
	// The state machine ensures this whatever a leader proposes, also for the entry in which the
	// cursor is.
	s.send(t, 1)
	both := applyAt(t, s.Store, testClock, appendCreateMessage(nil, s.message()), appendCreateMessage(nil, s.message()))
	delivered, waits := webhook.ID(both[0][1:]), webhook.ID(both[1][1:])
	ask := mustEncode(t, kindRetain, retain{Size: 1, Records: 1000, Parts: []part{{s.app, s.messages[passed]}, {s.app, delivered}}})
	applyAt(t, s.Store, testClock, ask)
	if left := s.left(t); !left[s.messages[passed]] || !left[delivered] || !left[waits] {
		t.Error("a message is gone that the cursor has not passed")
	}
	s.shrink(t, 1) // in vain: what is waited for stays
	if n := len(s.left(t)); n != count-passed+passed/10+1+3 {
		t.Errorf("%d are left", n)
	}
	if n := s.catalog.cursors[s.endpoint].counts.expired; n != 0 {
		t.Errorf("%d are called expired", n)
	}
	// An attempt at a message that has left is told late: it leaves no trace.
	late := webhook.Outcome{Source: webhook.SourceManual, Attempt: webhook.Attempt{Message: s.messages[2], Number: 1, URL: "http://x/"}}
	if err := s.w.Leader(1).RecordProgress(t.Context(), []webhook.Progress{{Endpoint: s.endpoint, Outcomes: []webhook.Outcome{late}}}); err != nil {
		t.Fatal(err)
	}
	if list, _, err := s.Attempts().ByEndpoint(s.endpoint, Page{Limit: 5000}, AttemptFilter{}); err != nil || len(list) != passed/10+1 {
		t.Errorf("%d attempts are left, %v", len(list), err)
	}
	s.messages = append(s.messages, delivered)
	s.attempt(t, passed, count-passed+2)
	s.shrink(t, 1)
	if left := s.left(t); len(left) != count/10+1+2 || left[delivered] || !left[waits] {
		t.Errorf("%d are left", len(left))
	}
}

// Of several applications the oldest messages go first; one without endpoints waits for nothing,
// one whose endpoint is far behind for all.
func TestShrinkOldestFirst(t *testing.T) {
	s := newSized(t, 0)
	other, _, err := s.w.CreateApplication(t.Context(), webhook.Application{Name: "none wait"}, false)
	if err != nil {
		t.Fatal(err)
	}
	waits := s.app
	for i := range 2000 {
		s.app = other.ID
		if i%2 == 0 {
			s.app = waits
		}
		s.send(t, 1)
	}
	s.app = other.ID
	half := s.space.Size() * 3 / 4
	s.shrink(t, half)
	left := s.left(t)
	for i, id := range s.messages {
		if i%2 == 1 && i > 1200 && !left[id] || i%2 == 1 && i < 800 && left[id] {
			t.Fatalf("%d of 1000 are left, among them message %d: %t", len(left), i, left[id])
		}
	}
	s.shrink(t, 1)
	if n := len(s.left(t)); n != 0 {
		t.Errorf("%d are left that nobody waits for", n)
	}
	if s.app = waits; len(s.left(t)) != 1000 {
		t.Errorf("%d of 1000 are left that are waited for", len(s.left(t)))
	}
}
