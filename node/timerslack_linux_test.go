package node

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// A process that relaxes its timers goes on as itself, with all its threads relaxed, and does so
// once.
func TestRelaxTimers(t *testing.T) {
	const child = "HOOKWHEEL_TEST_TIMERS"
	if os.Getenv(child) != "" {
		fmt.Println("begins as", os.Getpid())
		if err := RelaxTimers(); err != nil {
			fmt.Println(err)
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				runtime.LockOSThread() // so that each has a thread
				fmt.Println("relaxed:", hasSlack())
			})
		}
		wg.Wait()
		os.Exit(7)
	}
	cmd := exec.Command(os.Args[0], "-test.run=TestRelaxTimers$")
	cmd.Env = append(os.Environ(), child+"=1")
	var out strings.Builder
	cmd.Stdout = &out
	runtime.LockOSThread() // the child inherits the slack of this thread
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 50_000, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Run()
	begin := fmt.Sprintln("begins as", cmd.Process.Pid)
	if want := begin + begin + strings.Repeat("relaxed: true\n", 8); cmd.ProcessState.ExitCode() != 7 || out.String() != want {
		t.Errorf("exit code %d, %q, want %q", cmd.ProcessState.ExitCode(), out.String(), want)
	}
}
