package raftlog

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	boltdb "github.com/hashicorp/raft-boltdb/v2"

	"hookwheel/cluster/journal"
)

func openTestLog(t *testing.T, dir string) *Store {
	t.Helper()
	log, err := Open(dir, Options{Limit: func() int64 { return 8 << 20 }, Fatal: func(err error) { t.Errorf("fatal: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func vote(t *testing.T, log *Store, term uint64, candidate string) {
	t.Helper()
	must(t, log.votes.SetUint64(keyVoteTerm, term))
	must(t, log.votes.Set(keyVoteCandidate, []byte(candidate)))
}

func checkVote(t *testing.T, log *Store, term uint64, candidate string) {
	t.Helper()
	gotTerm, err := log.votes.GetUint64(keyVoteTerm)
	must(t, err)
	gotCandidate, err := log.votes.Get(keyVoteCandidate)
	must(t, err)
	if gotTerm != term || string(gotCandidate) != candidate {
		t.Errorf("the vote is for %q in term %d, want %q in term %d", gotCandidate, gotTerm, candidate, term)
	}
}

func TestVoteSurvivesRestart(t *testing.T) {
	dir := t.TempDir()
	log := openTestLog(t, dir)
	for _, err := range []error{second(log.votes.GetUint64(keyVoteTerm)), second(log.votes.Get(keyVoteCandidate))} {
		if !errors.Is(err, boltdb.ErrKeyNotFound) {
			t.Errorf("before the first vote: %v", err)
		}
	}
	vote(t, log, 5, "n1")
	checkVote(t, log, 5, "n1")
	must(t, log.votes.SetUint64(keyVoteTerm, 6)) // the candidate never comes: a crash
	checkVote(t, log, 5, "n1")
	must(t, log.Close())

	log = openTestLog(t, dir)
	checkVote(t, log, 5, "n1")
	vote(t, log, 7, "n2")
	must(t, log.Close())

	log = openTestLog(t, dir)
	checkVote(t, log, 7, "n2")
	must(t, log.Close())
}

// TestVoteIsOneRecord crashes between the two steps in which Raft writes a vote.
func TestVoteIsOneRecord(t *testing.T) {
	dir := t.TempDir()
	s := openTestLog(t, dir)
	err := errors.Join(s.votes.SetUint64(keyVoteTerm, 3), s.votes.Set(keyVoteCandidate, []byte("n1")), s.votes.SetUint64(keyVoteTerm, 4), s.Close())
	if err != nil {
		t.Fatal(err)
	}
	s = openTestLog(t, dir)
	defer s.Close()
	term, err := s.votes.GetUint64(keyVoteTerm)
	candidate, err2 := s.votes.Get(keyVoteCandidate)
	if err := errors.Join(err, err2); err != nil || term != 3 || string(candidate) != "n1" {
		t.Errorf("vote in term %d for %s, %v", term, candidate, err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestVoteDamaged(t *testing.T) {
	log := openTestLog(t, t.TempDir())
	defer log.Close()
	must(t, log.votes.bolt.Set(keyVote, []byte("short")))
	for _, err := range []error{second(log.votes.GetUint64(keyVoteTerm)), second(log.votes.Get(keyVoteCandidate))} {
		if err == nil || errors.Is(err, boltdb.ErrKeyNotFound) {
			t.Errorf("a damaged vote reads as %v", err)
		}
	}
}

// Other keys, the term of the node among them, are written as they come.
func TestOtherKeysAreKept(t *testing.T) {
	dir := t.TempDir()
	log := openTestLog(t, dir)
	must(t, log.votes.SetUint64([]byte("CurrentTerm"), 9))
	must(t, log.votes.Set([]byte("key"), []byte("value")))
	must(t, log.Close())
	log = openTestLog(t, dir)
	defer log.Close()
	term, err := log.votes.GetUint64([]byte("CurrentTerm"))
	must(t, err)
	value, err := log.votes.Get([]byte("key"))
	must(t, err)
	if term != 9 || string(value) != "value" {
		t.Errorf("term %d, value %q", term, value)
	}
}

// Each write that fails ends the node.
func TestLogFailsStop(t *testing.T) {
	writes := map[string]struct {
		write func(*Store) error
		what  string
	}{
		"log":  {func(l *Store) error { return l.StoreLog(&raft.Log{Index: 2}) }, "writing the log"},
		"logs": {func(l *Store) error { return l.StoreLogs([]*raft.Log{{Index: 2}, {Index: 3}}) }, "writing the log"},
		"cut":  {func(l *Store) error { return l.DeleteRange(1, 2) }, "cutting the log"},
		"term": {func(l *Store) error { return l.votes.SetUint64([]byte("CurrentTerm"), 1) }, "writing the term"},
		"vote": {func(l *Store) error { return l.votes.Set(keyVoteCandidate, []byte("n1")) }, "writing the vote"},
		"key":  {func(l *Store) error { return l.votes.Set([]byte("key"), nil) }, "writing the vote"},
		"mark": {func(l *Store) error { return errors.Join(l.Settle(), l.Settle()) }, "marking the end"},
	}
	for name, test := range writes {
		t.Run(name, func(t *testing.T) {
			var reason error
			log, err := Open(t.TempDir(), Options{Fatal: func(err error) { reason = err }})
			must(t, err)
			must(t, log.StoreLog(&raft.Log{Index: 1}))
			must(t, log.Close()) // what comes now fails
			if err := test.write(log); err == nil {
				t.Error("the writer hears of no error")
			}
			if reason == nil || !strings.Contains(reason.Error(), test.what) {
				t.Errorf("the node hears of %v, want something about %q", reason, test.what)
			}
		})
	}
}

// TestRaftNeverHearsOfFailedWrites: a write to the log that fails ends the node, and does not
// return to Raft, which would panic.
func TestRaftNeverHearsOfFailedWrites(t *testing.T) {
	writes := map[string]func(*Store) error{
		"term": func(l *Store) error { return l.votes.SetUint64([]byte("CurrentTerm"), 1) },
		"vote": func(l *Store) error { return l.votes.Set(keyVoteCandidate, []byte("n1")) },
		"logs": func(l *Store) error { return l.StoreLogs([]*raft.Log{{Index: 2}}) },
		"cut":  func(l *Store) error { return l.DeleteRange(1, 2) },
		"read": func(l *Store) error { return l.GetLog(1, new(raft.Log)) },
	}
	for name, write := range writes {
		t.Run(name, func(t *testing.T) {
			reason := make(chan error, 10)
			log, err := Open(t.TempDir(), Options{Fatal: func(err error) { reason <- err }})
			must(t, err)
			must(t, log.StoreLog(&raft.Log{Index: 1}))
			must(t, log.Close()) // what comes now fails
			log.HoldFailures()
			returned := make(chan error, 1)
			go func() { returned <- write(log) }() // ends with the test process, as it does with the node
			<-log.Failed()
			<-reason
			select {
			case err := <-returned:
				t.Errorf("Raft hears of %v", err)
			case <-time.After(20 * time.Millisecond):
			}
		})
	}
}

// A disk that hangs ends the node, or a leader would stay in office that can't commit.
func TestLogHangs(t *testing.T) {
	reason := make(chan error, 10)
	log, err := Open(t.TempDir(), Options{Fatal: func(err error) { reason <- err }})
	must(t, err)
	defer log.Close()
	log.disk.stall = 10 * time.Millisecond
	release, ended := make(chan struct{}), make(chan error)
	go func() {
		ended <- log.disk.guard("writing the log", func() error {
			<-release
			return nil
		})
	}()
	if err := <-reason; !strings.Contains(err.Error(), "the disk does not answer: writing the log") {
		t.Errorf("the node hears of %v", err)
	}
	close(release)
	must(t, <-ended)
}

func TestEncode(t *testing.T) {
	for _, entry := range []raft.Log{
		{Index: 7, Term: 3, Type: raft.LogConfiguration, Data: []byte("data"), Extensions: []byte("more")},
		{Index: 8, Term: 1 << 40, Data: []byte("data")},
		{Index: 9, Extensions: []byte("more")},
		{Index: 10},
	} {
		var got raft.Log
		content := bytes.Join(encode(&entry).Parts, nil)
		if err := decode(entry.Index, content, &got); err != nil || !reflect.DeepEqual(got, entry) {
			t.Errorf("%+v became %+v, %v", entry, got, err)
		}
		for size := range headSize + len(entry.Extensions) {
			if err := decode(entry.Index, content[:size], &got); err == nil {
				t.Errorf("the first %d bytes of %+v are read as %+v", size, entry, got)
			}
		}
	}
}

// A file that was damaged, at any place, is refused or read as it was; it never takes the process
// down.
func TestDamagedLogFile(t *testing.T) {
	dir := t.TempDir()
	log := openTestLog(t, dir)
	const entries = 40
	for i := range uint64(entries) {
		must(t, log.StoreLog(&raft.Log{Index: i + 1, Type: raft.LogCommand, Data: bytes.Repeat([]byte{byte(i)}, 3000)}))
	}
	vote(t, log, 5, "n1")
	must(t, log.Close())
	for _, path := range []string{votesPath(Dir(dir)), segments(t, Dir(dir))[0]} {
		whole, err := os.ReadFile(path)
		must(t, err)
		whole = whole[:min(len(whole), (entries+4)*4096)]
		damages := map[string]func(rest []byte) []byte{
			"empty": func([]byte) []byte { return []byte("x") },
			"half":  func(file []byte) []byte { return file[:len(file)/2] },
			"heads": func(file []byte) []byte { clear(file[:8192]); return file },
		}
		for page := 2; page < len(whole)/4096; page += 3 {
			damages[fmt.Sprint("page ", page, " flipped")] = func(file []byte) []byte {
				for at := page * 4096; at < (page+1)*4096; at += 97 {
					file[at] ^= 0x10
				}
				return file
			}
			damages[fmt.Sprint("cut at page ", page)] = func(file []byte) []byte { return file[:page*4096] }
		}
		for name, damage := range damages {
			t.Run(filepath.Base(path)+" "+name, func(t *testing.T) {
				copied := t.TempDir()
				must(t, os.CopyFS(copied, os.DirFS(dir)))
				rel, err := filepath.Rel(dir, path)
				must(t, err)
				must(t, os.WriteFile(filepath.Join(copied, rel), damage(bytes.Clone(whole)), 0o600))
				log, err := Open(copied, Options{Fatal: func(err error) { t.Log("fatal:", err) }})
				if err != nil {
					if !strings.Contains(err.Error(), filepath.Join(copied, rel)) || !strings.Contains(err.Error(), "Move the whole data folder") {
						t.Errorf("%v does not name the file and what to do", err)
					}
					return
				}
				defer log.Close()
				if strings.HasSuffix(path, journal.Suffix) && !strings.HasPrefix(name, "page 4") {
					t.Error("it is opened as if nothing had happened")
				}
				for i := range uint64(entries) {
					var entry raft.Log
					if err := log.GetLog(i+1, &entry); err == nil && !bytes.Equal(entry.Data, bytes.Repeat([]byte{byte(i)}, 3000)) {
						t.Errorf("entry %d was read as something else", i+1)
					}
				}
			})
		}
	}
}

// A log of the format before the first release is refused, and named.
func TestOldLog(t *testing.T) {
	dir := t.TempDir()
	must(t, os.MkdirAll(Dir(dir), 0o700))
	path := filepath.Join(Dir(dir), "log.db")
	must(t, os.WriteFile(path, []byte("old"), 0o600))
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "Take a backup") {
		t.Errorf("got %v", err)
	}
}

// Errors of the disk say what to do, and others say no more than they know.
func TestRemedies(t *testing.T) {
	for err, want := range map[error]string{
		&os.PathError{Op: "write", Path: "/a", Err: syscall.ENOSPC}: "writing the log: write /a: no space left on device. Make room",
		os.NewSyscallError("fdatasync", syscall.EIO):                "writing the log: fdatasync: input/output error. The kernel's log",
		syscall.EROFS:          "Start the node again when the disk works",
		errors.New("too long"): "writing the log: too long",
	} {
		var fatal error
		w := newWatchdog(func(err error) { fatal = err })
		got := w.guard("writing the log", func() error { return err })
		if !errors.Is(got, err) || got.Error() != fatal.Error() || !strings.Contains(got.Error(), want) || (want == "writing the log: too long") != (got.Error() == want) {
			t.Errorf("%v: %v", err, got)
		}
	}
}
