package wal

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"time"

	"hookwheel/wal/badgerfiles"
	"hookwheel/wal/blobfiles"
)

// verifyRate is how many bytes of tables and blob files per second the verification after a start
// reads at most.
const verifyRate = 512 << 20

// guard turns damage into an error with advice, whether Badger returns an error or panics.
func (r *Reader) guard(db *database, read func() error) (err error) {
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
	if err = read(); badgerfiles.IsDamage(err) || errors.Is(err, blobfiles.ErrDamaged) {
		err = badgerfiles.Damaged(dir, err)
	}
	return err
}

// verifier reads all tables and blob files of a store that was opened, because opening it checks
// only their ends.
type verifier struct {
	store *Store
	db    *database
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
	err := v.db.verifyBlobs(pause)
	switch {
	case errors.Is(err, badgerfiles.ErrStopped) || !v.isOpen():
		return
	case err != nil:
		v.giveUp(badgerfiles.Damaged(v.db.Opts().Dir, err))
		return
	}
	v.store.config.Logger.Debug("all files of the store are whole", "MiB", done>>20, "after", time.Since(begin).String())
}

// verifyPart is after how many bytes of a blob file a pause is made.
const verifyPart = 1 << 20

// verifyBlobs reads all blob files.
func (d *database) verifyBlobs(pause func(bytes int) error) error {
	for _, number := range d.blobs.Numbers() {
		part := 0
		_, err := d.blobs.Walk(number, 0, func(_ blobfiles.Ref, _, value []byte) error {
			if part += len(value); part < verifyPart {
				return nil
			}
			read := part
			part = 0
			return pause(read)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// giveUp keeps a damaged store from being used, by this process and by the next one. If the disk
// did not give the files, that may change, so the next process tries again.
func (v *verifier) giveUp(err error) {
	if errors.Is(err, badgerfiles.ErrDamaged) {
		err = errors.Join(err, badgerfiles.Mark(v.db.Opts().Dir, err))
	}
	v.store.config.Fatal(err)
}

// isOpen reports whether its database is still the store.
func (v *verifier) isOpen() bool {
	v.store.swap.RLock()
	defer v.store.swap.RUnlock()
	return v.store.db == v.db
}
