package wal

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/wal/badgerfiles"
	"hookwheel/wal/blobfiles"
	"hookwheel/webhook"
)

// TestEndIsNotKnown loses the entry that says where the blob files end, or its newest version, as a
// damaged block of Badger's does. The store is not opened, and no value is cut off.
func TestEndIsNotKnown(t *testing.T) {
	for name, change := range map[string]func(txn *badger.Txn) error{
		"no end":  func(txn *badger.Txn) error { return txn.Delete(endKey) },
		"old end": func(txn *badger.Txn) error { return txn.Set(metaKey, (&meta{index: 99, term: 1}).encode()) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := uncheckedDir(t)
			s := openTest(t, dir)
			w := NewWriter(direct{s, 1})
			app, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "n"}, false)
			if err != nil {
				t.Fatal(err)
			}
			m := &webhook.Message{App: app.ID, EventType: "a", Payload: make([]byte, 5000)}
			if _, err := w.CreateMessage(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			if err := s.Commit(); err != nil {
				t.Fatal(err)
			}
			size, _ := s.db.blobs.Usage()
			txn := s.db.NewTransactionAt(99, true)
			if err := errors.Join(change(txn), txn.CommitAt(99, nil), s.Close()); err != nil {
				t.Fatal(err)
			}
			if _, err := openFilled(dir); !errors.Is(err, blobfiles.ErrDamaged) {
				t.Fatalf("the store is opened with %v", err)
			}
			if _, err := openFilled(dir); !errors.Is(err, badgerfiles.ErrDamaged) || !strings.Contains(err.Error(), "as was found before: ") {
				t.Fatalf("then it is opened with %v", err)
			}
			info, err := os.Stat(filepath.Join(dir, "db-1", blobFolder, "00000001.blob"))
			if err != nil || info.Size() != size {
				t.Errorf("the file has changed: %v", err)
			}
		})
	}
}

// TestUnreadableIsNotMarked: a disk that does not give a file when all are verified ends the node,
// but the next start tries again. Damage does not go away, so no start uses the store any more.
func TestUnreadableIsNotMarked(t *testing.T) {
	for name, test := range map[string]struct {
		err    error
		marked bool
	}{
		"unreadable": {&os.PathError{Op: "read", Path: "00000001.blob", Err: syscall.EIO}, false},
		"damaged":    {blobfiles.ErrDamaged, true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := uncheckedDir(t)
			var told error
			s, err := Open(Config{Dir: dir, MinFree: 1, Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { told = err }})
			if err != nil {
				t.Fatal(err)
			}
			(&verifier{s, s.db}).giveUp(badgerfiles.Damaged(s.db.Opts().Dir, test.err))
			if !errors.Is(told, test.err) {
				t.Errorf("the node ends with %v", told)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s, err = openFilled(dir)
			if marked := errors.Is(err, badgerfiles.ErrDamaged); marked != test.marked {
				t.Fatalf("the next start: %v", err)
			}
			if err == nil {
				err = s.Close()
			}
			if !test.marked && err != nil {
				t.Error(err)
			}
		})
	}
}

// TestLostBlobFiles loses a blob file, or its end, with values in use. The first start may not see
// that, but soon it does; then no other start uses the store, and each says what is wrong.
func TestLostBlobFiles(t *testing.T) {
	whole := uncheckedDir(t)
	s := openTest(t, whole)
	w := NewWriter(direct{s, 1})
	app, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "n"}, false)
	if err != nil {
		t.Fatal(err)
	}
	createLarge(t, w, app.ID, 70, 1<<20) // two files
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		file string
		lose func(path string) error
	}{
		"first":         {"00000001.blob", os.Remove},
		"newest":        {"00000002.blob", os.Remove},
		"end of first":  {"00000001.blob", func(path string) error { return os.Truncate(path, 50<<20) }},
		"end of newest": {"00000002.blob", func(path string) error { return os.Truncate(path, 1<<20) }},
		"first is newest": {"00000001.blob", func(path string) error {
			return errors.Join(os.Remove(path), os.Link(filepath.Join(filepath.Dir(path), "00000002.blob"), path))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := uncheckedDir(t)
			if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			if err := test.lose(filepath.Join(dir, "db-1", blobFolder, test.file)); err != nil {
				t.Fatal(err)
			}
			isTold := func(err error) bool {
				return errors.Is(err, badgerfiles.ErrDamaged) && strings.Contains(err.Error(), test.file)
			}
			report, err := Check(dir, CheckOptions{})
			if err == nil {
				err = report.Err()
			}
			if err == nil || !strings.Contains(err.Error(), test.file) {
				t.Errorf("the checker says %v", err)
			}
			s, err := Open(Config{Dir: dir, MinFree: 1, Logger: slog.New(slog.DiscardHandler), Fatal: func(error) {}})
			if err == nil {
				if err := (&reclaimer{store: s}).tidyBlobs(); !isTold(err) {
					t.Errorf("it is found that %v", err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				_, err = openFilled(dir)
			}
			if !isTold(err) {
				t.Errorf("the next start: %v", err)
			}
		})
	}
}
