package wal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"testing"

	"hookwheel/systemtest/memdir"
	"hookwheel/webhook"
)

// largeHistory is a few entries that change the same records again and again. In a store of
// openSplit they take several transactions each.
func largeHistory(t *testing.T) (entries [][]Command, app webhook.ID) {
	t.Helper()
	rnd := rand.New(rand.NewSource(1))
	model := closing(t, openTest(t, memdir.New(t)))
	number := 0
	add := func(bodies ...[]byte) [][]byte {
		var list []Command
		for _, body := range bodies {
			number++
			list = append(list, Command{Request: [16]byte{byte(number), byte(number >> 8)}, Body: body})
		}
		entries = append(entries, list)
		return applyEntry(t, model, entries, len(entries)-1)
	}
	reply := add(mustEncode(t, kindCreateApplication, createApplication{Application: webhook.Application{Name: "a", UID: "a"}}))[0]
	made := object[createApplication](t, &script{}, reply[1:])
	app = made.Application.ID
	var messages []webhook.ID
	send := func(count int) {
		var bodies [][]byte
		for i := range count {
			m := webhook.Message{App: app, EventType: "a", EventID: fmt.Sprintf("m-%d-%0200d", number, i), Payload: make([]byte, 20)}
			rnd.Read(m.Payload)
			bodies = append(bodies, appendCreateMessage(nil, &m))
		}
		for _, reply := range add(bodies...) {
			messages = append(messages, webhook.ID(reply[1:]))
		}
	}
	send(200)
	send(100)
	for range 3 {
		send(450)
		// Bodies of two entries become shorter, in entries other than those that created them.
		var bodies [][]byte
		for range 2 {
			bodies = append(bodies, mustEncode(t, kindExpungeMessage, expunge{App: app, Message: messages[rnd.Intn(len(messages))]}))
		}
		add(bodies...)
	}
	return entries, app
}

// openSplit opens a store whose commits take a transaction for each 64 KiB.
func openSplit(t *testing.T, dir string) *Store {
	t.Helper()
	s := openTest(t, dir)
	s.pending.Lock()
	defer s.pending.Unlock()
	s.pending.partSize = 64 << 10
	return s
}

var errCrash = errors.New("the process ends here")

// failCommits makes each commit end at the boundary behind some transactions.
func failCommits(s *Store, after int) {
	s.pending.Lock()
	defer s.pending.Unlock()
	done := 0
	s.pending.partDone = func() error {
		if done++; done > after {
			return errCrash
		}
		return nil
	}
}

// crashInCommit commits what is staged up to the boundary between two transactions, and starts
// again from the files.
func crashInCommit(t *testing.T, s *Store, dir string, after int) (again *Store, split bool) {
	t.Helper()
	failCommits(s, after)
	err := s.Commit()
	s.pending.Lock()
	s.pending.partDone = nil
	if err != nil { // the store is broken, as its process is gone
		s.pending.broken, s.pending.staged = nil, s.pending.newBatch(*s.snapshots.last())
	}
	s.pending.Unlock()
	if err != nil && !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again = openTest(t, dir)
	again.pending.Lock()
	defer again.pending.Unlock()
	again.pending.partSize = s.pending.partSize
	return again, err != nil
}

// TestCrashInSplitCommit ends commits between any two of their transactions. The store is then
// that of the commit before, for each reader, and after a replay, which commits elsewhere, that of
// a store that was never disturbed.
func TestCrashInSplitCommit(t *testing.T) {
	entries, _ := largeHistory(t)
	straight := closing(t, openTest(t, memdir.New(t)))
	states := [][]byte{nil}
	for i := range entries {
		applyEntry(t, straight, entries, i)
		states = append(states, content(t, straight))
	}
	crashes := 0
	for seed := range int64(3) {
		rnd := rand.New(rand.NewSource(seed))
		dir := memdir.New(t)
		s := openSplit(t, dir)
		for i := 0; i < len(entries); i++ {
			what, after := rnd.Intn(4), rnd.Intn(3)
			if what > 1 {
				failCommits(s, after) // already now, for the store commits by itself, too
			}
			applyEntry(t, s, entries, i)
			switch what {
			case 0:
				if err := s.Commit(); err != nil {
					t.Fatal(err)
				}
			case 2, 3:
				var split bool
				if s, split = crashInCommit(t, s, dir, after); split {
					crashes++
				}
				i = int(s.Applied()) - 1
				if i >= 0 && !bytes.Equal(content(t, s), states[i+1]) {
					t.Fatalf("seed %d: after a crash the store is not that of entry %d", seed, i+1)
				}
			}
		}
		if !bytes.Equal(content(t, s), states[len(entries)]) {
			t.Errorf("seed %d: the stores differ", seed)
		}
		s.pending.Lock()
		if left := s.pending.remains.keys; len(left) > 0 && s.snapshots.last().index > s.pending.remains.last {
			t.Errorf("%d remains are still known", len(left))
		}
		s.pending.Unlock()
		if err := s.Close(); err != nil { // and checks it
			t.Fatal(err)
		}
	}
	if crashes < 3 {
		t.Errorf("only %d commits were cut short", crashes)
	}
}

// TestOtherEntriesAfterCrash lets other entries follow on a commit that was cut short than those
// that it held: nothing of these is ever seen. That is so when a program of another version
// replays them, or a new cluster begins.
func TestOtherEntriesAfterCrash(t *testing.T) {
	entries, app := largeHistory(t)
	for after := range 2 {
		dir := memdir.New(t)
		s := openSplit(t, dir)
		for i := range 3 {
			applyEntry(t, s, entries, i)
		}
		if err := s.Commit(); err != nil {
			t.Fatal(err)
		}
		failCommits(s, after) // already now, for the store commits by itself, too
		applyEntry(t, s, entries, 3)
		s, split := crashInCommit(t, s, dir, after)
		if !split {
			t.Fatal("the commit was not cut short")
		}
		other := closing(t, openTest(t, memdir.New(t)))
		if err := other.RestoreSnapshot(bytes.NewReader(content(t, s))); err != nil {
			t.Fatal(err)
		}
		for i := range 4 { // which commit at and behind the entry that was cut short
			for _, store := range []*Store{s, other} {
				m := &webhook.Message{App: app, EventType: "other", Payload: fmt.Append(nil, i)}
				command := Command{Request: [16]byte{2: 0xee, 3: byte(i)}, Body: appendCreateMessage(nil, m)}
				if _, err := store.Apply(uint64(4+i), 1, testClock+100, []Command{command}); err != nil {
					t.Fatal(err)
				}
			}
			if after == 0 || i > 1 {
				if !bytes.Equal(content(t, s), content(t, other)) {
					t.Fatalf("after %d transactions and entry %d what was cut short is seen", after+1, 4+i)
				}
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
