package wal

import (
	"cmp"
	"math/rand"
	"slices"
	"testing"
	"time"

	"hookwheel/systemtest/memdir"
	"hookwheel/webhook"
)

// line names a line of a retry set.
type line struct {
	due     int64
	message webhook.ID
}

// ledger is what an endpoint's cursor and retry set should be, kept in the plainest way.
type ledger struct {
	position webhook.ID
	done     map[webhook.ID]bool
	retries  map[line]uint32
}

func (l *ledger) fresh(id webhook.ID) bool { return id.After(l.position) && !l.done[id] }

func (l *ledger) record(p webhook.Progress) {
	for _, o := range p.Outcomes {
		at := line{o.Due.UnixMilli(), o.Attempt.Message}
		switch {
		case o.Source == webhook.SourceLog && l.fresh(at.message):
			l.done[at.message] = true
		case o.Source == webhook.SourceRetry && l.has(at):
			delete(l.retries, at)
		default:
			continue
		}
		if !o.Attempt.Next.IsZero() {
			l.retries[line{o.Attempt.Next.UnixMilli(), at.message}] = o.Attempt.Number
		}
	}
	if p.Cursor.After(l.position) {
		l.position = p.Cursor
	}
	for id := range l.done {
		if !id.After(l.position) {
			delete(l.done, id)
		}
	}
}

func (l *ledger) has(at line) bool {
	_, found := l.retries[at]
	return found
}

// lines is the retry set in order.
func (l *ledger) lines() (list []webhook.Retry) {
	for at, attempts := range l.retries {
		list = append(list, webhook.Retry{Message: at.message, Made: attempts, Due: time.UnixMilli(at.due).UTC()})
	}
	slices.SortFunc(list, func(a, b webhook.Retry) int {
		return cmp.Or(a.Due.Compare(b.Due), a.Message.Compare(b.Message))
	})
	return list
}

// randomProgress settles, repeats and contradicts what is known, near the cursor.
func (l *ledger) randomProgress(rnd *rand.Rand, endpoint webhook.ID, ids []webhook.ID) webhook.Progress {
	p := webhook.Progress{Endpoint: endpoint}
	for range rnd.Intn(4) {
		p.Outcomes = append(p.Outcomes, l.randomOutcome(rnd, ids))
	}
	if near := l.near(rnd, ids); rnd.Intn(3) > 0 {
		p.Cursor = near
	}
	return p
}

func (l *ledger) randomOutcome(rnd *rand.Rand, ids []webhook.ID) webhook.Outcome {
	o := webhook.Outcome{Attempt: webhook.Attempt{Message: l.near(rnd, ids), URL: "http://x/", Number: 1 + uint32(rnd.Intn(9))}}
	if lines := l.lines(); len(lines) > 0 && rnd.Intn(2) == 0 {
		retry := lines[rnd.Intn(len(lines))]
		o.Source, o.Due, o.Attempt.Message = webhook.SourceRetry, retry.Due, retry.Message
		if rnd.Intn(5) == 0 { // a line that does not exist, or another's
			o.Due = o.Due.Add(time.Millisecond)
		}
	}
	if rnd.Intn(2) == 0 {
		o.Attempt.Next = time.UnixMilli(testClock + int64(rnd.Intn(20)))
	}
	return o
}

// near is a message around the position.
func (l *ledger) near(rnd *rand.Rand, ids []webhook.ID) webhook.ID {
	i, _ := slices.BinarySearchFunc(ids, l.position, webhook.ID.Compare)
	return ids[max(0, min(len(ids)-1, i-4+rnd.Intn(12)))]
}

