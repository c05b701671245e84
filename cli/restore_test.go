package cli

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A restore that was cut short while it moved what it had built is begun again, as the node says
// that it should be. Nothing else is removed.
func TestRestoreAgain(t *testing.T) {
	data := t.TempDir()
	for _, folder := range []string{"restoring", "store", "raft"} {
		if err := os.Mkdir(filepath.Join(data, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	o := &restoreOptions{data: data, node: "n1"}
	restore := func() string {
		_, _, err := o.restore(strings.NewReader("not a backup"), io.Discard, func(int64, int64) {})
		if err == nil {
			t.Fatal("it was restored")
		}
		return err.Error()
	}
	if text := restore(); !strings.HasPrefix(text, "restoring: ") {
		t.Error(text)
	}
	if left, err := os.ReadDir(data); err != nil || len(left) != 0 {
		t.Errorf("%v is left, %v", left, err)
	}
	for _, entries := range [][]string{{"store"}, {"restoring", "other"}} {
		for _, entry := range entries {
			if err := os.Mkdir(filepath.Join(data, entry), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if text := restore(); !strings.Contains(text, "is not empty") {
			t.Error(text)
		}
		for _, entry := range entries {
			if err := os.Remove(filepath.Join(data, entry)); err != nil {
				t.Error(err)
			}
		}
	}
}

// A restore that fails leaves no folder that was not there before. One that is repeated after it
// was complete says so, rather than that something is in its way.
func TestRestoreLeavesNothing(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	o := &restoreOptions{data: data, node: "n1"}
	restore := func() string {
		_, _, err := o.restore(strings.NewReader("not a backup"), io.Discard, func(int64, int64) {})
		return err.Error()
	}
	if text := restore(); !strings.HasPrefix(text, "restoring: ") {
		t.Error(text)
	}
	if _, err := os.Stat(data); !os.IsNotExist(err) {
		t.Errorf("it left a folder: %v", err)
	}
	for _, folder := range []string{"restoring", "raft", "store", "node.json"} {
		if err := os.MkdirAll(filepath.Join(data, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if text := restore(); !strings.Contains(text, "it has the data of a node") {
		t.Error(text)
	}
	if left, err := os.ReadDir(data); err != nil || len(left) != 4 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// A restore is refused while another one writes to the same folder, and does it no harm.
func TestRestoreBesideAnother(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	restore := func(backup io.Reader) error {
		_, _, err := (&restoreOptions{data: data, node: "n1"}).restore(backup, io.Discard, func(int64, int64) {})
		return err
	}
	source, backup := io.Pipe()
	first := make(chan error)
	go func() { first <- restore(source) }()
	if _, err := backup.Write([]byte("n")); err != nil { // returns when the first one reads
		t.Fatal(err)
	}
	if err := restore(strings.NewReader("not a backup")); err == nil || !strings.Contains(err.Error(), "another command restores to") {
		t.Error(err)
	}
	if left, err := os.ReadDir(data); err != nil || len(left) != 1 || left[0].Name() != "restoring" {
		t.Errorf("%v is left, %v", left, err)
	}
	if err := backup.Close(); err != nil {
		t.Error(err)
	}
	if err := <-first; err == nil || !strings.HasPrefix(err.Error(), "restoring: ") {
		t.Error(err)
	}
}
