package journal

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"hookwheel/durable"
)

// fileSystem is what a Journal needs of a file system. Tests have another one, which fails.
type fileSystem interface {
	// list returns the names of the files in a folder, which it creates if necessary.
	list(dir string) ([]string, error)
	open(path string) (file, error)
	// create creates an empty file, or empties one.
	create(path string) (file, error)
	rename(from, to string) error
	remove(path string) error
	// syncDir makes what was created, renamed and removed in a folder durable.
	syncDir(dir string) error
}

type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// sync makes the content durable, and the size.
	sync() error
	size() (int64, error)
}

// osFiles is the file system of the operating system.
type osFiles struct {
	noSync bool // for tests that show that a loss of power is detected
}

func (osFiles) list(dir string) (names []string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := durable.SyncDir(filepath.Dir(dir)); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		if !entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	return names, err
}

func (o osFiles) open(path string) (file, error) { return o.openFile(path, os.O_RDWR) }

func (o osFiles) create(path string) (file, error) {
	return o.openFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}

func (o osFiles) openFile(path string, flags int) (file, error) {
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, err // not a nil *osFile
	}
	return &osFile{f, o.noSync}, nil
}

func (osFiles) rename(from, to string) error { return os.Rename(from, to) }

func (osFiles) remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (osFiles) syncDir(dir string) error { return durable.SyncDir(dir) }

type osFile struct {
	*os.File
	noSync bool
}

func (f *osFile) sync() error {
	if f.noSync {
		return nil
	}
	return syncData(f.File)
}

func (f *osFile) size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
