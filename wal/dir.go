package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// The store's folder holds one Badger folder, db-N, and the file CURRENT, which names it. A snapshot from another node is
// loaded into db-N+1; renaming a new CURRENT over the old one is the moment when it counts.
const (
	currentFile = "CURRENT"
	dbPrefix    = "db-"
)

// currentDir is the Badger folder that counts. What a crash left of others is removed.
func currentDir(dir string) (string, error) {
	name, err := readCurrent(dir)
	if errors.Is(err, fs.ErrNotExist) {
		name = dbPrefix + "1"
		err = setCurrent(dir, name)
	}
	if err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), dbPrefix) && entry.Name() != name {
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
	name := strings.TrimSpace(string(text))
	if _, err := strconv.Atoi(strings.TrimPrefix(name, dbPrefix)); err != nil || !strings.HasPrefix(name, dbPrefix) {
		return "", fmt.Errorf("%s does not name a store but %q", filepath.Join(dir, currentFile), name)
	}
	return name, nil
}

// nextDir is an empty folder for a store that may follow the current one.
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

// setCurrent has CURRENT name another folder, durably: after a crash it names the old one or the new one.
func setCurrent(dir, name string) error {
	path := filepath.Join(dir, currentFile)
	file, err := os.Create(path + ".tmp")
	if err != nil {
		return err
	}
	_, err = file.WriteString(name + "\n")
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// removeEmptyFiles undoes what stops Badger after a crash between making a file and writing its header.
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
