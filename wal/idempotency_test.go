package wal

import (
	"bytes"
	"context"
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"time"

	"hookwheel/systemtest/memdir"
	"hookwheel/webhook"
)

func sendOnce(app webhook.ID, key byte, payload string) []byte {
	return encodeIdempotent([16]byte{key}, [16]byte{}, appendCreateMessage(nil, &webhook.Message{App: app, EventType: "a", Payload: []byte(payload)}))
}

// A repeated key has the first reply, whatever it asks for, in the same entry, in a later one and
// after a restart.
func TestIdempotencyKey(t *testing.T) {
	dir := memdir.New(t)
	s := openTest(t, dir)
	w := NewWriter(direct{s, 1})
	app, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "a"}, false)
	if err != nil {
		t.Fatal(err)
	}
	replies := applyList(t, s, sendOnce(app.ID, 1, `{"n":1}`), sendOnce(app.ID, 1, `{"n":2}`), sendOnce(app.ID, 2, `{"n":3}`))
	first := replies[0]
	if first[1] != replyFirst || replies[1][1] != replyRepeated || !bytes.Equal(first[2:], replies[1][2:]) || bytes.Equal(first[2:], replies[2][2:]) {
		t.Fatalf("%x", replies)
	}
	for range 2 {
		if again := applyList(t, s, sendOnce(app.ID, 1, `{}`))[0]; again[1] != replyRepeated || !bytes.Equal(again[2:], first[2:]) {
			t.Errorf("a repetition got %x, not %x", again, first)
		}
		if err := s.Commit(); err != nil {
			t.Fatal(err)
		}
		s = crash(t, s, dir)
	}
	closing(t, s)
	list, _, err := s.Messages(app.ID, Page{Limit: 10, Ascending: true}, MessageFilter{})
	if err != nil || len(list) != 2 || string(list[0].Payload) != `{"n":1}` {
		t.Errorf("%+v, %v", list, err)
	}
}

// A key that comes with another request is refused, whatever that asks for, and changes nothing.
func TestIdempotencyKeyOfAnotherRequest(t *testing.T) {
	s, w, app, _ := newWorld(t)
	once := func(fingerprint byte) *Once { return &Once{Key: [16]byte{1}, Fingerprint: [16]byte{fingerprint}} }
	if _, err := w.CreateMessage(once(1).Context(t.Context()), &webhook.Message{App: app.ID, EventType: "a"}); err != nil {
		t.Fatal(err)
	}
	_, err := w.CreateMessage(once(2).Context(t.Context()), &webhook.Message{App: app.ID, EventType: "a"})
	wantCode(t, err, webhook.CodeKeyReused)
	for _, fingerprint := range []byte{1, 2} {
		_, _, err = w.CreateApplication(once(fingerprint).Context(t.Context()), webhook.Application{Name: "b"}, false)
		wantCode(t, err, webhook.CodeKeyReused)
	}
	apps, _, err := s.Applications(Page{Limit: 10})
	if err != nil || len(apps) != 1 {
		t.Errorf("%d applications, %v", len(apps), err)
	}
}

