package badgerfiles

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestTableUnderRemoval meets a table between the two steps in which Badger removes it: it is
// emptied, then deleted. That is no damage while the store is in use, and one before.
func TestTableUnderRemoval(t *testing.T) {
	path := filepath.Join(t.TempDir(), "000001.sst")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := checkTable(path, true, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("while the store is in use: %v", err)
	}
	if err := checkTable(path, false, nil); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before a start: %v", err)
	}
}
