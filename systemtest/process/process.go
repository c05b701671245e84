// Package process starts hookwheel for tests as real processes: the test binary runs itself again
// as hookwheel.
package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"
)

// mainVariable makes a test binary hookwheel when it is 1. The nodes that dev starts inherit it.
const mainVariable = "TEST_RUNS_HOOKWHEEL"

// noRaceSleep ends each process at once. With the race detector, it would sleep for a second then,
// and tests start hundreds.
const noRaceSleep = "GORACE=atexit_sleep_ms=0"

const (
	StopLimit = 45 * time.Second // for a process to end after SIGTERM; more than dev has with its nodes
	quitLimit = 10 * time.Second // for it to say where it hangs
	shownLog  = 16 << 10         // bytes of a long log that a failing test prints, twice
)

// Main is the TestMain of a package whose tests start processes; hookwheel is what they run.
func Main(m *testing.M, hookwheel func() int) {
	if os.Getenv(mainVariable) == "1" {
		os.Exit(hookwheel())
	}
	m.Run()
}

// Process is a hookwheel that a test has started.
type Process struct {
	Cmd      *exec.Cmd
	Log      string        // file with all that it and its children say
	Ended    chan struct{} // closed when it has, and Cmd.ProcessState is set
	MayCrash bool          // a crash does not fail the test
}

// Start starts hookwheel with these arguments; the end of the test stops it.
func Start(t testing.TB, args ...string) *Process {
	t.Helper()
	return StartCommand(t, Command(Context(t), args...))
}

// Command is the command that runs hookwheel with these arguments.
func Command(ctx context.Context, args ...string) *exec.Cmd {
	executable, err := os.Executable()
	if err != nil {
		panic(err) // a test binary always has a path
	}
	cmd := exec.CommandContext(ctx, executable, args...)
	cmd.Env = append(os.Environ(), mainVariable+"=1", noRaceSleep)
	return cmd
}

// StartCommand starts a command that Command has made or wrapped; the end of the test stops it.
func StartCommand(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p, err := Run(cmd, filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Stop(t)
		p.checkLog(t)
	})
	return p
}

// Run starts a command that Command has made or wrapped, and appends all that it says to the file
// log. The caller ends it, and looks at the log.
func Run(cmd *exec.Cmd, log string) (*Process, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	p := &Process{Cmd: cmd, Log: log, Ended: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = file, file
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = StopLimit
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = cmd.Wait() // ProcessState says it better
		close(p.Ended)
	}()
	return p, nil
}

// Context ends before the time of go test is up, for that would leave processes behind.
func Context(t testing.TB) context.Context {
	limited, ok := t.(interface{ Deadline() (time.Time, bool) }) // a benchmark is not
	if !ok {
		return context.Background()
	}
	deadline, ok := limited.Deadline()
	if !ok {
		return context.Background()
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline.Add(-20*time.Second))
	t.Cleanup(cancel)
	return ctx
}

// IsAlive reports whether the process has not ended.
func (p *Process) IsAlive() bool {
	select {
	case <-p.Ended:
		return false
	default:
		return true
	}
}

// Stop ends the process with SIGTERM, if it has not ended, and returns its exit code: -1 if a
// signal killed it.
func (p *Process) Stop(t testing.TB) (code int) {
	t.Helper()
	code, err := p.End(StopLimit)
	if err != nil {
		t.Error(err)
	}
	return code
}

// End is Stop for a process that must end within some time.
func (p *Process) End(within time.Duration) (code int, err error) {
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return 0, err
	}
	select {
	case <-p.Ended:
	case <-time.After(within):
		err = fmt.Errorf("%v did not end within %s of SIGTERM", p.Cmd.Args[1:], within)
		_ = p.Cmd.Process.Signal(syscall.SIGQUIT) // its log says where it hangs
		select {
		case <-p.Ended:
		case <-time.After(quitLimit):
			_ = p.Cmd.Process.Kill()
			<-p.Ended
		}
	}
	return p.Cmd.ProcessState.ExitCode(), err
}

// lastWords are what a log has when its process ends other than by SIGTERM, or should.
var lastWords = []string{"panic: ", "fatal error: ", "can't go on", dataRace}

const dataRace = "WARNING: DATA RACE"

// checkLog looks for what must never be in a log, and shows the log of a test that failed.
func (p *Process) checkLog(t testing.TB) {
	text, err := os.ReadFile(p.Log)
	if err != nil {
		t.Error(err)
		return
	}
	for _, words := range lastWords {
		if bytes.Contains(text, []byte(words)) && (words == dataRace || !p.MayCrash) {
			t.Errorf("the log of %v has %q", p.Cmd.Args[1:], words)
		}
	}
	if t.Failed() {
		t.Logf("log of %v:\n%s", p.Cmd.Args[1:], excerpt(text))
	}
}

// excerpt is the whole of a short log, and of a long one what matters most: where it goes wrong,
// and the end.
func excerpt(text []byte) []byte {
	if len(text) <= 2*shownLog {
		return text
	}
	start := 0
	for _, words := range lastWords {
		if i := bytes.Index(text, []byte(words)); i >= 0 {
			start = max(0, i-shownLog/4)
			break
		}
	}
	start = min(start, len(text)-2*shownLog)
	return slices.Concat(text[start:start+shownLog], []byte("\n[…]\n"), text[len(text)-shownLog:])
}

// FreePorts finds a port such that it and the next ones are free for the API of nodes nodes, and
// those for the other nodes too. They lie below the ports that the system gives to outgoing
// connections.
func FreePorts(t testing.TB, nodes int) int {
	t.Helper()
	for range 100 {
		if base := 20000 + 10*rand.IntN(1000); claimPorts(base, nodes) {
			return base
		}
	}
	t.Fatal("found no free ports")
	return 0
}

func claimPorts(base, nodes int) bool {
	for i := 1; i <= nodes; i++ {
		if !claim(NodeAddress(base, i)) || !claim(PeerAddress(base, i)) {
			return false
		}
	}
	return true
}

// FreeAddress returns an address at which nothing listens. Its port lies below those that the
// system gives to outgoing connections, one of which might take it before a node does.
func FreeAddress(t testing.TB) string {
	t.Helper()
	for range 100 { // browsers refuse port 10080
		if address := net.JoinHostPort("127.0.0.1", strconv.Itoa(10100+rand.IntN(9900))); claim(address) {
			return address
		}
	}
	t.Fatal("found no free address")
	return ""
}

// claimed are the addresses that claim has seen.
var claimed sync.Map

// claim reports whether an address is free, once: it does so no second time, as a parallel test may
// not listen there yet.
func claim(address string) bool {
	if _, again := claimed.LoadOrStore(address, true); again {
		return false
	}
	l, err := net.Listen("tcp", address)
	return err == nil && l.Close() == nil
}

// NodeAddress is where the API of a node of dev listens, whose port is base for the first one.
func NodeAddress(base, node int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(base+node-1))
}

// PeerAddress is where it listens for the other nodes.
func PeerAddress(base, node int) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(base+1000+node-1))
}
