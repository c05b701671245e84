package raftlog

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// stallLimit is how long a write to the log may take. Otherwise a leader whose disk hangs would
// stay leader, but could not commit.
const stallLimit = 10 * time.Second

// watchdog makes a Store fail-stop: it stops the node when a write fails or hangs.
type watchdog struct {
	fatal   func(error)
	stall   time.Duration // how long a write may take
	pace    pace          // of the writes
	running atomic.Bool   // Raft uses the log: see Store.HoldFailures
	once    sync.Once
	failed  chan struct{} // closed when Raft is blocked because a write or a read failed
}

func newWatchdog(fatal func(error)) *watchdog {
	return &watchdog{fatal: fatal, stall: stallLimit, failed: make(chan struct{})}
}

// guard runs a write under the watchdog and stops the node if it fails.
func (w *watchdog) guard(what string, write func() error) error {
	defer w.watch(what)()
	defer w.pace.begin()()
	if err := write(); err != nil {
		return w.fail(withRemedy(fmt.Errorf("%s: %w", what, err)))
	}
	return nil
}

// fail stops the node. Raft panics on some errors of its log and continues after others. So while
// Raft uses the log, fail never returns: Raft's goroutine waits here for the process to end.
func (w *watchdog) fail(err error) error {
	w.fatal(err)
	if w.running.Load() {
		w.once.Do(func() { close(w.failed) })
		select {}
	}
	return err
}

// stallSteps is the number of steps in which the time of a write is counted. A pause of this
// process or its machine counts as a single step, however long it was, because it says nothing
// about the disk.
const stallSteps = 10

// watch stops the node if a write takes too long, until the function that it returns is called.
func (w *watchdog) watch(what string) (end func()) {
	var (
		ended atomic.Bool
		steps atomic.Int32
		timer *time.Timer
	)
	step := w.stall / stallSteps
	timer = time.AfterFunc(time.Hour, func() {
		switch {
		case ended.Load():
		case steps.Add(1) < stallSteps:
			timer.Reset(step)
		default:
			w.fatal(fmt.Errorf("the disk does not answer: %s takes more than %s", what, w.stall))
		}
	})
	timer.Reset(step)
	return func() {
		ended.Store(true)
		timer.Stop()
	}
}
