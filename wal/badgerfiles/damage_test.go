package badgerfiles

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"github.com/dgraph-io/badger/v4/y"
)

// The error of a disk is not taken for damage, of which the advice is to move the folder away,
// whether Badger wraps it or not.
func TestDiskErrorIsNoDamage(t *testing.T) {
	for _, cause := range DiskErrors {
		err := &fs.PathError{Op: "open", Path: "00001.mem", Err: cause}
		for _, said := range []error{err, y.Wrapf(err, "While opening memtable"), fmt.Errorf("Cannot write pid file %q: %v", "LOCK", err)} {
			if found := Damaged("db-1", said); !errors.Is(found, said) || errors.Is(found, ErrDamaged) {
				t.Errorf("%v became %v", said, found)
			}
		}
	}
	if err := Damaged("db-1", errors.New("MANIFEST has bad magic")); !errors.Is(err, ErrDamaged) {
		t.Error(err)
	}
}
