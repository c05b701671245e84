package wal

import (
	"bytes"
	"encoding/binary"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"hookwheel/systemtest/memdir"
	"hookwheel/webhook"
)

// A repetition that overtakes its first try is applied in its place: the first try gets its reply,
// in the same entry or in a later one.
func TestRepetitionOvertakesFirstTry(t *testing.T) {
	s, _, app, _ := newWorld(t)
	first := Command{Request: [16]byte{7}, Body: appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "a"})}
	again := first
	again.Since = s.Applied() + 1
	replies, err := s.Apply(s.Applied()+1, 1, testClock, []Command{again, first})
	if err != nil {
		t.Fatal(err)
	}
	later, err := s.Apply(s.Applied()+1, 1, testClock, []Command{first, again})
	if err != nil {
		t.Fatal(err)
	}
	for _, reply := range append(replies, later...) {
		if !bytes.Equal(reply, replies[0]) {
			t.Errorf("replies %x and %x", reply, replies[0])
		}
	}
	list, _, err := s.Messages(app.ID, Page{Limit: 10}, MessageFilter{})
	if err != nil || len(list) != 1 {
		t.Errorf("%d messages, %v", len(list), err)
	}
}

// A refusal is remembered like any reply: what was refused must not be applied when its first try
// comes.
func TestRefusedRepetitionOvertakesFirstTry(t *testing.T) {
	s, _, _, _ := newWorld(t)
	first := Command{Request: [16]byte{7}, Body: mustEncode(t, kindCreateEndpoint, webhook.Endpoint{App: idAt(5, 0), URL: "http://x/"})}
	again := first
	again.Since = 1
	replies, err := s.Apply(s.Applied()+1, 1, testClock, []Command{again})
	if err != nil {
		t.Fatal(err)
	}
	later, err := s.Apply(s.Applied()+1, 1, testClock, []Command{first})
	if err != nil || !bytes.Equal(later[0], replies[0]) {
		t.Errorf("%q, then %q, %v", replies[0], later, err)
	}
}

// The reply about a large application that was there already is read again for a request that is
// repeated after a change of leader, also under an idempotency key, which does not keep it.
func TestRepetitionOfFoundApplication(t *testing.T) {
	s, w, _, _ := newWorld(t)
	large, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: strings.Repeat("x", 4096), UID: "large"}, false)
	if err != nil {
		t.Fatal(err)
	}
	find := mustEncode(t, kindCreateApplication, createApplication{Application: webhook.Application{Name: "a", UID: "large"}, GetIfExists: true})
	again := Command{Request: [16]byte{7}, Since: s.Applied() + 1, Body: encodeIdempotent([16]byte{1}, [16]byte{2}, find)}
	first := again
	first.Since = 0
	for i, c := range []Command{first, again} {
		replies, err := s.Apply(s.Applied()+1, 1, testClock, []Command{c})
		if err != nil || !bytes.Contains(replies[0], []byte(large.Name)) {
			t.Errorf("try %d: %.100q, %v", i+1, replies, err)
		}
	}
	if err := w.DeleteApplication(t.Context(), large.ID); err != nil {
		t.Fatal(err)
	}
	replies, err := s.Apply(s.Applied()+1, 1, testClock, []Command{again})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decodeReply(replies[0]); webhook.ErrorCode(err) != webhook.CodeNotFound {
		t.Errorf("after its deletion: %v", err)
	}
}

// requestModel says in the plainest way what becomes of the tries of a request.
type requestModel struct {
	applied map[[16]byte]outcome
	last    uint64 // entry before the current one
}

type outcome struct {
	index      uint64
	repetition bool
	reply      []byte
}

// The ways to answer a try.
const (
	appliesNow = iota
	repliesAgain
	knowsNoMore
)

func (m *requestModel) expected(index uint64, c *Command) int {
	before, applied := m.applied[c.Request]
	remembered := applied && before.index+requestWindow > m.last
	switch {
	case c.Since > 0 && applied && before.index == index:
		return repliesAgain
	case c.Since > 0 && c.Since+requestWindow < index:
		return knowsNoMore
	case remembered && (c.Since > 0 || before.repetition):
		return repliesAgain
	default:
		return appliesNow
	}
}

// tries makes the tries of one request in a random order: the first one comes late or never.
func tries(rnd *rand.Rand, app webhook.ID, number, since uint64) (list []Command) {
	c := Command{Body: appendCreateMessage(nil, &webhook.Message{App: app, EventType: "a", Payload: binary.BigEndian.AppendUint64(nil, number)})}
	binary.BigEndian.PutUint64(c.Request[8:], number)
	if rnd.Intn(5) > 0 {
		list = append(list, c)
	}
	c.Since = since
	for range rnd.Intn(4) {
		list = append(list, c)
	}
	rnd.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	return list
}

