package wal

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

// lockPatience is how long Open waits for the folder's lock: a process that was killed keeps it
// until its memory maps are torn down.
const lockPatience = 10 * time.Second

// The store's folder holds one Badger folder, db-N, and the file CURRENT, which contains its name
// and a CRC-32C of the name. A snapshot from another node is loaded into db-N+1; it counts from the
// moment when a new CURRENT is renamed over the old one.
const (
	currentFile = "CURRENT"
	dbPrefix    = "db-"
)

// currentDir returns the current Badger folder, and removes what a crash left of others.
func currentDir(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return !strings.HasPrefix(e.Name(), dbPrefix) })
	name, err := readCurrent(dir)
	if errors.Is(err, fs.ErrNotExist) && len(entries) == 0 { // it is a new store
		name = dbPrefix + "1"
		err = setCurrent(dir, name)
	}
	if len(entries) > 0 && errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s is missing but %s is there", filepath.Join(dir, currentFile), entries[0].Name())
	}
	if err != nil {
		return "", damaged(dir, err)
	}
	if len(entries) > 0 && !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == name }) {
		return "", damaged(dir, fmt.Errorf("%s names %s, which is not there", filepath.Join(dir, currentFile), name))
	}
	for _, entry := range entries {
		if entry.Name() != name {
			if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
				return "", err
			}
		}
	}
	return filepath.Join(dir, name), nil
}

func readCurrent(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, currentFile))
	if err != nil {
		return "", err
	}
	name, sum, summed := strings.Cut(strings.TrimSpace(string(text)), " ") // at first there was no sum
	_, err = strconv.Atoi(strings.TrimPrefix(name, dbPrefix))
	if err != nil || !strings.HasPrefix(name, dbPrefix) || summed && sum != sumOfName(name) {
		return "", fmt.Errorf("%s does not name a store but %q", filepath.Join(dir, currentFile), text)
	}
	return name, nil
}

func sumOfName(name string) string {
	return fmt.Sprintf("%08x", crc32.Checksum([]byte(name), castagnoli))
}

// nextDir returns an empty folder for a store that may replace the current one.
func nextDir(dir string) (path, name string, err error) {
	current, err := readCurrent(dir)
	if err != nil {
		return "", "", err
	}
	number, err := strconv.Atoi(strings.TrimPrefix(current, dbPrefix))
	if err != nil {
		return "", "", err
	}
	name = dbPrefix + strconv.Itoa(number+1)
	path = filepath.Join(dir, name)
	return path, name, os.RemoveAll(path)
}

// setCurrent writes another name into CURRENT. After a crash it names the old folder or the new
// one.
func setCurrent(dir, name string) error {
	return durable.ReplaceFile(filepath.Join(dir, currentFile), []byte(name+" "+sumOfName(name)+"\n"))
}

// lockDir takes the lock that Badger takes on its folder, and releases it for Badger to take.
func lockDir(dir string, patience time.Duration) (unlock func() error, err error) {
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

// removeEmptyFiles removes files that would stop Badger, after a crash between creating a file and
// writing its header.
func removeEmptyFiles(dir string) error {
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