// The reply is kept whatever becomes of the thing, as long as the window lasts.
func TestKept(t *testing.T) {
	s, w, app, _ := newWorld(t)
	once := &Once{Key: [16]byte{1}, Fingerprint: [16]byte{2}}
	now := time.UnixMilli(testClock)
	if kept, err := s.Kept(once, now); kept != nil || err != nil {
		t.Fatal(kept, err)
	}
	id, err := w.CreateMessage(once.Context(t.Context()), &webhook.Message{App: app.ID, EventType: "a"})
	if err != nil {
		t.Fatal(err)
	}
	other := &Once{Key: [16]byte{2}, Fingerprint: [16]byte{2}}
	made, err := w.CreateEndpoint(other.Context(t.Context()), webhook.Endpoint{App: app.ID, URL: "http://x/"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.DeleteApplication(t.Context(), app.ID); err != nil {
		t.Fatal(err)
	}
	kept, err := s.Kept(once, now)
	if err != nil || kept == nil || kept.Message != id || !kept.Created {
		t.Errorf("%+v, %v", kept, err)
	}
	if kept, err = s.Kept(other, now); err != nil || kept == nil || kept.Endpoint.ID != made.ID {
		t.Errorf("%+v, %v", kept, err)
	}
	if again, err := w.CreateMessage(once.Context(t.Context()), &webhook.Message{App: app.ID, EventType: "a"}); err != nil || again != id || !once.Repeated {
		t.Errorf("%v, %v, %v", again, err, once.Repeated)
	}
	if kept, err = s.Kept(once, id.Time().Add(IdempotencyWindow)); kept != nil || err != nil {
		t.Errorf("after the window: %+v, %v", kept, err)
	}
	once.Fingerprint[0]++
	_, err = s.Kept(once, now)
	wantCode(t, err, webhook.CodeKeyReused)
}

// A small request may find a large application, again and again with another key. None of these
// keeps a copy of it. Each repetition gets the application as it is.
func TestKeptOfFoundApplication(t *testing.T) {
	dir := memdir.New(t)
	s := openTest(t, dir)
	w := NewWriter(direct{s, 1})
	large, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: strings.Repeat("&", 4096), UID: "large"}, false)
	if err != nil {
		t.Fatal(err)
	}
	before := bytesOf(t, s, keyReply)
	find := func(i byte) (*webhook.Application, bool, error) {
		once := &Once{Key: [16]byte{i}}
		found, created, err := w.CreateApplication(once.Context(t.Context()), webhook.Application{Name: "a", UID: "large"}, true)
		if created {
			t.Errorf("key %d created an application", i)
		}
		return found, once.Repeated, err
	}
	const keys = 20
	for i := range 2 * keys {
		if found, repeated, err := find(byte(i % keys)); err != nil || found.Name != large.Name || repeated != (i >= keys) {
			t.Fatalf("key %d: repeated %t, %v", i, repeated, err)
		}
	}
	if took := bytesOf(t, s, keyReply) - before; took > keys*200 {
		t.Errorf("the keys take %d bytes, more than %d", took, keys*200)
	}
	kept := func() (*Kept, error) { return s.Kept(&Once{Key: [16]byte{1}}, time.UnixMilli(testClock)) }
	large.Name = "renamed"
	if large, err = w.UpdateApplication(t.Context(), *large); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(); err != nil {
		t.Fatal(err)
	}
	s = crash(t, s, dir)
	closing(t, s)
	w = NewWriter(direct{s, 1})
	if is, err := kept(); err != nil || is.Created || is.Application.Name != "renamed" {
		t.Errorf("%+v, %v", is, err)
	}
	if found, repeated, err := find(1); err != nil || !repeated || found.Name != "renamed" {
		t.Errorf("%+v, %t, %v", found, repeated, err)
	}
	if err := w.DeleteApplication(t.Context(), large.ID); err != nil {
		t.Fatal(err)
	}
	_, err = kept()
	wantCode(t, err, webhook.CodeNotFound)
	_, _, err = find(1)
	wantCode(t, err, webhook.CodeNotFound)
	small, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "small", UID: "large"}, false)
	if err != nil {
		t.Fatal(err)
	}
	if found, _, err := find(200); err != nil || found.Name != "small" {
		t.Errorf("%+v, %v", found, err)
	}
	if err := w.DeleteApplication(t.Context(), small.ID); err != nil {
		t.Fatal(err)
	}
	if found, repeated, err := find(200); err != nil || !repeated || found.Name != "small" {
		t.Errorf("a small application is kept as it was: %+v, %t, %v", found, repeated, err)
	}
}

