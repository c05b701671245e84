package wal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"hookwheel/systemtest/memdir"
	"hookwheel/wal/badgerfiles"
	"hookwheel/webhook"
)

// seeded is a source of randomness whose seed is in the log of a failing test.
func seeded(t testing.TB) *rand.Rand {
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewSource(seed))
}

// idAt makes the ID that an entry at index, a minute later, gives to the thing at place.
func idAt(index uint64, place uint32) webhook.ID {
	return webhook.NewID(testClock+60_000, index, place)
}

// failures is progress in which that many messages failed for the first time; the retries are due
// at one moment.
func failures(endpoint webhook.ID, count int) webhook.Progress {
	p := webhook.Progress{Endpoint: endpoint}
	for i := range count {
		a := webhook.Attempt{Message: idAt(1<<40, uint32(i)), Endpoint: endpoint, Number: 1, Next: time.UnixMilli(testClock)}
		p.Outcomes = append(p.Outcomes, webhook.Outcome{Attempt: a})
	}
	return p
}

// differences lists the keys in which two snapshots differ.
func differences(t *testing.T, one, other []byte) (keys []string) {
	t.Helper()
	a, b := recordsOf(t, one), recordsOf(t, other)
	for key, value := range a {
		if b[key] != value {
			keys = append(keys, fmt.Sprintf("%q", key))
		}
	}
	for key := range b {
		if _, found := a[key]; !found {
			keys = append(keys, fmt.Sprintf("%q", key))
		}
	}
	slices.Sort(keys)
	return keys
}

func recordsOf(t *testing.T, snapshot []byte) map[string]string {
	t.Helper()
	records := make(map[string]string)
	r := reader{rest: snapshot[len(snapshotMagic):]}
	for {
		key := r.string()
		if key == "" {
			return records
		}
		records[key] = r.string()
	}
}

// applyList applies bodies as one entry, each under a request of its own.
func applyList(t *testing.T, s *Store, bodies ...[]byte) [][]byte {
	t.Helper()
	index := s.Applied() + 1
	commands := make([]Command, len(bodies))
	for i := range bodies {
		binary.BigEndian.PutUint64(commands[i].Request[:], index)
		commands[i].Request[15], commands[i].Body = byte(i), bodies[i]
	}
	replies, err := s.Apply(index, 1, testClock, commands)
	if err != nil {
		t.Fatal(err)
	}
	return replies
}

func mustEncode(t testing.TB, k kind, v any) []byte {
	t.Helper()
	body, err := encodeCommand(k, v)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// Several endpoints are removed at once, the newest first, and a node restarts while their retry
// sets are swept. It must sweep in the order in which the others do.
func TestSweepAcrossRestart(t *testing.T) {
	inventsMessages(t)
	run := func(restart bool) []byte {
		dir := memdir.New(t)
		s := openTest(t, dir)
		w := NewWriter(direct{s, 1})
		app, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "a"}, false)
		if err != nil {
			t.Fatal(err)
		}
		var endpoints []webhook.ID
		for range 3 {
			e, err := w.CreateEndpoint(t.Context(), webhook.Endpoint{App: app.ID, URL: "http://x/"})
			if err != nil {
				t.Fatal(err)
			}
			endpoints = append(endpoints, e.ID)
			if err := w.Leader(1).RecordProgress(t.Context(), []webhook.Progress{failures(e.ID, sweepPerEntry+10)}); err != nil {
				t.Fatal(err)
			}
		}
		for _, id := range slices.Backward(endpoints) {
			if err := w.DeleteEndpoint(t.Context(), app.ID, id); err != nil {
				t.Fatal(err)
			}
		}
		if restart {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = openTest(t, dir)
		}
		applyList(t, s, mustEncode(t, kindSweep, sweep{sweepPerEntry}))
		data := content(t, s)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return data
	}
	if diff := differences(t, run(false), run(true)); len(diff) > 0 {
		t.Errorf("after a restart %d records differ, such as %s", len(diff), diff[0])
	}
}

