package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// temporarySuffix marks a file that is to replace the one without it.
const temporarySuffix = ".tmp"

// ReplaceFile replaces the contents of a file, or creates it, readable for its owner only.
func ReplaceFile(path string, contents []byte) error {
	temporary := path + temporarySuffix
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := writeAndClose(file, contents); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return Rename(temporary, path)
}

// CreateFile creates a file, which must not exist yet.
func CreateFile(path string, contents []byte, mode fs.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if err := writeAndClose(file, contents); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return SyncDir(filepath.Dir(path))
}

func writeAndClose(file *os.File, contents []byte) error {
	_, err := file.Write(contents)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// Rename renames a file or a folder within one folder, and replaces a file of the new name. The
// contents of a file must have been synced before.
func Rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(to))
}

// SyncDir syncs a folder: which files it holds, under which names.
func SyncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Space returns how many bytes the file system of a file or folder has free for this process, and
// how large it is.
func Space(path string) (free, size int64, err error) {
	var stat unix.Statfs_t
	if err := unix.Statfs(path, &stat); err != nil {
		return 0, 0, fmt.Errorf("reading the free space of %s: %w", path, err)
	}
	return int64(stat.Bavail) * int64(stat.Bsize), int64(stat.Blocks) * int64(stat.Bsize), nil
}
