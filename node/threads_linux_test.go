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

// A process that tunes its threads goes on as itself, with all its threads tuned, and does so once.
func TestTuneThreads(t *testing.T) {
	const child = "HOOKWHEEL_TEST_THREADS"
	if os.Getenv(child) != "" {
		fmt.Println("begins as", os.Getpid())
		if err := TuneThreads(); err != nil {
			fmt.Println(err)
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				runtime.LockOSThread() // so that each has a thread
				fmt.Println("tuned:", hasSlack(), hasSlice())
			})
		}
		wg.Wait()
		os.Exit(7)
	}
	cmd := exec.Command(os.Args[0], "-test.run=TestTuneThreads$")
	cmd.Env = append(os.Environ(), child+"=1")
	var out strings.Builder
	cmd.Stdout = &out
	runtime.LockOSThread() // the child inherits what this thread has
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 50_000, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	slices := before.Runtime > 0 // the kernel has them
	_ = cmd.Run()
	begin := fmt.Sprintln("begins as", cmd.Process.Pid)
	if want := begin + begin + strings.Repeat(fmt.Sprintln("tuned: true", slices), 8); cmd.ProcessState.ExitCode() != 7 || out.String() != want {
		t.Errorf("exit code %d, %q, want %q", cmd.ProcessState.ExitCode(), out.String(), want)
	}
}