// The payload of an example and the answer to a request of many changes are kept as they were
// first.
func TestKeptAnswers(t *testing.T) {
	s, w, app, endpoint := newWorld(t)
	example, many := &Once{Key: [16]byte{1}}, &Once{Key: [16]byte{2}}
	for i, text := range []string{"first", "second"} {
		id, err := w.CreateMessage(example.Context(t.Context()), &webhook.Message{App: app.ID, EventType: "a", Only: endpoint.ID, Payload: []byte(text)})
		if err != nil {
			t.Fatal(err)
		}
		kept, err := s.Kept(example, id.Time())
		if err != nil || kept.Message != id || string(kept.Payload) != "first" || example.Repeated != (i > 0) {
			t.Errorf("an example: %+v, %v", kept, err)
		}
		answer, err := w.KeepAnswer(many.Context(t.Context()), []byte(text))
		if err != nil || string(answer) != "first" {
			t.Errorf("an answer: %q, %v", answer, err)
		}
		if kept, err = s.Kept(many, id.Time()); err != nil || string(kept.Answer) != "first" {
			t.Errorf("an answer: %+v, %v", kept, err)
		}
	}
}

// A refused request changed nothing, so it may be tried again.
func TestIdempotencyKeyOfRefusal(t *testing.T) {
	s, w, app, _ := newWorld(t)
	once := &Once{Key: [16]byte{1}}
	_, err := w.CreateMessage(once.Context(t.Context()), &webhook.Message{App: idAt(9, 9), EventType: "a"})
	wantCode(t, err, webhook.CodeNotFound)
	if reply := applyList(t, s, sendOnce(app.ID, 1, "{}"))[0]; reply[0] != replyOK || reply[1] != replyFirst {
		t.Errorf("%x", reply)
	}
}

// Keys are forgotten after the window, in steps that are bounded and that keep up, and none is
// left behind.
func TestIdempotencyKeysAreForgotten(t *testing.T) {
	s, _, app, _ := newWorld(t)
	const entries, each = 12, 100
	key := func(i, j int) []byte {
		return encodeIdempotent([16]byte{byte(i), byte(j)}, [16]byte{}, appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "a"}))
	}
	at := func(clock time.Duration, bodies ...[]byte) [][]byte {
		t.Helper()
		commands := make([]Command, len(bodies))
		for i, body := range bodies {
			commands[i] = Command{Request: [16]byte{byte(i), byte(s.Applied()), 1}, Body: body}
		}
		replies, err := s.Apply(s.Applied()+1, 1, testClock+clock.Milliseconds(), commands)
		if err != nil {
			t.Fatal(err)
		}
		return replies
	}
	for i := range entries {
		bodies := make([][]byte, each)
		for j := range bodies {
			bodies[j] = key(i, j)
		}
		at(time.Hour, bodies...)
	}
	if reply := at(time.Hour+IdempotencyWindow-time.Millisecond, key(0, 0))[0]; reply[1] != replyRepeated {
		t.Error("forgotten too early")
	}
	if n := countKeys(t, s, keyReply); n != entries*each {
		t.Errorf("%d keys are known, want %d", n, entries*each)
	}
	late := time.Hour + IdempotencyWindow + 4*time.Millisecond
	if reply := at(late, key(entries-1, 7))[0]; reply[1] != replyFirst {
		t.Error("not forgotten, although it is too old")
	}
	before := entries * each
	for range entries { // one entry after the other forgets some
		n := countKeys(t, s, keyReply)
		if before-n > sweepPerEntry+each {
			t.Errorf("one entry has forgotten %d keys", before-n)
		}
		before = n
		at(late)
	}
	if replies, lists := countKeys(t, s, keyReply), countKeys(t, s, keyAging); replies != 1 || lists != 1 {
		t.Errorf("%d keys in %d lists are left, want the one that was used again", replies, lists)
	}
	if reply := at(late, key(entries-1, 7))[0]; reply[1] != replyRepeated {
		t.Error("the key that was used again was forgotten with its first use")
	}
}

