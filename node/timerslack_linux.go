package node

import (
	"fmt"
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// timerSlack is by how many nanoseconds the kernel may delay the end of a sleep. The usual 50 µs
// are more precise than a node needs, and expensive: a thread of Go's runtime, which sleeps for
// 20 µs at a time while there is work, took a third of the CPU time of a node with 1,000 events a
// second.
const timerSlack = 1_000_000

// RelaxTimers lets the kernel delay the end of sleeps by up to a millisecond, so that this process
// is woken less often. Threads inherit that when they are started, some of them before any code of
// ours runs, so the process executes its program again, unless whoever has started it has relaxed
// its timers. Call it before anything else is done. If it fails, the process can go on as it is.
func RelaxTimers() error {
	runtime.LockOSThread() // the slack is that of a thread
	defer runtime.UnlockOSThread()
	if hasSlack() {
		return nil
	}
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, timerSlack, 0, 0, 0); err != nil {
		return fmt.Errorf("setting the timer slack: %w", err)
	}
	if !hasSlack() { // as with real-time scheduling
		return nil
	}
	program, err := os.Executable()
	if err == nil {
		err = syscall.Exec(program, os.Args, os.Environ()) // returns only if it fails
	}
	return fmt.Errorf("starting the program again: %w", err)
}

func hasSlack() bool {
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	return err != nil || slack >= timerSlack
}
