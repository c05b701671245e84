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
func (r *Reader) guard(db *badger.DB, read func() error) (err error) {
	dir := db.Opts().Dir
	defer func() {
		if fault := recover(); fault != nil {
			if stack := debug.Stack(); !bytes.Contains(stack, []byte("badger/v4/table.")) {
				panic(fault)
			}
			err = badgerfiles.Damaged(dir, fmt.Errorf("%v", fault))
		}
		if errors.Is(err, badgerfiles.ErrDamaged) {
			r.config.Fatal(err) // there may be further damage, which Badger does not report
		}
	}()
	if err = read(); badgerfiles.IsDamage(err) {
		err = badgerfiles.Damaged(dir, err)
	}
	return err
}

// verifier reads all tables of a store that was opened, because opening it checks only their ends.
type verifier struct {
	store *Store
	db    *badger.DB
}

// run reads all tables once after a start. Tables that are gone by then were read by a
// compaction, which drops what is damaged. So verification begins with the levels that are
// compacted most.
func (v *verifier) run(paths []string) {
	begin, done := time.Now(), int64(0)
	pause := func(bytes int) error {
		done += int64(bytes)
		ahead := time.Duration(float64(done)/verifyRate*float64(time.Second)) - time.Since(begin)
		select {
		case <-v.store.closed:
			return badgerfiles.ErrStopped
		case <-time.After(ahead):
		}
		if !v.isOpen() {
			return badgerfiles.ErrStopped
		}
		return nil
	}
	for _, path := range paths {
		err := badgerfiles.VerifyTable(path, pause)
		switch {
		case errors.Is(err, badgerfiles.ErrStopped) || !v.isOpen():
			return
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			v.giveUp(badgerfiles.Damaged(v.db.Opts().Dir, err))
			return
		}
	}
	v.store.config.Logger.Debug("all tables of the store are whole", "MiB", done>>20, "after", time.Since(begin).String())
}

// giveUp keeps a damaged store from being used, by this process and by the next one.
func (v *verifier) giveUp(err error) {
	v.store.config.Fatal(errors.Join(err, badgerfiles.Mark(v.db.Opts().Dir, err)))
}

// isOpen reports whether its database is still the store.
func (v *verifier) isOpen() bool {
	v.store.swap.RLock()
	defer v.store.swap.RUnlock()
	return v.store.db == v.db
}
