package wal

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hookwheel/systemtest/wait"
	"hookwheel/wal/badgerfiles"
	"hookwheel/webhook"
)

// What a removed application leaves goes with entries that do nothing else, and its space is given
// back without any more being written.
func TestSpaceOfWhatIsRemoved(t *testing.T) {
	s, w, app, _ := newWorld(t)
	removeLarge(t, s, w, app.ID)
	wait.For(t, "the reclaimer to give the space back", func() bool {
		s.space.measure()
		return s.space.Used() <= 8<<20
	})
} // the cleanup checks the store

// While new events are refused for want of room, space is given back although other things are
// written.
func TestSpaceWhenShort(t *testing.T) {
	s, w, app, _ := newWorld(t)
	setMinFree(s, 1<<62)
	removeLarge(t, s, w, app.ID)
	wait.For(t, "the reclaimer to give the space back", func() bool {
		if _, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "a"}, false); err != nil {
			t.Fatal(err)
		}
		s.space.measure()
		return s.space.Used() <= 16<<20
	})
}

// setMinFree changes the free space that the store keeps.
func setMinFree(s *Store, size int64) {
	s.swap.Lock() // the reclaimer reads it
	defer s.swap.Unlock()
	s.space.disk.minFree = size
}

// setMaxSize changes the size that records may take.
func setMaxSize(s *Store, size int64) {
	s.swap.Lock() // the reclaimer reads it
	defer s.swap.Unlock()
	s.space.maxSize = size
}

