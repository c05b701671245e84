package cli

import (
	"errors"
	"os"
	"syscall"
)

// errLocked means that another process has locked a folder.
var errLocked = errors.New("another process has locked the folder")

// lockFolder locks a data folder for a command that changes it; errLocked: another one has. The
// lock ends with the process.
func lockFolder(dir string) (unlock func() error, err error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errLocked
	}
	if err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	return folder.Close, nil
}
