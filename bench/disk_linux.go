package bench

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// syncData is fdatasync, as a node uses it.
func syncData(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}

// inMemory reports whether a folder is in a file system that keeps all in memory.
func inMemory(folder string) bool {
	var stat unix.Statfs_t
	return unix.Statfs(folder, &stat) == nil && (stat.Type == unix.TMPFS_MAGIC || stat.Type == unix.RAMFS_MAGIC)
}
