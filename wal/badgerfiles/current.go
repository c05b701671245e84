package badgerfiles

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"hookwheel/durable"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The names in the store's folder.
const (
	CurrentFile = "CURRENT"
	Prefix      = "db-" // of Badger folders
)

// Current returns the current Badger folder, and removes what a crash left of others. It holds the
// lock of the current folder meanwhile, for which it waits: the process that has it may be loading
// another folder, which then becomes the current one. clean, if not nil, removes other leftovers
// while the lock is held.
func Current(dir string, patience time.Duration, clean func() error) (path string, err error) {
	for {
		name, others, err := choose(dir)
		if err != nil {
			return "", err
		}
		path = filepath.Join(dir, name)
		unlock, err := Lock(path, patience)
		if err == nil {
			var now string
			if now, err = CurrentName(dir); err == nil && now == name {
				err = removeAll(dir, others)
				if err == nil && clean != nil {
					err = clean()
				}
				return path, errors.Join(err, unlock())
			}
			err = errors.Join(err, unlock())
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // else the other process has moved on
			return "", err
		}
	}
}

// choose returns the name of the current Badger folder, which it makes if the store is new, and
// those of the others.
func choose(dir string) (name string, others []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", nil, err
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return !strings.HasPrefix(e.Name(), Prefix) })
	name, err = CurrentName(dir)
	if errors.Is(err, fs.ErrNotExist) && len(entries) == 0 { // it is a new store
		name = Prefix + "1"
		err = SetCurrent(dir, name)
	}
	if len(entries) > 0 && errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s is missing but %s is there", filepath.Join(dir, CurrentFile), entries[0].Name())
	}
	if err != nil {
		return "", nil, Damaged(dir, err)
	}
	for _, entry := range entries {
		if entry.Name() != name {
			others = append(others, entry.Name())
		}
	}
	if len(entries) > 0 && len(others) == len(entries) {
		return "", nil, Damaged(dir, fmt.Errorf("%s names %s, which is not there", filepath.Join(dir, CurrentFile), name))
	}
	return name, others, os.MkdirAll(filepath.Join(dir, name), 0o700)
}

func removeAll(dir string, names []string) error {
	for _, name := range names {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// CurrentName returns the name of the current Badger folder.
func CurrentName(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, CurrentFile))
	if err != nil {
		return "", err
	}
	name, sum, summed := strings.Cut(strings.TrimSpace(string(text)), " ") // at first there was no sum
	_, err = strconv.Atoi(strings.TrimPrefix(name, Prefix))
	if err != nil || !strings.HasPrefix(name, Prefix) || summed && sum != sumOfName(name) {
		return "", fmt.Errorf("%s does not name a store but %q", filepath.Join(dir, CurrentFile), text)
	}
	return name, nil
}

func sumOfName(name string) string {
	return fmt.Sprintf("%08x", crc32.Checksum([]byte(name), castagnoli))
}

// Next returns an empty folder for a store that may replace the current one.
func Next(dir string) (path, name string, err error) {
	current, err := CurrentName(dir)
	if err != nil {
		return "", "", err
	}
	number, err := strconv.Atoi(strings.TrimPrefix(current, Prefix))
	if err != nil {
		return "", "", err
	}
	name = Prefix + strconv.Itoa(number+1)
	path = filepath.Join(dir, name)
	return path, name, os.RemoveAll(path)
}

// SetCurrent writes another name into CURRENT. After a crash it names the old folder or the new
// one.
func SetCurrent(dir, name string) error {
	return durable.ReplaceFile(filepath.Join(dir, CurrentFile), []byte(name+" "+sumOfName(name)+"\n"))
}

// Lock takes the lock that Badger takes on its folder, and releases it for Badger to take.
func Lock(dir string, patience time.Duration) (unlock func() error, err error) {
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return folder.Close, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("locking %s, which another process may be using: %w", dir, err), folder.Close())
		}
	}
}

// RemoveEmpty removes files that would stop Badger, after a crash between creating a file and
// writing its header.
func RemoveEmpty(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || entry.IsDir() {
			return err
		}
		if ext := filepath.Ext(path); ext != ".mem" && ext != ".vlog" {
			return nil
		}
		info, err := entry.Info()
		if err != nil || info.Size() > 0 {
			return err
		}
		return os.Remove(path)
	})
}
