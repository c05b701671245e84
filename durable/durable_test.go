package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// wantFile fails the test unless the folder of path holds that file alone, with these contents.
func wantFile(t *testing.T, path, contents string, mode fs.FileMode) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil || string(text) != contents {
		t.Errorf("the file holds %q, %v; want %q", text, err, contents)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
		t.Errorf("mode %v, %v; want %v", info.Mode(), err, mode)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("the folder holds %v, %v; want the file alone", entries, err)
	}
}

func TestReplaceFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.json")
	for _, contents := range []string{"a longer text", "short", ""} {
		if err := ReplaceFile(path, []byte(contents)); err != nil {
			t.Fatal(err)
		}
		wantFile(t, path, contents, 0o600)
	}
}

// TestReplaceFileAfterCrash finds the temporary file of a crash, longer than what is written now.
func TestReplaceFileAfterCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.json")
	if err := os.WriteFile(path+temporarySuffix, []byte("half of a longer te"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := ReplaceFile(path, []byte("whole")); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "whole", 0o600)
}

// TestReplaceFileKeepsOld fails in each step and finds the old contents.
func TestReplaceFileKeepsOld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := ReplaceFile(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path+temporarySuffix, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := ReplaceFile(path, []byte("new")); err == nil {
		t.Error("no error, although the temporary file could not be created")
	}
	if err := os.Remove(path + temporarySuffix); err != nil {
		t.Fatal(err)
	}
	wantFile(t, path, "old", 0o600)
	if err := Rename(path+".missing", path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("renaming a missing file: %v", err)
	}
	wantFile(t, path, "old", 0o600)
}

func TestCreateFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.crt")
	if err := CreateFile(path, []byte("first"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := CreateFile(path, []byte("second"), 0o644); !errors.Is(err, fs.ErrExist) {
		t.Errorf("creating it again: %v", err)
	}
	wantFile(t, path, "first", 0o644)
}

func TestSyncDirReportsErrors(t *testing.T) {
	if err := SyncDir(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing folder: %v", err)
	}
}
