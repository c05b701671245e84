package raftlog

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"hookwheel/cluster/journal"
)

// TestScrubFindsDamage damages an entry on the disk that nobody reads any more.
func TestScrubFindsDamage(t *testing.T) {
	failed := make(chan error, 1)
	log, err := Open(t.TempDir(), Options{Fatal: func(err error) { failed <- err }})
	must(t, err)
	defer log.Close()
	for i := range uint64(50) {
		must(t, log.StoreLog(&raft.Log{Index: i + 1, Data: fmt.Appendf(nil, "the data of entry %d", i+1)}))
	}
	if !NewScrubber(log).pass(t.Context(), time.Millisecond) {
		t.Fatal("a log that is well is not")
	}
	damageEntry(t, log, 47)
	if NewScrubber(log).pass(t.Context(), time.Millisecond) {
		t.Fatal("the damage was not found")
	}
	if err := <-failed; !errors.Is(err, journal.ErrDamaged) || !strings.Contains(err.Error(), logDir(log.dir)) {
		t.Errorf("%v does not name the damaged file", err)
	}
}

// damageEntry changes a byte of the data of an entry.
func damageEntry(t *testing.T, log *Store, index uint64) {
	t.Helper()
	entry := new(raft.Log)
	must(t, log.GetLog(index, entry))
	for _, path := range segments(t, log.dir) {
		file, err := os.OpenFile(path, os.O_RDWR, 0)
		must(t, err)
		defer file.Close()
		whole, err := os.ReadFile(path)
		must(t, err)
		if at := bytes.Index(whole, entry.Data); at >= 0 {
			must(t, second(file.WriteAt([]byte{whole[at] ^ 1}, int64(at))))
			return
		}
	}
	t.Fatalf("entry %d is in no file", index)
}

// segments returns the files with the entries.
func segments(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(logDir(dir), "*"+journal.Suffix))
	must(t, err)
	return files
}
