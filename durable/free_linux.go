package durable

import (
	"os"

	"golang.org/x/sys/unix"
)

// Free gives the blocks of a part of a file back, which reads as zeros then, if the file system can
// do that.
func Free(file *os.File, offset, size int64) {
	_ = unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, offset, size)
}