// However many entries come before a commit, and however small their records are, no transaction
// grows beyond what Badger takes.
func TestManySmallRecordsBeforeCommit(t *testing.T) {
	inventsMessages(t)
	s, _, _, endpoint := newWorld(t)
	for round := range 8 {
		p := failures(endpoint.ID, 4000)
		for i := range p.Outcomes {
			p.Outcomes[i].Attempt.Message = idAt(1<<40+uint64(round), uint32(i))
		}
		applyList(t, s, encodeProgress(1, []webhook.Progress{p}))
	}
}

// A repetition is answered from any of the entries since its first try, on a node that restarted
// or took over a snapshot as well.
func TestRepetitionAfterMove(t *testing.T) {
	dir := memdir.New(t)
	s := openTest(t, dir)
	w := NewWriter(direct{s, 1})
	app, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "a"}, false)
	if err != nil {
		t.Fatal(err)
	}
	first := Command{Request: [16]byte{1, 2, 3}, Body: appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "a"})}
	refused := Command{Request: [16]byte{4, 5, 6}, Body: appendCreateMessage(nil, &webhook.Message{App: idAt(9, 9), EventType: "a"})}
	floor := s.Applied() + 1
	want, err := s.Apply(floor+3, 1, testClock, []Command{first, refused})
	if err != nil {
		t.Fatal(err)
	}
	first.Since, refused.Since = floor, floor
	repeat := func(where string, s *Store) {
		t.Helper()
		got, err := s.Apply(s.Applied()+1, 2, testClock+1000, []Command{first, refused, first})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(got, [][]byte{want[0], want[1], want[0]}, bytes.Equal) {
			t.Errorf("%s: got %q, want %q", where, got, want)
		}
		list, _, err := s.Messages(app.ID, Page{Limit: 10}, MessageFilter{})
		if err != nil || len(list) != 1 {
			t.Errorf("%s: %d messages, %v", where, len(list), err)
		}
	}
	repeat("same store", s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = closing(t, openTest(t, dir))
	repeat("after a restart", s)
	moved := closing(t, openTest(t, memdir.New(t)))
	if err := moved.RestoreSnapshot(bytes.NewReader(content(t, s))); err != nil {
		t.Fatal(err)
	}
	repeat("on another node", moved)
}

// A repetition that comes later than replies are kept is refused rather than applied again.
func TestRepetitionTooLate(t *testing.T) {
	s, _, app, _ := newWorld(t)
	command := Command{Request: [16]byte{1}, Body: appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "a"})}
	first := s.Applied() + 1
	if _, err := s.Apply(first, 1, testClock, []Command{command}); err != nil {
		t.Fatal(err)
	}
	command.Since = first
	tests := []struct {
		index uint64
		code  webhook.Code
	}{
		{first + requestWindow - 1, ""}, // its record goes with the next entry
		{first + requestWindow + 1, webhook.CodeUnavailable},
	}
	for _, test := range tests {
		replies, err := s.Apply(test.index, 1, testClock, []Command{command})
		if err != nil {
			t.Fatal(err)
		}
		_, err = decodeReply(replies[0])
		if test.code == "" && err != nil || test.code != "" && (err == nil || webhook.ErrorCode(err) != test.code) {
			t.Errorf("%d entries later: %v, want %q", test.index-first, err, test.code)
		}
	}
	list, _, err := s.Messages(app.ID, Page{Limit: 10}, MessageFilter{})
	if err != nil || len(list) != 1 {
		t.Errorf("%d messages, %v", len(list), err)
	}
}

