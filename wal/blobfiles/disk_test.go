package blobfiles

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// reopened opens the newest file of f again, so that it can only be read or only be written: a disk
// that fails.
func reopened(t *testing.T, f *Files, flag int) {
	t.Helper()
	file := f.files[f.end.File]
	other, err := os.OpenFile(file.Name(), flag, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	file.File = other
}

// TestFailedWrite: a write that fails is an error, and not taken for damage by those that read the
// file meanwhile. A start finds what was there before.
func TestFailedWrite(t *testing.T) {
	for name, size := range map[string]int{"at the end": 1000, "in between": 2 * bufferSize} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f := open(t, dir, End{})
			list := add(t, f, 2, 1000)
			end := synced(t, f)
			reopened(t, f, os.O_RDONLY)
			ref, err := f.Add([]byte("key"), make([]byte, size))
			if err == nil {
				_, err = f.Sync()
			}
			if err == nil || errors.Is(err, ErrDamaged) {
				t.Fatalf("a write that fails ends with %v", err)
			}
			walked := 0
			next, err := f.Walk(1, 0, func(Ref, []byte, []byte) error { walked++; return nil })
			if err != nil || walked != len(list) || next != int64(end.Size) {
				t.Errorf("%d values are walked over, to %d: %v", walked, next, err)
			}
			if _, err := f.Read(ref, []byte("key"), nil); err == nil {
				t.Error("a value is read that was not written")
			}
			wantValues(t, f, list)
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			f = open(t, dir, end)
			wantValues(t, f, append(list, add(t, f, 0, 0)...))
		})
	}
}

// TestFailedRead: a disk that does not give a value is no damage, and the error says where it is.
func TestFailedRead(t *testing.T) {
	f := open(t, t.TempDir(), End{})
	list := add(t, f, 2, 1000)
	synced(t, f)
	reopened(t, f, os.O_WRONLY)
	_, readErr := f.Read(list[1].ref, list[1].key, nil)
	_, walkErr := f.Walk(1, int64(list[1].ref.Offset), func(Ref, []byte, []byte) error { return nil })
	for _, err := range []error{readErr, walkErr} {
		if err == nil || errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "00000001.blob") || !strings.Contains(err.Error(), "byte 1015") {
			t.Errorf("the error is %v", err)
		}
	}
}

// TestOtherFiles: files that are not ours are left alone, whatever they are called.
func TestOtherFiles(t *testing.T) {
	dir := t.TempDir()
	names := []string{"00000000.blob", "1.blob", "000000001.blob", "00000001.blob.old", "-0000001.blob", "note"}
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("content"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	f := open(t, dir, End{})
	list := add(t, f, 1, 1000)
	end := synced(t, f)
	if end.File != 1 {
		t.Errorf("the first file has number %d", end.File)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f = open(t, dir, end)
	wantValues(t, f, list)
	f.Free(list[0].ref, len(list[0].key))
	if err := f.RemoveUnused(); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(text) != "content" {
			t.Errorf("%s has %q: %v", name, text, err)
		}
	}
}

// TestImpossibleRef: a reference to more than a file has costs no memory.
func TestImpossibleRef(t *testing.T) {
	f := open(t, t.TempDir(), End{})
	list := add(t, f, 1, 1000)
	synced(t, f)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := f.Read(Ref{File: 1, Size: 1 << 31}, list[0].key, nil)
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, ErrDamaged) || used > 1<<20 {
		t.Errorf("%d bytes were allocated: %v", used, err)
	}
}

// TestEmptiestMayBeNewest: the newest file is given up when it is the emptiest.
func TestEmptiestMayBeNewest(t *testing.T) {
	f := open(t, t.TempDir(), End{})
	list := add(t, f, 10, 1<<20)
	synced(t, f)
	if number, _ := f.Emptiest(); number != 0 {
		t.Errorf("file %d is the emptiest, though it is full", number)
	}
	for _, a := range list[1:] {
		f.Free(a.ref, len(a.key))
	}
	if number, live := f.Emptiest(); number != 1 || live > 2<<20 {
		t.Errorf("file %d is the emptiest, with %d bytes", number, live)
	}
	more := add(t, f, 1, 1000)
	synced(t, f)
	if more[0].ref.File != 2 {
		t.Errorf("a value is added to file %d", more[0].ref.File)
	}
	wantValues(t, f, append(more, list[0]))
}
