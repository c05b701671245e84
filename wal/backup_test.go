package wal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"hookwheel/systemtest/memdir"
	"hookwheel/webhook"
)

// backupOf is a backup of a store that has some of everything.
func backupOf(t *testing.T, s *Store) []byte {
	t.Helper()
	size, stream, err := s.OpenBackup(t.Context(), BackupHeader{Cluster: "c0ffee", Node: "n1", Version: "dev"})
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(stream)
	if err := errors.Join(err, stream.Close()); err != nil {
		t.Fatal(err)
	}
	if int64(len(data)) != size {
		t.Errorf("the backup has %d bytes and promised %d", len(data), size)
	}
	return data
}

// scriptedStore has applied a long random history.
func scriptedStore(t *testing.T, entries int) *Store {
	t.Helper()
	s := closing(t, openTest(t, memdir.New(t)))
	script := newScript(t, seeded(t).Int63(), entries)
	for i := range script.entries {
		applyEntry(t, s, script.entries, i)
	}
	return s
}

// A store that is made of a backup is the one that was backed up.
func TestBackup(t *testing.T) {
	from := scriptedStore(t, 100)
	backup := backupOf(t, from)
	var told, total int64
	dir := filepath.Join(memdir.New(t), "data", "store")
	if err := os.Mkdir(filepath.Dir(dir), 0o700); err != nil {
		t.Fatal(err)
	}
	header, err := Restore(dir, bytes.NewReader(backup), RestoreOptions{Progress: func(done, of int64) { told, total = done, of }})
	if err != nil {
		t.Fatal(err)
	}
	state := from.State()
	if header.Cluster != "c0ffee" || header.Node != "n1" || header.Version != "dev" || header.Index != state.Index || header.Term != state.Term ||
		header.Made.IsZero() || header.Clock.UnixMilli() < testClock {
		t.Errorf("header %+v, state %+v", header, state)
	}
	if told != total || total != header.Bytes {
		t.Errorf("told of %d of %d bytes, there are %d", told, total, header.Bytes)
	}
	if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) != 1 {
		t.Errorf("found beside the store: %v, %v", left, err)
	}
	to := closing(t, openTest(t, dir))
	if !bytes.Equal(content(t, to), content(t, from)) {
		t.Error("the stores differ")
	}
	if _, err := VerifyBackup(bytes.NewReader(backup), nil); err != nil {
		t.Error(err)
	}
}

// Wherever a backup is cut or changed, it is refused and nothing is left.
func TestBadBackup(t *testing.T) {
	from := scriptedStore(t, 20)
	good := backupOf(t, from)
	rnd := seeded(t)
	end := bytes.IndexByte(good[bytes.IndexByte(good, '\n')+1:], '\n') + bytes.IndexByte(good, '\n') + 2
	places := []int{0, 3, 17, 18, 20, end - 1, end, end + 4, len(good) - 33, len(good) - 32, len(good) - 1}
	for range 10 {
		places = append(places, rnd.Intn(len(good)))
	}
	parent := memdir.New(t)
	refused := func(what string, bad []byte, want string) {
		t.Helper()
		_, err := Restore(filepath.Join(parent, "store"), bytes.NewReader(bad), RestoreOptions{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
		if _, err := VerifyBackup(bytes.NewReader(bad), nil); err == nil {
			t.Errorf("%s is verified", what)
		}
		if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
			t.Fatalf("%s leaves %v, %v", what, left, err)
		}
	}
	for _, at := range places {
		refused("cut", good[:at], "backup")
		bad := bytes.Clone(good)
		bad[at] ^= 1 << rnd.Intn(8)
		refused("flipped", bad, "")
	}
	refused("longer", append(bytes.Clone(good), 'x'), "something follows the end")
	refused("newer", bytes.Replace(good, []byte("backup 1\n"), []byte("backup 2\n"), 1), "made by a newer version of Hookwheel")
	refused("something else", []byte("PK\x03\x04 and so on"), "not a backup of Hookwheel")
	refused("nothing", nil, "not a backup of Hookwheel")
}

// A connection that breaks is named as the cause, although its error wraps that of an end.
func TestBackupBrokenConnection(t *testing.T) {
	good := backupOf(t, scriptedStore(t, 5))
	broken := fmt.Errorf("the download: %w", io.ErrUnexpectedEOF)
	for _, size := range []int{3, 30, len(good) / 2, len(good) - 1} {
		if _, err := VerifyBackup(io.MultiReader(bytes.NewReader(good[:size]), iotest.ErrReader(broken)), nil); !errors.Is(err, broken) {
			t.Errorf("after %d of %d bytes: %v", size, len(good), err)
		}
	}
}

// Nothing is overwritten.
func TestRestoreIntoUsedFolder(t *testing.T) {
	from, _, _, _ := newWorld(t)
	backup := backupOf(t, from)
	dir := memdir.New(t)
	file := filepath.Join(dir, "precious")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(dir, bytes.NewReader(backup), RestoreOptions{}); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("restored into a folder that is not empty: %v", err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "x" {
		t.Errorf("the file that was there: %q, %v", text, err)
	}
}

// A backup that is being read does not delay closing or replacing the store.
func TestSlowReader(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *Store) error{
		"close": func(_ *testing.T, s *Store) error { return s.Close() },
		"replace": func(t *testing.T, s *Store) error {
			other, _, _, _ := newWorld(t)
			return errors.Join(s.RestoreSnapshot(bytes.NewReader(content(t, other))), s.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := openTest(t, memdir.New(t))
			w := NewWriter(direct{s, 1})
			app, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "n"}, false)
			if err != nil {
				t.Fatal(err)
			}
			for range 20 {
				applyList(t, s, appendCreateMessage(nil, &webhook.Message{App: app.ID, EventType: "a", Payload: make([]byte, 100_000)}))
			}
			_, stream, err := s.OpenBackup(t.Context(), BackupHeader{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Read(make([]byte, 1000)); err != nil {
				t.Fatal(err)
			}
			if err := end(t, s); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, stream); !errors.Is(err, errEnded) {
				t.Errorf("the reader got %v", err)
			}
			if err := stream.Close(); err != nil {
				t.Error(err)
			}
			if _, _, err := s.OpenBackup(t.Context(), BackupHeader{}); name == "close" && err == nil {
				t.Error("a backup of a closed store began")
			}
		})
	}
}
