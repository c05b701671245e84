package wal

import (
	"bytes"
	"math/rand"
	"slices"
	"testing"
	"time"

	"hookwheel/webhook"
)

// manualAttempt is the outcome of sending a message once more.
func manualAttempt(message webhook.ID, number uint32) webhook.Outcome {
	return webhook.Outcome{Source: webhook.SourceManual, Attempt: webhook.Attempt{Message: message, Number: number, URL: "http://x/",
		Trigger: webhook.TriggerManual, Status: webhook.StatusFail, Start: time.UnixMilli(testClock)}}
}

// To send a message once more looks only at the attempts since the last time, however many there
// are.
func TestResendsLookAtNewAttempts(t *testing.T) {
	const many = 2000
	s, w, app, endpoint := newWorld(t)
	message, err := w.CreateMessage(t.Context(), &webhook.Message{App: app.ID, EventType: "a", Payload: []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	p := webhook.Progress{Endpoint: endpoint.ID, Cursor: message, Outcomes: make([]webhook.Outcome, many)}
	for i := range p.Outcomes {
		p.Outcomes[i] = manualAttempt(message, uint32(i+1))
	}
	record := func() {
		t.Helper()
		if err := w.Leader(1).RecordProgress(t.Context(), []webhook.Progress{p}); err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	record()
	for i := range uint32(5) {
		before := s.pending.seen
		if err := w.Resend(t.Context(), app.ID, endpoint.ID, message); err != nil {
			t.Fatal(err)
		}
		if seen := s.pending.seen - before; i == 0 != (seen >= many) || i > 0 && seen > 10 {
			t.Errorf("resend %d has passed %d records", i+1, seen)
		}
		line, _, err := s.view(t).manual(endpoint.ID, message)
		if err != nil || line.Number != many+1+i {
			t.Errorf("resend %d is attempt %d: %v", i+1, line.Number, err)
		}
		p.Outcomes = []webhook.Outcome{manualAttempt(message, line.Number)}
		record()
	}
}

// view reads what is committed.
func (s *Store) view(t *testing.T) view {
	t.Helper()
	if err := s.Commit(); err != nil {
		t.Fatal(err)
	}
	txn := s.db.at(s.Applied())
	t.Cleanup(txn.Discard)
	return viewOf(txn).view
}

// A chunk is not decoded again for each attempt in it.
func TestAttemptsOfAChunk(t *testing.T) {
	s, w, app, endpoint := newWorld(t)
	p := webhook.Progress{Endpoint: endpoint.ID}
	for range 100 {
		m, err := w.CreateMessage(t.Context(), &webhook.Message{App: app.ID, EventType: "a", Payload: []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
		o := webhook.Outcome{Attempt: webhook.Attempt{Message: m, Number: 1, URL: "http://x/", Start: time.UnixMilli(testClock)}}
		p.Cursor, p.Outcomes = m, append(p.Outcomes, o)
	}
	if err := w.Leader(1).RecordProgress(t.Context(), []webhook.Progress{p}); err != nil {
		t.Fatal(err)
	}
	ids := attemptsOf(t, s, []webhook.ID{endpoint.ID})
	v := s.view(t)
	allocs := func(ids []webhook.ID) float64 {
		return testing.AllocsPerRun(3, func() {
			if list, err := v.attempts(endpoint.ID, ids); err != nil || len(list) != len(ids) {
				t.Fatal(len(list), err)
			}
		})
	}
	if one, all := allocs(ids[:1]), allocs(ids); len(ids) != 100 || all > 20*one {
		t.Errorf("%v allocations for an attempt, %v for %d", one, all, len(ids))
	}
}

// What Apply does is the same with numbers that are remembered and with those read again, also of
// attempts that the entry itself records.
func TestNumbersAreRemembered(t *testing.T) {
	rnd := seeded(t)
	w := newNumberWorld(t, rnd)
	dir := uncheckedDir(t)
	hot, cold := closing(t, openTest(t, uncheckedDir(t))), openTest(t, dir)
	for i := range w.entries {
		want := applyEntry(t, hot, w.entries, i)
		for cold.Applied() <= uint64(i) {
			cold.catalog.numbered = numbered{}
			at := int(cold.Applied())
			if got := applyEntry(t, cold, w.entries, at); at == i && !slices.EqualFunc(got, want, bytes.Equal) {
				t.Fatalf("entry %d: other replies", i+1)
			}
			if rnd.Intn(20) == 0 {
				cold = crash(t, cold, dir)
			} else if rnd.Intn(20) == 0 {
				if err := cold.Commit(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if len(hot.catalog.numbered.young) < 4 {
		t.Errorf("%d numbers are remembered: too few for a test", len(hot.catalog.numbered.young))
	}
	if !bytes.Equal(content(t, cold), content(t, hot)) {
		t.Error("the stores differ")
	}
	if err := cold.Close(); err != nil {
		t.Fatal(err)
	}
}

// numberWorld is a random history of messages that are sent again and again.
type numberWorld struct {
	*testing.T
	rnd       *rand.Rand
	app       webhook.ID
	endpoints []webhook.ID
	messages  []webhook.ID
	entries   [][]Command
}

func newNumberWorld(t *testing.T, rnd *rand.Rand) *numberWorld {
	s := closing(t, openTest(t, uncheckedDir(t))) // the numbers are not in order
	w := &numberWorld{T: t, rnd: rnd}
	add := func(bodies ...[]byte) [][]byte {
		var commands []Command
		for _, body := range bodies {
			c := Command{Body: body}
			rnd.Read(c.Request[:])
			commands = append(commands, c)
		}
		w.entries = append(w.entries, commands)
		return applyEntry(t, s, w.entries, len(w.entries)-1)
	}
	made := func(reply []byte) []byte {
		body, err := decodeReply(reply)
		if err != nil {
			t.Fatal(err)
		}
		return body
	}
	c := &script{}
	reply := add(mustEncode(t, kindCreateApplication, createApplication{Application: webhook.Application{Name: "a"}}))[0]
	w.app = object[createApplication](t, c, made(reply)).Application.ID
	for range 2 {
		reply := add(mustEncode(t, kindCreateEndpoint, webhook.Endpoint{App: w.app, URL: "http://x/", Keys: testKeys}))[0]
		w.endpoints = append(w.endpoints, object[webhook.Endpoint](t, c, made(reply)).ID)
	}
	for range 6 {
		reply := add(appendCreateMessage(nil, &webhook.Message{App: w.app, EventType: "a", Payload: []byte("{}")}))[0]
		w.messages = append(w.messages, webhook.ID(made(reply)))
	}
	for range 300 {
		var bodies [][]byte
		for range 1 + rnd.Intn(4) {
			bodies = append(bodies, w.command())
		}
		add(bodies...)
	}
	return w
}

func (w *numberWorld) command() []byte {
	endpoint, message := w.endpoints[w.rnd.Intn(len(w.endpoints))], w.messages[w.rnd.Intn(len(w.messages))]
	switch w.rnd.Intn(40) {
	case 0:
		r := retain{Before: testClock + 10_000*hour, Records: 1 + w.rnd.Intn(60), Parts: []part{{w.app, w.messages[w.rnd.Intn(2)]}}}
		return mustEncode(w, kindRetain, r)
	case 1:
		return mustEncode(w, kindSweep, sweep{Records: 1 + w.rnd.Intn(60)})
	}
	if w.rnd.Intn(2) == 0 {
		return mustEncode(w, kindResend, resend{w.app, endpoint, message})
	}
	p := webhook.Progress{Endpoint: endpoint}
	for range 1 + w.rnd.Intn(10) {
		o := manualAttempt(message, 1+uint32(w.rnd.Intn(100+len(w.entries))))
		if w.rnd.Intn(4) == 0 {
			o.Source, o.Attempt.Trigger = webhook.SourceRetry, webhook.TriggerScheduled
		}
		p.Outcomes = append(p.Outcomes, o)
	}
	return encodeProgress(1, []webhook.Progress{p})
}

// A bounded number of numbers is remembered, and those that were used last are.
func TestNumbersAreBounded(t *testing.T) {
	var n numbered
	at := func(i int) delivered { return delivered{endpoint: idAt(1, 0), message: idAt(uint64(i), 0)} }
	for i := range 5 * maxNumbered {
		n.put(at(i), numbers{manual: uint32(i)})
		if is, found := n.get(at(0)); !found || is.manual != 0 {
			t.Fatalf("after %d others: %v %v", i, is, found)
		} else if i%1000 == 0 {
			n.put(at(0), is)
		}
		if size := len(n.young) + len(n.old); size > maxNumbered {
			t.Fatalf("%d numbers are remembered", size)
		}
		if is, _ := n.get(at(max(0, i-maxNumbered/2+1))); i > 0 && is.manual == 0 && i >= maxNumbered/2 {
			t.Fatalf("number %d is forgotten", i-maxNumbered/2+1)
		}
	}
}
