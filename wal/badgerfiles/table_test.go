package badgerfiles

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestTableUnderRemoval meets a table between the two steps in which Badger removes it: it is
// emptied, then deleted. While the store is in use that is not damage; before it is
// opened it is.
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