// However the tries of requests are ordered, and wherever a node restarts, crashes or takes over a
// snapshot, each is applied once as long as it is remembered, and answered with the same reply.
func TestRequestsFollowModel(t *testing.T) {
	tolerate(t, "was applied twice") // by a first try that comes when nobody remembers
	rnd := seeded(t)
	dir := memdir.New(t)
	s := openTest(t, dir)
	app, _, err := NewWriter(direct{s, 1}).CreateApplication(t.Context(), webhook.Application{Name: "a"}, false)
	if err != nil {
		t.Fatal(err)
	}
	model := requestModel{applied: make(map[[16]byte]outcome), last: s.Applied()}
	var waiting []Command
	for number := uint64(1); number <= 400; number++ {
		index := model.last + 1
		if rnd.Intn(40) == 0 {
			index += uint64(rnd.Intn(requestWindow / 3))
		}
		waiting = append(waiting, tries(rnd, app.ID, number, index)...)
		rnd.Shuffle(len(waiting), func(i, j int) { waiting[i], waiting[j] = waiting[j], waiting[i] })
		count := min(len(waiting), rnd.Intn(4))
		commands := waiting[:count]
		waiting = waiting[count:]
		replies, err := s.Apply(index, 1, testClock, commands)
		if err != nil {
			t.Fatal(err)
		}
		for i := range commands {
			model.compare(t, index, &commands[i], replies[i])
		}
		model.last = index
		s, dir = disturb(t, rnd, s, dir)
		if s.Applied() < index { // it crashed: Raft applies the rest again
			t.Fatal("what was committed is gone")
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func (m *requestModel) compare(t *testing.T, index uint64, c *Command, reply []byte) {
	t.Helper()
	before := m.applied[c.Request]
	switch m.expected(index, c) {
	case repliesAgain:
		if !bytes.Equal(reply, before.reply) {
			t.Fatalf("entry %d: request %x since %d got %x, not %x again", index, c.Request, c.Since, reply, before.reply)
		}
	case knowsNoMore:
		_, err := decodeReply(reply)
		wantCode(t, err, webhook.CodeUnavailable)
	case appliesNow:
		if webhook.ID(reply[1:]).Index() != index {
			t.Fatalf("entry %d: request %x since %d was not applied: %x", index, c.Request, c.Since, reply)
		}
		m.applied[c.Request] = outcome{index, c.Since > 0, reply}
	}
}

// disturb restarts a store now and then, or moves it to another folder.
func disturb(t *testing.T, rnd *rand.Rand, s *Store, dir string) (*Store, string) {
	t.Helper()
	switch rnd.Intn(25) {
	case 0:
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return openTest(t, dir), dir
	case 1:
		if err := s.Commit(); err != nil {
			t.Fatal(err)
		}
		return crash(t, s, dir), dir
	case 2:
		other := memdir.New(t)
		moved := openTest(t, other)
		if err := moved.RestoreSnapshot(bytes.NewReader(content(t, s))); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return moved, other
	default:
		return s, dir
	}
}

// What leaves the window is forgotten, though Raft's own entries and changes of the configuration
// lie in between.
func TestRequestsAreForgotten(t *testing.T) {
	s, _, app, _ := newWorld(t)
	command := func(n byte, since uint64) Command {
		return Command{Request: [16]byte{n}, Since: since, Body: appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "a"})}
	}
	base := s.Applied()
	for i := range uint64(6) {
		if _, err := s.Apply(base+1+i, 1, testClock, []Command{command(byte(i), (i%2)*(base+1))}); err != nil {
			t.Fatal(err)
		}
	}
	remembered := func() (keys []string) {
		for key := range recordsOf(t, content(t, s)) {
			if index := binary.BigEndian.Uint64([]byte(key + "12345678")[1:]); (key[0] == keyRequests || key[0] == keyOvertaker) && index > base {
				keys = append(keys, key)
			}
		}
		slices.Sort(keys)
		return keys
	}
	if got := remembered(); len(got) != 6+3 {
		t.Fatalf("%d notes: %q", len(got), got)
	}
	if err := s.Configure(base+requestWindow+2, 1, []byte("c")); err != nil {
		t.Fatal(err)
	}
	if got := remembered(); len(got) != 4+2 {
		t.Errorf("%d notes are left after a change of the configuration, want 6: %q", len(got), got)
	}
	if _, err := s.Apply(base+requestWindow+5, 1, testClock, nil); err != nil {
		t.Fatal(err)
	}
	if got := remembered(); len(got) != 1+1 || len(s.catalog.overtakers.list) != 1 || len(s.catalog.overtakers.at) != 1 {
		t.Errorf("%d notes are left, want 2: %q", len(got), got)
	}
}
