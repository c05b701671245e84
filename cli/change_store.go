package cli

import (
	"errors"

	"hookwheel/wal"
)

// changeStore opens a store, calls do with it, and closes it. When the disk fails, Badger retries
// forever, and closing the store waits for that. Then changeStore returns without waiting, and the
// caller must end the process.
func changeStore(config wal.Config, do func(*wal.Store) error) error {
	failed, done := make(chan error, 1), make(chan error, 1)
	config.Fatal = func(err error) {
		select {
		case failed <- err:
		default: // the first one says why
		}
	}
	go func() {
		store, err := wal.Open(config)
		if err == nil {
			err = do(store)
			err = errors.Join(err, store.Close())
		}
		done <- err
	}()
	select {
	case err := <-failed:
		return err
	case err := <-done:
		select {
		case failure := <-failed:
			return errors.Join(err, failure)
		default:
			return err
		}
	}
}
