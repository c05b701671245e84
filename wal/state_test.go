package wal

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math/rand"
	"slices"
	"testing"
	"time"

	"hookwheel/systemtest/memdir"
	"hookwheel/webhook"
)

const testClock = 1_790_000_000_000 // ms

const testHour = uint64(testClock / hour)

var testKeys = []webhook.Key{{Sealed: new(webhook.Keyring).Seal([]byte("whsec_x"), nil)}}

func openTest(t *testing.T, dir string) *Store {
	t.Helper()
	checkAtEnd(t, dir)
	s, err := Open(Config{Dir: dir, MinFree: 1, Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) {
		if !errors.Is(err, errCrash) { // that a test has asked for
			t.Error(err)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// closing closes a store at the end of a test. It must know what is in use of its blob files.
func closing(t *testing.T, s *Store) *Store {
	t.Cleanup(func() {
		if want, counted := blobsInUse(t, s); want != counted {
			t.Errorf("%d bytes of the blob files are counted as in use, want %d", counted, want)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// direct is a Proposer that applies at once: each proposal is one entry.
type direct struct {
	store *Store
	term  uint64
}

func (d direct) Propose(_ context.Context, command []byte) ([]byte, error) {
	index := d.store.Applied() + 1
	replies, err := d.store.Apply(index, d.term, testClock+int64(index), []Command{{Request: [16]byte{byte(index), byte(index >> 8)}, Body: command}})
	if err != nil {
		return nil, err
	}
	return replies[0], nil
}

// newWorld is a store with one application and one endpoint.
func newWorld(t *testing.T) (*Store, *Writer, *webhook.Application, *webhook.Endpoint) {
	t.Helper()
	s := closing(t, openTest(t, memdir.New(t)))
	w := NewWriter(direct{s, 1})
	app, created, err := w.CreateApplication(t.Context(), webhook.Application{UID: "acme", Name: "Acme"}, false)
	if err != nil || !created {
		t.Fatal(created, err)
	}
	endpoint, err := w.CreateEndpoint(t.Context(), webhook.Endpoint{App: app.ID, UID: "e1", URL: "http://x/", Keys: testKeys})
	if err != nil {
		t.Fatal(err)
	}
	return s, w, app, endpoint
}

func wantCode(t *testing.T, err error, code webhook.Code) {
	t.Helper()
	if err == nil || webhook.ErrorCode(err) != code {
		t.Errorf("got %v, want %s", err, code)
	}
}

func TestCatalog(t *testing.T) {
	s, w, app, endpoint := newWorld(t)
	ctx := t.Context()
	_, _, err := w.CreateApplication(ctx, webhook.Application{UID: "acme", Name: "Other"}, false)
	wantCode(t, err, webhook.CodeConflict)
	same, created, err := w.CreateApplication(ctx, webhook.Application{UID: "acme", Name: "Other"}, true)
	if err != nil || created || same.ID != app.ID || same.Name != "Acme" {
		t.Errorf("get if exists: %+v %v %v", same, created, err)
	}
	_, err = w.CreateEndpoint(ctx, webhook.Endpoint{App: app.ID, UID: "e1", URL: "http://y/"})
	wantCode(t, err, webhook.CodeConflict)
	_, err = w.CreateEndpoint(ctx, webhook.Endpoint{App: endpoint.ID, URL: "http://y/"})
	wantCode(t, err, webhook.CodeNotFound)
	_, err = w.CreateMessage(ctx, &webhook.Message{App: endpoint.ID, EventType: "a", Payload: []byte("{}")})
	wantCode(t, err, webhook.CodeNotFound)

	first, err := w.CreateMessage(ctx, &webhook.Message{App: app.ID, EventType: "a", EventID: "once", Payload: []byte(`{"a": 1}`)})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.CreateMessage(ctx, &webhook.Message{App: app.ID, EventType: "a", EventID: "once", Payload: []byte("{}")})
	wantCode(t, err, webhook.CodeConflict)
	m, err := s.Message(app.ID, "once")
	if err != nil || m.ID != first || string(m.Payload) != `{"a": 1}` {
		t.Errorf("by event id: %+v %v", m, err)
	}
	if err := w.DeleteEndpoint(ctx, app.ID, endpoint.ID); err != nil {
		t.Fatal(err)
	}
	wantCode(t, w.DeleteEndpoint(ctx, app.ID, endpoint.ID), webhook.CodeNotFound)
	_, err = s.Endpoint(app.ID, "e1")
	wantCode(t, err, webhook.CodeNotFound)
}

func TestRepeatedRequest(t *testing.T) {
	s, _, app, _ := newWorld(t)
	message := Command{Request: [16]byte{9}, Body: appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "a", Payload: []byte("{}")})}
	index := s.Applied() + 1
	first, err := s.Apply(index, 1, testClock, []Command{message})
	if err != nil {
		t.Fatal(err)
	}
	message.Since = index
	for range 3 {
		again, err := s.Apply(s.Applied()+1, 2, testClock, []Command{message, message})
		if err != nil || !bytes.Equal(again[0], first[0]) || !bytes.Equal(again[1], first[0]) {
			t.Fatalf("a repetition got %x %v, not %x", again, err, first[0])
		}
	}
	list, _, err := s.Messages(app.ID, Page{Limit: 10}, MessageFilter{})
	if err != nil || len(list) != 1 {
		t.Errorf("%d messages, %v", len(list), err)
	}
	if replies, err := s.Apply(index, 1, testClock, []Command{message}); replies != nil || err != nil {
		t.Error("an entry that is applied was not skipped")
	}
}

func TestUnknownCommand(t *testing.T) {
	for _, body := range [][]byte{{99, 1}, {byte(kindCreateMessage), 77}, {1}, nil} {
		dir := memdir.New(t)
		s := openTest(t, dir)
		good := Command{Body: appendCreateMessage(nil, &webhook.Message{})}
		index := s.Applied() + 1
		if _, err := s.Apply(index, 1, testClock, []Command{good, {Body: body}}); err == nil {
			t.Errorf("%v was applied", body)
		}
		if err := s.Commit(); err == nil {
			t.Errorf("half of an entry was committed")
		}
		if err := s.Close(); err == nil {
			t.Error("a broken store was closed as if nothing were wrong")
		}
		s = openTest(t, dir)
		if s.Applied() != index-1 {
			t.Errorf("after a restart the store is at %d", s.Applied())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestPages walks lists in both directions, in pages, while the rows are in chunks of different
// sizes.
func TestPages(t *testing.T) {
	s, w, app, endpoint := newWorld(t)
	var ids []webhook.ID
	rnd := rand.New(rand.NewSource(1))
	for len(ids) < 300 {
		var commands []Command
		for range 1 + rnd.Intn(7) {
			commands = append(commands, Command{Body: appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "a", Payload: []byte("{}")})})
		}
		replies, err := s.Apply(s.Applied()+1, 1, testClock+int64(len(ids)*10), commands)
		if err != nil {
			t.Fatal(err)
		}
		for _, reply := range replies {
			ids = append(ids, webhook.ID(reply[1:]))
		}
	}
	var outcomes []webhook.Outcome
	for _, id := range ids {
		outcomes = append(outcomes, webhook.Outcome{Attempt: webhook.Attempt{Message: id, Endpoint: endpoint.ID, Number: 1, URL: "http://x/"}})
	}
	for part := range slices.Chunk(outcomes, 17) {
		if err := w.Leader(1).RecordProgress(t.Context(), []webhook.Progress{{Endpoint: endpoint.ID, Outcomes: part, Cursor: part[len(part)-1].Attempt.Message}}); err != nil {
			t.Fatal(err)
		}
	}
	attempts := walkAll(t, false, func(p Page) ([]webhook.ID, bool) {
		list, next, err := s.Attempts().ByEndpoint(endpoint.ID, p, AttemptFilter{})
		return idsOf(t, list, attemptID, err), !next.IsZero()
	})
	if len(attempts) != len(ids) {
		t.Errorf("%d attempts listed of %d", len(attempts), len(ids))
	}
	for _, ascending := range []bool{true, false} {
		got := walkAll(t, ascending, func(p Page) ([]webhook.ID, bool) {
			list, next, err := s.Messages(app.ID, p, MessageFilter{})
			return idsOf(t, list, messageID, err), !next.IsZero()
		})
		if !ascending {
			slices.Reverse(got)
		}
		if !slices.Equal(got, ids) {
			t.Errorf("ascending %v: %d of %d messages, or in another order", ascending, len(got), len(ids))
		}
	}
	list, _, err := s.Messages(app.ID, Page{Ascending: true, Limit: 500, Low: ids[10], High: ids[200]}, MessageFilter{})
	if err != nil || !slices.Equal(idsOf(t, list, messageID, nil), ids[11:200]) {
		t.Errorf("between two ids: %d messages, %v", len(list), err)
	}
	windows := walkAll(t, true, func(p Page) (part []webhook.ID, more bool) {
		window, err := s.Deliveries().Window(app.ID, p.From, p.Limit, 128<<10)
		for _, m := range window {
			part = append(part, m.ID)
		}
		return idsOf(t, part, func(id *webhook.ID) webhook.ID { return *id }, err), len(window) > 0
	})
	if !slices.Equal(windows, ids) {
		t.Errorf("the windows hold %d of %d messages", len(windows), len(ids))
	}
	if place := s.Deliveries().Place(endpoint.ID); place.Position != ids[len(ids)-1] || len(place.Done) != 0 {
		t.Errorf("the cursor is at %v, with %d done beyond it", place.Position, len(place.Done))
	}
}

func idsOf[T any](t *testing.T, list []T, id func(*T) webhook.ID, err error) (ids []webhook.ID) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		ids = append(ids, id(&list[i]))
	}
	return ids
}

func walkAll(t *testing.T, ascending bool, page func(Page) ([]webhook.ID, bool)) (all []webhook.ID) {
	t.Helper()
	for p := (Page{Ascending: ascending, Limit: 13}); ; {
		part, more := page(p)
		all = append(all, part...)
		if !more {
			return all
		}
		p.From = part[len(part)-1]
		if len(all) > 10_000 {
			t.Fatal("the walk does not end")
		}
	}
}

// TestRetrySet follows one message through failures to its end, with an outcome that comes twice.
func TestRetrySet(t *testing.T) {
	s, w, app, endpoint := newWorld(t)
	id, err := w.CreateMessage(t.Context(), &webhook.Message{App: app.ID, EventType: "a", Payload: []byte("{}")})
	if err != nil {
		t.Fatal(err)
	}
	at := func(n int) time.Time { return time.UnixMilli(testClock + int64(n)).UTC() }
	record := func(term uint64, number uint32, due, next time.Time) error {
		source := webhook.SourceRetry
		if due.IsZero() {
			source = webhook.SourceLog
		}
		return w.Leader(term).RecordProgress(t.Context(), []webhook.Progress{{Endpoint: endpoint.ID, Cursor: id, Outcomes: []webhook.Outcome{
			{Source: source, Due: due, Attempt: webhook.Attempt{Message: id, Endpoint: endpoint.ID, Number: number, Next: next}}}}})
	}
	want := func(retries ...webhook.Retry) {
		t.Helper()
		list, err := s.Deliveries().Retries(endpoint.ID, webhook.Retry{}, 10)
		if err != nil || !slices.Equal(list, retries) {
			t.Errorf("retry set %v %v, want %v", list, err, retries)
		}
	}
	wantCode(t, record(7, 1, time.Time{}, at(5)), webhook.CodeConflict) // another term
	want()
	if err := errors.Join(record(1, 1, time.Time{}, at(5)), record(1, 1, time.Time{}, at(6))); err != nil {
		t.Fatal(err)
	}
	want(webhook.Retry{Message: id, Made: 1, Due: at(5)})
	if err := errors.Join(record(1, 2, at(5), at(9)), record(1, 2, at(5), at(10))); err != nil {
		t.Fatal(err)
	}
	want(webhook.Retry{Message: id, Made: 2, Due: at(9)})
	if err := record(1, 3, at(9), time.Time{}); err != nil {
		t.Fatal(err)
	}
	want()
	list, _, err := s.Attempts().ByMessage(id, Page{Limit: 10}, AttemptFilter{})
	if err != nil || len(list) != 5 {
		t.Errorf("%d attempts in the history, %v", len(list), err)
	}
}

// TestRemovedEndpoint deletes an endpoint with a long retry set, which entries made for it empty,
// and only those.
func TestRemovedEndpoint(t *testing.T) {
	s, w, app, endpoint := newWorld(t)
	for range 3 {
		var outcomes []webhook.Outcome
		for range 200 {
			id, err := w.CreateMessage(t.Context(), &webhook.Message{App: app.ID, EventType: "a", Payload: []byte("{}")})
			if err != nil {
				t.Fatal(err)
			}
			outcomes = append(outcomes, webhook.Outcome{Attempt: webhook.Attempt{Message: id, Endpoint: endpoint.ID, Number: 1, Next: time.UnixMilli(testClock)}})
		}
		if err := w.Leader(1).RecordProgress(t.Context(), []webhook.Progress{{Endpoint: endpoint.ID, Outcomes: outcomes}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.DeleteEndpoint(t.Context(), app.ID, endpoint.ID); err != nil {
		t.Fatal(err)
	}
	send := func() {
		if _, err := w.CreateMessage(t.Context(), &webhook.Message{App: app.ID, EventType: "a", Payload: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
	}
	if send(); countKeys(t, s, keyRetry) != 600 {
		t.Error("an entry with a message sweeps")
	}
	for steps, more := 0, true; more; steps++ {
		var err error
		if more, err = NewCleaner(s, w).Sweep(t.Context()); err != nil || steps > 1200/sweepPerEntry+1 {
			t.Fatal(steps, err)
		}
		send()
	}
	if list, err := s.Deliveries().Retries(endpoint.ID, webhook.Retry{}, 1000); err != nil || len(list) != 0 {
		t.Errorf("%d lines are left, %v", len(list), err)
	}
	if len(s.catalog.removed) != 0 {
		t.Error("the endpoint is still being swept")
	}
}

// TestBadSnapshot cuts and changes a snapshot at many places: each is refused, and the store stays
// as it was.
func TestBadSnapshot(t *testing.T) {
	from, w, app, _ := newWorld(t)
	for range 20 {
		if _, err := w.CreateMessage(t.Context(), &webhook.Message{App: app.ID, EventType: "a", Payload: []byte(`{"a":1}`)}); err != nil {
			t.Fatal(err)
		}
	}
	good := content(t, from)
	to, _, _, _ := newWorld(t)
	before := content(t, to)
	rnd := rand.New(rand.NewSource(1))
	for range 12 {
		bad := bytes.Clone(good[:rnd.Intn(len(good))])
		if rnd.Intn(2) == 0 {
			bad = bytes.Clone(good)
			bad[rnd.Intn(len(bad))] ^= 1 << rnd.Intn(8)
		}
		if err := to.RestoreSnapshot(bytes.NewReader(bad)); err == nil {
			t.Fatal("a damaged snapshot was taken")
		}
	}
	if !bytes.Equal(content(t, to), before) {
		t.Error("a snapshot that was refused has changed the store")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(appendCreateMessage(nil, &webhook.Message{EventType: "a", Payload: []byte("{}")}))
	f.Add(encodeProgress(1, []webhook.Progress{{Outcomes: []webhook.Outcome{{Attempt: webhook.Attempt{URL: "u", Response: []byte("r")}}}}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		key := make([]byte, 40)
		_, _ = decodeMessages(key, data, webhook.ID{})
		_, _ = decodeAttempts(key, data, webhook.ID{})
		_, _, _ = decodeProgress(data)
		_, _ = decodeCreateMessage(data)
		_ = new(meta).decode(data)
		_ = new(cursor).decode(data)
		_, _, _ = findRequest(data, [16]byte{})
	})
}