// A command that this program does not know stops it with a message that says what to do.
func TestNewerCommandsSaySo(t *testing.T) {
	tests := map[string]struct {
		body []byte
		want string
	}{
		"kind":                 {[]byte{77, 1}, "kind 77 is not known to this program: upgrade this node"},
		"version of JSON":      {[]byte{byte(kindCreateApplication), 2, '{', '}'}, "format version 2 is newer than this program understands (1): upgrade this node"},
		"version of message":   {[]byte{byte(kindCreateMessage), 9}, "format version 9 is newer"},
		"version of progress":  {[]byte{byte(kindRecordProgress), 9}, "format version 9 is newer"},
		"cut":                  {[]byte{byte(kindRecordProgress)}, errCut.Error()},
		"cut within a message": {appendCreateMessage(nil, &webhook.Message{EventType: "a"})[:24], errCut.Error()},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s := openTest(t, memdir.New(t))
			_, err := s.Apply(1, 1, testClock, []Command{{Body: test.body}})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
			if s.Applied() != 0 {
				t.Errorf("applied %d", s.Applied())
			}
			if _, err := s.Apply(2, 1, testClock, nil); err == nil {
				t.Error("the store goes on behind a hole")
			}
			_ = s.Close() // says the same again
		})
	}
}

// A snapshot replaces all that a node had, whatever that was, and what comes next is applied on
// top of it.
func TestRestoreOverOldState(t *testing.T) {
	rnd := seeded(t)
	long, short := newScript(t, rnd.Int63(), 120), newScript(t, rnd.Int63(), 60)
	from, dir := closing(t, openTest(t, memdir.New(t))), memdir.New(t)
	to := openTest(t, dir)
	for i := range short.entries {
		applyEntry(t, to, short.entries, i)
	}
	for i := range long.entries[:100] {
		applyEntry(t, from, long.entries, i)
	}
	if err := to.RestoreSnapshot(bytes.NewReader(content(t, from))); err != nil {
		t.Fatal(err)
	}
	if got, want := to.State(), from.State(); got.Index != want.Index || got.Term != want.Term || to.Applied() != want.Index {
		t.Errorf("state %+v, want %+v", got, want)
	}
	for i := 100; i < len(long.entries); i++ {
		want := applyEntry(t, from, long.entries, i)
		if got := applyEntry(t, to, long.entries, i); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Fatalf("entry %d: other replies", i+1)
		}
	}
	if diff := differences(t, content(t, from), content(t, to)); len(diff) > 0 {
		t.Errorf("%d records differ: %s", len(diff), diff)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	to = closing(t, openTest(t, dir))
	if diff := differences(t, content(t, from), content(t, to)); len(diff) > 0 {
		t.Errorf("after a restart %d records differ: %s", len(diff), diff)
	}
}

// A reader of a snapshot sees one moment, whatever is applied meanwhile, and may leave in the
// middle.
func TestSnapshotStandsStill(t *testing.T) {
	s, _, app, _ := newWorld(t)
	for range 50 {
		applyList(t, s, appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "a", Payload: make([]byte, 10_000)}))
	}
	want := content(t, s)
	state, size, stream, err := s.OpenSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		applyList(t, s, appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "b"}))
		if err := s.Commit(); err != nil {
			t.Fatal(err)
		}
	}
	var got bytes.Buffer
	if _, err := got.ReadFrom(stream); err != nil {
		t.Fatal(err)
	}
	if err := stream.Close(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) || int64(got.Len()) != size || state.Index != s.Applied()-50 {
		t.Errorf("%d bytes as of %d, promised %d, want %d", got.Len(), state.Index, size, len(want))
	}
	_, _, stream, err = s.OpenSnapshot()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if err := stream.Close(); err != nil { // t's cleanup hangs if it is not let go
		t.Fatal(err)
	}
}

// What a crash may leave of a snapshot that came from a leader: the old state counts until CURRENT
// names the new one.
func TestCrashDuringRestore(t *testing.T) {
	dir := memdir.New(t)
	s := openTest(t, dir)
	if _, _, err := NewWriter(direct{s, 1}).CreateApplication(t.Context(), webhook.Application{Name: "old"}, false); err != nil {
		t.Fatal(err)
	}
	before := content(t, s)
	path, _, err := badgerfiles.Next(dir)
	if err != nil {
		t.Fatal(err)
	}
	other, _, _, _ := newWorld(t)
	if err := loadSnapshot(s.config, s.space.disk, path, bytes.NewReader(content(t, other))); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = closing(t, openTest(t, dir))
	if !bytes.Equal(content(t, s), before) {
		t.Error("a snapshot that was not taken over has changed the store")
	}
	if entries := countFolders(t, dir); entries != 1 {
		t.Errorf("%d Badger folders are left", entries)
	}
}

