package wal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"time"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/wal/badgerfiles"
)

// verifyRate is how many bytes of tables per second the verification after a start reads at most.
const verifyRate = 512 << 20

// guard turns damage into an error with advice, whether Badger returns an error or panics.
func (s *Store) guard(db *badger.DB, read func() error) (err error) {
	dir := db.Opts().Dir
	defer func() {
		if fault := recover(); fault != nil {
			if stack := debug.Stack(); !bytes.Contains(stack, []byte("badger/v4/table.")) {
				panic(fault)
			}
			err = badgerfiles.Damaged(dir, fmt.Errorf("%v", fault))
		}
		if errors.Is(err, badgerfiles.ErrDamaged) {
			s.config.Fatal(err) // there may be further damage, which Badger does not report
		}
	}()
	if err = read(); badgerfiles.IsDamage(err) {
		err = badgerfiles.Damaged(dir, err)
	}
	return err
}

// giveUp keeps a damaged store from being used, by this process and by the next one.
func (s *Store) giveUp(dir string, err error) {
	s.config.Fatal(errors.Join(err, badgerfiles.Mark(dir, err)))
}

// verifyTables reads all tables once after a start. Tables that are gone by then were read by a
// compaction, which drops what is damaged. So verification begins with the levels that are
// compacted most.
func (s *Store) verifyTables(db *badger.DB, paths []string) {
	begin, done := time.Now(), int64(0)
	pause := func(bytes int) error {
		done += int64(bytes)
		ahead := time.Duration(float64(done)/verifyRate*float64(time.Second)) - time.Since(begin)
		select {
		case <-s.closed:
			return badgerfiles.ErrStopped
		case <-time.After(ahead):
		}
		if !s.isOpen(db) {
			return badgerfiles.ErrStopped
		}
		return nil
	}
	for _, path := range paths {
		err := badgerfiles.VerifyTable(path, pause)
		switch {
		case errors.Is(err, badgerfiles.ErrStopped) || !s.isOpen(db):
			return
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			s.giveUp(db.Opts().Dir, badgerfiles.Damaged(db.Opts().Dir, err))
			return
		}
	}
	s.config.Logger.Debug("all tables of the store are whole", "MiB", done>>20, "after", time.Since(begin).String())
}

// isOpen reports whether db is still the store.
func (s *Store) isOpen(db *badger.DB) bool {
	s.swap.RLock()
	defer s.swap.RUnlock()
	return s.db == db
}