// removeLarge fills the log of an application and removes both.
func removeLarge(t *testing.T, s *Store, w *Writer, app webhook.ID) {
	t.Helper()
	const count, size = 80, 500 << 10
	for range count {
		m := &webhook.Message{App: app, EventType: "a", Payload: make([]byte, size)}
		if _, err := w.CreateMessage(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Commit(); err != nil {
		t.Fatal(err)
	}
	s.space.measure()
	if s.space.Size() < count*size || s.space.Used() < count*size {
		t.Fatalf("the records take %d bytes, the folder %d", s.space.Size(), s.space.Used())
	}
	if err := w.DeleteApplication(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		more, err := NewCleaner(s, w).Sweep(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			break
		}
	}
	if s.space.Size() > 1<<20 {
		t.Errorf("after the removal the records take %d bytes", s.space.Size())
	}
}

// A store does not try to hold more than its disk has room for.
func TestMaxSizeOfSmallDisk(t *testing.T) {
	s, err := Open(Config{Dir: t.TempDir(), MaxSize: 1 << 62, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if size := s.space.MaxSize(); size > s.space.disk.size/2 || size < s.space.disk.size/3 {
		t.Errorf("of a disk of %d bytes records may take %d", s.space.disk.size, size)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Each table and each blob file takes a descriptor, which the node must reserve.
func TestFilesTakeDescriptors(t *testing.T) {
	s, w, app, _ := newWorld(t)
	if _, err := w.CreateMessage(t.Context(), &webhook.Message{App: app.ID, EventType: "a", Payload: make([]byte, minBlob)}); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := (&reclaimer{store: s}).rotateMemtable(); err != nil {
			t.Fatal(err)
		}
	}
	s.space.seeTables(s.db)
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	tables, blobs := 0, 0
	for _, fd := range open {
		path, err := os.Readlink(filepath.Join("/proc/self/fd", fd.Name()))
		switch dir := s.db.Opts().Dir; {
		case err != nil:
		case filepath.Dir(path) == dir && filepath.Ext(path) == ".sst":
			tables++
		case filepath.Dir(path) == filepath.Join(dir, blobFolder):
			blobs++
		}
	}
	if tables != 2 || blobs != 1 || s.space.Descriptors() != 2*2+1 {
		t.Errorf("%d tables and %d blob files are open, and need %d descriptors", tables, blobs, s.space.Descriptors())
	}
}

// An entry is not needed to have nothing swept.
func TestSweepOfNothing(t *testing.T) {
	s, w, _, _ := newWorld(t)
	before := s.Applied()
	if !admitted(t, s, mustEncode(t, kindSweep, sweep{sweepPerEntry})) {
		t.Error("the leader refuses its own command")
	}
	if more, err := NewCleaner(s, w).Sweep(t.Context()); more || err != nil || s.Applied() != before {
		t.Errorf("there is more: %t, %v, %d entries", more, err, s.Applied()-before)
	}
}

// Empty files, which a crash leaves and a start removes, are no damage to a check either.
func TestCheckAfterCrash(t *testing.T) {
	for _, name := range []string{"00099.mem", "000099.vlog", "00001.mem"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := openTest(t, dir)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			current, err := badgerfiles.CurrentName(dir)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, current, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			report, err := Check(dir, CheckOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if err := report.Err(); err != nil {
				t.Error(err)
			}
			closing(t, openTest(t, dir))
		})
	}
}

// What Badger only logs of a disk that fails ends the node.
func TestBadgerDiskErrorIsFatal(t *testing.T) {
	var reason error
	config := Config{Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { reason = err }}
	log := config.badgerLog()
	log.Warningf("While running doCompact: %v\n", errors.New("something else"))
	if reason != nil {
		t.Errorf("the node ends for %v", reason)
	}
	for _, cause := range badgerfiles.DiskErrors {
		for name, say := range map[string]func(string, ...any){"error": log.Errorf, "warning": log.Warningf} {
			reason = nil
			say("Error while curlf sync: %v\n", &fs.PathError{Op: "sync", Path: "1.vlog", Err: cause})
			if reason == nil || !strings.Contains(reason.Error(), cause.Error()) || strings.Contains(reason.Error(), "\n") {
				t.Errorf("%s of %v: the node hears of %v", name, cause, reason)
			}
		}
	}
}

// A commit for which the disk has no room fails before Badger writes, and says why.
func TestCommitWithoutRoom(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=96m"); err != nil {
		t.Skipf("mounting a small file system: %v; this test needs root", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	reasons := make(chan error, 100)
	s, err := Open(Config{Dir: filepath.Join(dir, "store"), MinFree: 1, Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { reasons <- err }})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "ballast"), make([]byte, 75<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Apply(1, 1, testClock, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(); err == nil || !strings.Contains(err.Error(), "make room") {
		t.Errorf("the commit says %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "ballast")); err != nil {
		t.Fatal(err)
	}
	_ = s.Close() // says the same
}

// lateReader calls before when it is first read.
type lateReader struct {
	io.Reader
	before func()
}

func (r *lateReader) Read(data []byte) (int, error) {
	if r.before != nil {
		r.before()
		r.before = nil
	}
	return r.Reader.Read(data)
}

// TestRestoreWhileReclaiming: space is reclaimed while a state arrives from another node. Neither
// waits for the other for ever.
func TestRestoreWhileReclaiming(t *testing.T) {
	from, _, _, _ := newWorld(t)
	snapshot := content(t, from)
	s := openTest(t, t.TempDir())
	if _, err := s.Apply(1, 1, testClock, nil); err != nil { // there is something to commit
		t.Fatal(err)
	}
	garbage := filepath.Join(s.db.Opts().Dir, "garbage")
	if err := os.WriteFile(garbage, make([]byte, 2*idleGarbage), 0o600); err != nil {
		t.Fatal(err)
	}
	reclaimed, restored := make(chan error, 1), make(chan error, 1)
	start := func() {
		r := &reclaimer{store: s, applied: s.Applied()}
		go func() { reclaimed <- r.reclaimIfDue() }()
		time.Sleep(200 * time.Millisecond) // it has to come as far as it can
	}
	go func() { restored <- s.RestoreSnapshot(&lateReader{bytes.NewReader(snapshot), start}) }()
	for what, done := range map[string]chan error{"reclaiming": reclaimed, "restoring": restored} {
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s does not end", what)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