// Cursors and retry sets of several endpoints are what a plain model of them is, after each step
// and after a restart.
func TestCursorsFollowModel(t *testing.T) {
	inventsMessages(t)
	tolerate(t, "has the number", "the last recorded one", "does not match the last attempt", "is a duplicate")
	rnd := seeded(t)
	dir := memdir.New(t)
	s := openTest(t, dir)
	w := NewWriter(direct{s, 1})
	app, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "a"}, false)
	if err != nil {
		t.Fatal(err)
	}
	ledgers := make(map[webhook.ID]*ledger)
	var endpoints, ids []webhook.ID
	for range 3 {
		e, err := w.CreateEndpoint(t.Context(), webhook.Endpoint{App: app.ID, URL: "http://x/"})
		if err != nil {
			t.Fatal(err)
		}
		endpoints = append(endpoints, e.ID)
		ledgers[e.ID] = &ledger{position: e.ID, done: make(map[webhook.ID]bool), retries: make(map[line]uint32)}
	}
	for i := range uint32(150) {
		ids = append(ids, idAt(1000+uint64(i/7), i%7))
	}
	for step := range 400 {
		term := uint64(1)
		if rnd.Intn(10) == 0 {
			term = 2
		}
		var list []webhook.Progress
		for range 1 + rnd.Intn(2) {
			endpoint := endpoints[rnd.Intn(3)]
			list = append(list, ledgers[endpoint].randomProgress(rnd, endpoint, ids))
		}
		err := w.Leader(term).RecordProgress(t.Context(), list)
		if term == 2 {
			wantCode(t, err, webhook.CodeConflict)
		} else if err != nil {
			t.Fatal(err)
		} else {
			for _, p := range list {
				ledgers[p.Endpoint].record(p)
			}
		}
		if step%100 == 99 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = openTest(t, dir)
			w = NewWriter(direct{s, 1})
		}
		for _, endpoint := range endpoints {
			if ledgers[endpoint].check(t, s, endpoint, ids); t.Failed() {
				t.Fatalf("step %d: %+v", step, list)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func (l *ledger) check(t *testing.T, s *Store, endpoint webhook.ID, ids []webhook.ID) {
	t.Helper()
	place := s.Deliveries().Place(endpoint)
	position, done := place.Position, place.Done
	if position != l.position || len(done) != len(l.done) || !slices.IsSortedFunc(done, webhook.ID.Compare) {
		t.Errorf("cursor at %v with %v done, want %v with %v", position, done, l.position, l.done)
	}
	c := cursor{position: position, done: done}
	for _, id := range ids {
		if c.isFresh(id) != l.fresh(id) {
			t.Errorf("%v fresh: %t, want %t", id, c.isFresh(id), l.fresh(id))
		}
	}
	got, err := s.Deliveries().Retries(endpoint, webhook.Retry{}, 1000)
	if want := l.lines(); err != nil || !slices.Equal(got, want) {
		t.Errorf("retry set %v, want %v; %v", got, want, err)
	}
}

// Reading a retry set part by part, each from a millisecond after the last, gives all of it once,
// though many lines are due at the same moment.
func TestRetriesInParts(t *testing.T) {
	inventsMessages(t)
	rnd := seeded(t)
	s, w, _, endpoint := newWorld(t)
	p := failures(endpoint.ID, 300)
	for i := range p.Outcomes {
		p.Outcomes[i].Attempt.Next = time.UnixMilli(testClock + int64(rnd.Intn(60)))
	}
	if err := w.Leader(1).RecordProgress(t.Context(), []webhook.Progress{p}); err != nil {
		t.Fatal(err)
	}
	all, err := s.Deliveries().Retries(endpoint.ID, webhook.Retry{}, 1<<20)
	if err != nil || len(all) != 300 {
		t.Fatalf("%d lines, %v", len(all), err)
	}
	for _, limit := range []int{1, 7, 100} {
		var parts []webhook.Retry
		for from, more := (webhook.Retry{}), true; more; {
			part, err := s.Deliveries().Retries(endpoint.ID, from, limit+1)
			if err != nil {
				t.Fatal(err)
			}
			if more = len(part) > limit; more {
				from, part = part[limit], part[:limit]
			}
			parts = append(parts, part...)
		}
		if !slices.Equal(parts, all) {
			t.Errorf("%d at a time: %d lines of %d, or in another order", limit, len(parts), len(all))
		}
	}
}

// An endpoint wants what comes after it, even in the same entry, and nothing of what came before.
func TestNewEndpointWantsWhatComesAfter(t *testing.T) {
	s, _, app, _ := newWorld(t)
	replies := applyList(t, s,
		appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "before"}),
		mustEncode(t, kindCreateEndpoint, webhook.Endpoint{App: app.ID, UID: "new", URL: "http://x/"}),
		appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "after"}))
	endpoint, err := s.Endpoint(app.ID, "new")
	if err != nil {
		t.Fatal(err)
	}
	place := s.Deliveries().Place(endpoint.ID)
	position, done := place.Position, place.Done
	c := cursor{position: position, done: done}
	if before, after := webhook.ID(replies[0][1:]), webhook.ID(replies[2][1:]); c.isFresh(before) || !c.isFresh(after) {
		t.Errorf("before: %t, after: %t", c.isFresh(before), c.isFresh(after))
	}
	window, err := s.Deliveries().Window(app.ID, position, 10, 1<<20)
	if err != nil || len(window) != 1 || window[0].EventType != "after" {
		t.Errorf("a window from there holds %v, %v", window, err)
	}
}

// A cursor whose messages were settled in another order than that of the log keeps no memory for
// that once all are settled.
func TestCursorGivesBack(t *testing.T) {
	const count = 1000
	id := func(i int) webhook.ID { return webhook.NewID(testClock, uint64(i), 0) }
	var c cursor
	for i := count; i > 0; i-- {
		c.settle(id(i))
	}
	if c.advance(id(count)); len(c.done) > 0 || cap(c.done) > keptDone {
		t.Errorf("it has room for %d messages", cap(c.done))
	}
}
