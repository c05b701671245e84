// Package memdir gives tests of stores folders in memory: a history with restarts syncs thousands
// of times. Tests of the disk itself use t.TempDir.
package memdir

import (
	"os"
	"syscall"
	"testing"
)

const (
	memory = "/dev/shm"
	room   = 2 << 30 // bytes that must be free there; in a container it is often small
)

// New returns a folder for the test, in memory if there is room for it. It is removed at the end.
func New(t testing.TB) string {
	t.Helper()
	var stat syscall.Statfs_t
	if syscall.Statfs(memory, &stat) != nil || stat.Bavail*uint64(stat.Bsize) < room {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(memory, "hookwheel-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
