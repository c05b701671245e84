package node

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// timerSlack is by how many nanoseconds the kernel may delay the end of a sleep. The usual
	// 50 µs are more precise than a node needs, and expensive: a thread of Go's runtime, which
	// sleeps for 20 µs at a time while there is work, took a third of the CPU time of a node with
	// 1,000 events a second.
	timerSlack = 1_000_000

	// timeSlice is for how many nanoseconds a thread keeps its processor while others want it. With
	// the usual 3 ms, of which the kernel makes whole ticks, an event that passes through three
	// nodes on busy machines waits for that several times. It changes nothing about how much time
	// the threads get. Linux obeys from version 6.12 on; this is the least that it allows.
	timeSlice = 100_000
)

// TuneThreads lets the kernel delay the end of sleeps by up to a millisecond, so that this process
// is woken less often, and take processors from its threads sooner, so that they wait less for each
// other. Threads inherit that when they are started, some of them before any code of ours runs, so
// the process executes its program again, unless whoever has started it has done all this. Call it
// before anything else is done. If it fails, the process can go on as it is.
func TuneThreads() error {
	runtime.LockOSThread() // what is set is the thread's
	defer runtime.UnlockOSThread()
	slack, slice := hasSlack(), hasSlice()
	if slack && slice {
		return nil
	}
	err := errors.Join(setSlack(), setSlice())
	if hasSlack() == slack && hasSlice() == slice { // as with real-time scheduling, or an older kernel
		return err
	}
	program, err := os.Executable() // it runs into the other error again, if there was one
	if err == nil {
		err = syscall.Exec(program, os.Args, os.Environ()) // returns only if it fails
	}
	return fmt.Errorf("starting the program again: %w", err)
}

func setSlack() error {
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, timerSlack, 0, 0, 0); err != nil {
		return fmt.Errorf("setting the timer slack: %w", err)
	}
	return nil
}

func hasSlack() bool {
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	return err != nil || slack >= timerSlack
}

func setSlice() error {
	attr, err := unix.SchedGetAttr(0, 0)
	if err == nil && isFair(attr) {
		attr.Runtime = timeSlice
		err = unix.SchedSetAttr(0, attr, 0)
	}
	if err != nil {
		return fmt.Errorf("setting the time slice: %w", err)
	}
	return nil
}

// hasSlice reports whether the slice is short, or there is none. Kernels before 6.12 return 0.
func hasSlice() bool {
	attr, err := unix.SchedGetAttr(0, 0)
	return err != nil || !isFair(attr) || attr.Runtime > 0 && attr.Runtime <= timeSlice
}

// isFair reports whether a thread is scheduled as usual: those of other policies have no slice.
func isFair(attr *unix.SchedAttr) bool {
	return attr.Policy == unix.SCHED_NORMAL || attr.Policy == unix.SCHED_BATCH
}