func countKeys(t *testing.T, s *Store, prefix byte) int {
	t.Helper()
	s.pending.Lock()
	defer s.pending.Unlock()
	if err := s.pending.begin(0); err != nil {
		t.Fatal(err)
	}
	count := 0
	err := s.pending.seek([]byte{prefix}, []byte{prefix}, func(_, _ []byte) error {
		count++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return count
}

// More entries than are held in memory age in the order in which they came, and after a restart
// alike.
func TestAgingBeyondMemory(t *testing.T) {
	s, _, app, _ := newWorld(t)
	rnd := rand.New(rand.NewSource(1))
	apply := func(clock time.Duration, body []byte) {
		t.Helper()
		command := Command{Body: body}
		rnd.Read(command.Request[:])
		if _, err := s.Apply(s.Applied()+1, 1, testClock+clock.Milliseconds(), []Command{command}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range agingAhead + 10 {
		key := [16]byte{byte(i), byte(i >> 8)}
		apply(time.Duration(i)*time.Second, encodeIdempotent(key, [16]byte{}, appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "a"})))
	}
	for i := range agingAhead + 10 {
		apply(IdempotencyWindow+time.Duration(i)*time.Second+4*time.Millisecond, encodeFingerprint())
		if i%100 != 0 {
			continue
		}
		if got := countKeys(t, s, keyAging); got != agingAhead+9-i {
			t.Fatalf("after %d entries %d lists are left", i+1, got)
		}
	}
	if n := countKeys(t, s, keyReply); n != 0 {
		t.Errorf("%d keys are left", n)
	}
}

// BenchmarkIdempotency is the share of a message's way that an idempotency key lengthens: Apply
// and Commit of full entries.
func BenchmarkIdempotency(b *testing.B) {
	for _, with := range []bool{false, true} {
		b.Run(fmt.Sprint("with key ", with), func(b *testing.B) {
			s, err := openFilled(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			app, _, err := fillCatalog(s)
			if err != nil {
				b.Fatal(err)
			}
			rnd := rand.New(rand.NewSource(1))
			body := appendCreateMessage(nil, &webhook.Message{App: app, EventType: "a", Payload: make([]byte, fillEvent)})
			commands := make([]Command, fillBatch)
			for b.Loop() {
				for i := range commands {
					commands[i].Body = body
					rnd.Read(commands[i].Request[:])
					if with {
						commands[i].Body = encodeIdempotent(commands[i].Request, [16]byte{}, body)
					}
				}
				if _, err := s.Apply(s.Applied()+1, 1, testClock+int64(s.Applied()), commands); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*fillBatch), "ns/message")
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// What a writer says that an idempotency key takes is what it takes, also if the reply is empty.
func TestSizeOfIdempotencyKey(t *testing.T) {
	s, w, app, endpoint := newWorld(t)
	message := &webhook.Message{App: app.ID, EventType: "a", Payload: []byte("{}")}
	sent, err := w.CreateMessage(t.Context(), message)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(context.Context) error{
		"no content": func(ctx context.Context) error { return w.Resend(ctx, app.ID, endpoint.ID, sent) },
		"a message":  func(ctx context.Context) error { return second(w.CreateMessage(ctx, message)) },
		"an example": func(ctx context.Context) error {
			return second(w.CreateMessage(ctx, &webhook.Message{App: app.ID, EventType: "a", Only: endpoint.ID, Payload: make([]byte, 5000)}))
		},
		"an answer": func(ctx context.Context) error { return second(w.KeepAnswer(ctx, make([]byte, 5000))) },
		"an object": func(ctx context.Context) error { return second(w.UpdateEndpoint(ctx, *endpoint)) },
	} {
		once := new(Once)
		copy(once.Key[:], name)
		before := bytesOf(t, s, keyReply) + bytesOf(t, s, keyAging)
		if err := change(once.Context(t.Context())); err != nil {
			t.Fatal(name, err)
		}
		if took := bytesOf(t, s, keyReply) + bytesOf(t, s, keyAging) - before; took == 0 || once.Size < took || once.Size > took+8 {
			t.Errorf("%s: the key takes %d bytes, and is said to take %d", name, took, once.Size)
		}
	}
}

// bytesOf is what the records of a kind take.
func bytesOf(t *testing.T, s *Store, kind byte) (size int) {
	t.Helper()
	for key, value := range recordsOf(t, content(t, s)) {
		if key[0] == kind {
			size += len(key) + len(value)
		}
	}
	return size
}
