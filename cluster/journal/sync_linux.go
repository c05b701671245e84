package journal

import (
	"errors"
	"os"
	"syscall"
)

// syncData is fdatasync: the size of a segment does not change while it is written.
func syncData(f *os.File) error {
	for {
		err := syscall.Fdatasync(int(f.Fd()))
		if !errors.Is(err, syscall.EINTR) {
			return os.NewSyscallError("fdatasync", err)
		}
	}
}
