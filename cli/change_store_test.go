//go:build unix

package cli

import (
	"bytes"
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"hookwheel/wal"
)

// TestChangeStoreOnFailingDisk has Badger fail to write a table, which it then tries for ever.
func TestChangeStoreOnFailingDisk(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	restore := func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			t.Error(err)
		}
	}
	defer restore()
	var log bytes.Buffer
	over := make(chan error, 1)
	go func() {
		over <- changeStore(wal.Config{Dir: t.TempDir(), MinFree: 1, Logger: quietLogger(&log)}, func(s *wal.Store) error {
			if err := errors.Join(s.Configure(1, 1, nil), s.Commit()); err != nil {
				return err
			}
			return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 3, Max: limit.Max}) // no file can be opened
		})
	}()
	select {
	case err := <-over:
		if err == nil || !strings.Contains(err.Error(), syscall.EMFILE.Error()) {
			t.Errorf("%v, %s", err, &log)
		}
	case <-time.After(20 * time.Second):
		t.Error("it waits for Badger")
	}
}