// The configuration survives a restart, and a late one changes nothing.
func TestConfigure(t *testing.T) {
	dir := memdir.New(t)
	s := openTest(t, dir)
	err := errors.Join(s.Configure(1, 1, []byte("one")), s.Configure(5, 2, []byte("two")), s.Configure(4, 1, []byte("late")))
	if err != nil {
		t.Fatal(err)
	}
	if s.State().Index != 0 || s.Applied() != 5 {
		t.Errorf("durable to %d, applied to %d; want 0 and 5", s.State().Index, s.Applied())
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = closing(t, openTest(t, dir))
	state := s.State()
	if state.Index != 5 || state.Term != 2 || state.ConfigurationIndex != 5 || string(state.Configuration) != "two" {
		t.Errorf("state %+v", state)
	}
}

// The clock of the log never goes back, so neither do ids.
func TestClockGoesBack(t *testing.T) {
	s, _, app, _ := newWorld(t)
	var last webhook.ID
	for _, now := range []int64{testClock + 5000, testClock, testClock + 4000, testClock + 6000} {
		replies, err := s.Apply(s.Applied()+1, 1, now, []Command{
			{Body: appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "a"})},
			{Body: appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "a"})},
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, reply := range replies {
			id := webhook.ID(reply[1:])
			if !id.After(last) {
				t.Errorf("%v does not come after %v", id, last)
			}
			last = id
		}
	}
}

// Watch reports what was committed, in order, and nothing that was refused.
func TestWatch(t *testing.T) {
	s, w, app, endpoint := newWorld(t)
	var got []string
	index := s.Watch(func(c webhook.Changes) {
		for _, m := range c.Messages {
			got = append(got, "message "+m.EventType)
		}
		for range c.Endpoints {
			got = append(got, "endpoint")
		}
		for range c.Removed {
			got = append(got, "removed")
		}
	})
	if index != s.Applied() {
		t.Errorf("watching from %d, applied %d", index, s.Applied())
	}
	applyList(t, s, appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "1"}),
		appendCreateMessage(nil, &webhook.Message{App: endpoint.ID, EventType: "refused"}),
		appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "2"}))
	applyList(t, s, mustEncode(t, kindCreateEndpoint, webhook.Endpoint{App: app.ID, URL: "http://x/"}))
	if err := w.DeleteEndpoint(t.Context(), app.ID, endpoint.ID); err != nil {
		t.Fatal(err)
	}
	s.Watch(nil)
	applyList(t, s, appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "unheard"}))
	if want := []string{"message 1", "message 2", "endpoint", "removed"}; !slices.Equal(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
}

// The iterator that the sweep uses sees what is staged but not committed.
func TestFirstKeysSeesStaged(t *testing.T) {
	inventsMessages(t)
	tolerate(t, "lines in its retry set")
	s, _, _, endpoint := newWorld(t)
	applyList(t, s, encodeProgress(1, []webhook.Progress{failures(endpoint.ID, 10)}))
	s.pending.Lock()
	defer s.pending.Unlock()
	e := entry{store: s, batch: &s.pending.staged}
	keys, err := e.firstKeys(idKey(keyRetry, endpoint.ID), idKey(keyRetry, endpoint.ID), 4)
	if err != nil || len(keys) != 4 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	s.pending.staged.delete(keys[0])
	_, message := parseRetryKey(keys[0])
	s.pending.staged.delete(plannedKey(message, endpoint.ID))
	if _, found, err := s.pending.get(keys[0]); found || err != nil {
		t.Errorf("a staged deletion reads as %t, %v", found, err)
	}
	again, err := e.firstKeys(idKey(keyRetry, endpoint.ID), idKey(keyRetry, endpoint.ID), 100)
	if err != nil || len(again) != 9 || !bytes.Equal(again[0], keys[1]) {
		t.Errorf("%d keys after a deletion, %v", len(again), err)
	}
}

func countFolders(t *testing.T, dir string) (count int) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), badgerfiles.Prefix) {
			count++
		}
	}
	return count
}
