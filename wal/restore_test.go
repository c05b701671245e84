package wal

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"hookwheel/systemtest/memdir"
	"hookwheel/webhook"
)

// The size that a snapshot promises is the size it has, also where values are in blob files.
func TestSnapshotSize(t *testing.T) {
	s := openTest(t, memdir.New(t))
	tolerate(t, "")
	b := batch{meta: meta{index: 1, term: 1}, was: func([]byte) ([]byte, bool, error) { return nil, false, nil }}
	for i, size := range []int{0, 1, 127, 128, minBlob - 1, minBlob, 1 << 14, 3 << 20, 40 << 20} {
		b.set(chunkKey(keyLog, goldenApp, idAt(uint64(i), 0)), bytes.Repeat([]byte{'v'}, size))
	}
	if err := b.commit(s.db); err != nil {
		t.Fatal(err)
	}
	s.snapshots.publish(meta{index: 1, term: 1})
	before := content(t, s) // compares the sizes
	other := openTest(t, memdir.New(t))
	if err := other.RestoreSnapshot(bytes.NewReader(before)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(content(t, other), before) {
		t.Error("the stores differ")
	}
	if err := errors.Join(s.Close(), other.Close()); err != nil {
		t.Fatal(err)
	}
}

// A damaged length allocates no more than what is there.
func TestDamagedLength(t *testing.T) {
	bad := append([]byte(snapshotMagic), 1, 'k')
	bad = append(binary.AppendUvarint(bad, maxRecord), "only this"...)
	set := func(_, _ []byte) error { return nil }
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := readRecords(bytes.NewReader(bad), set); !errors.Is(err, errBadSnapshot) {
		t.Errorf("got %v", err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 2<<20 {
		t.Errorf("%d KiB were allocated for a few bytes", grown>>10)
	}
}

// Keys that are out of order, or twice there, are no snapshot of ours.
func TestUnorderedSnapshot(t *testing.T) {
	for _, keys := range []string{"ba", "aa"} {
		data := []byte(snapshotMagic)
		for _, key := range keys {
			data = append(data, 1, byte(key), 0)
		}
		err := readRecords(bytes.NewReader(data), func(_, _ []byte) error { return nil })
		if !errors.Is(err, errBadSnapshot) {
			t.Errorf("%q: %v", keys, err)
		}
	}
}

// What is not known to be complete does not count: a disk that is too full ends a load with an
// error.
func TestRestoreNeedsRoom(t *testing.T) {
	from, _, _, _ := newWorld(t)
	db, _, err := openDatabase(from.config, memdir.New(t))
	if err != nil {
		t.Fatal(err)
	}
	full := errors.New("no room")
	err = readSnapshot(db, bytes.NewReader(content(t, from)), from.config.Logger, func() error { return full })
	if !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

// TestRestoreChild is not a test but what a process does that is to be killed.
func TestRestoreChild(t *testing.T) {
	dir, snapshot := os.Getenv("HOOKWHEEL_RESTORE_DIR"), os.Getenv("HOOKWHEEL_RESTORE_FROM")
	if dir == "" {
		t.Skip("only as a process of its own")
	}
	s, err := openFilled(dir)
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(snapshot)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stdout.WriteString("ready\n"); err != nil {
		t.Fatal(err)
	}
	if err := s.RestoreSnapshot(file); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stdout.WriteString("done\n"); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed
}

// restoreAndKill makes a process restore a snapshot, and kills it after that time. It reports
// whether the process was done, and how long that took.
func restoreAndKill(t *testing.T, dir, snapshot string, after time.Duration) (done bool, took time.Duration) {
	t.Helper()
	child := exec.Command(os.Args[0], "-test.run", "^TestRestoreChild$")
	child.Env = append(os.Environ(), "HOOKWHEEL_RESTORE_DIR="+dir, "HOOKWHEEL_RESTORE_FROM="+snapshot)
	output, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := child.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewReader(output) // two lines may come at once
	if line, err := said.ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the child says %q, %v", line, err)
	}
	begin := time.Now()
	kill := time.AfterFunc(after, func() { _ = child.Process.Kill() })
	line, _ := said.ReadString('\n') // or it is killed
	took = time.Since(begin)
	kill.Stop()
	_ = child.Process.Kill()
	_ = child.Wait() // says that it was killed
	return line == "done\n", took
}

// A node that is killed while it installs a state has either the old one or the new one afterwards,
// with no remains of the other.
func TestKillDuringRestore(t *testing.T) {
	rounds := 16
	if testing.Short() {
		rounds = 5
	}
	rnd, folder := seeded(t), memdir.New(t)
	var states [2][]byte
	var files [2]string
	for i := range states {
		s := openTest(t, memdir.New(t))
		w := NewWriter(direct{s, 1})
		app, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "n"}, false)
		if err != nil {
			t.Fatal(err)
		}
		for range 80 + i {
			payload := make([]byte, 200_000)
			rnd.Read(payload)
			applyList(t, s, appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "a", Payload: payload}))
		}
		states[i] = content(t, s)
		files[i] = filepath.Join(folder, string(rune('a'+i)))
		if err := errors.Join(os.WriteFile(files[i], states[i], 0o600), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
	dir := memdir.New(t)
	s := openTest(t, dir)
	if err := errors.Join(s.RestoreSnapshot(bytes.NewReader(states[0])), s.Close()); err != nil {
		t.Fatal(err)
	}
	now, full := 0, time.Minute
	var counts [2]int // killed before it counted, and after
	for round := range rounds {
		after := full
		if round > 0 {
			after = time.Duration(rnd.Int63n(int64(2 * full)))
		}
		done, took := restoreAndKill(t, dir, files[1-now], after)
		if round == 0 {
			full = took
		}
		s := openTest(t, dir)
		got := slices.IndexFunc(states[:], func(state []byte) bool { return bytes.Equal(state, content(t, s)) })
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		switch {
		case got < 0:
			t.Fatalf("round %d, killed after %s: the state is neither the old nor the new", round, after)
		case done && got == now:
			t.Fatalf("round %d: the state was taken over, and then it was not", round)
		case got == now:
			counts[0]++
		default:
			counts[1]++
		}
		now = got
		if folders := countFolders(t, dir); folders != 1 {
			t.Fatalf("round %d: %d Badger folders", round, folders)
		}
	}
	t.Logf("a load takes %s; old state after %d kills, new after %d", full, counts[0], counts[1])
}
