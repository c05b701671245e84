package abuse

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cpu is the time that all nodes have had of processors, and that the test has had itself, with all
// that it does as attacker, bystander and receiver.
type cpu struct{ nodes, test time.Duration }

func (c cpu) plus(other cpu) cpu { return cpu{c.nodes + other.nodes, c.test + other.test} }

// since is what was used since an earlier time; a node that has started again begins at zero.
func (c cpu) since(before cpu) cpu {
	return cpu{max(0, c.nodes-before.nodes), c.test - before.test}
}

const clockTick = 10 * time.Millisecond // of /proc

func (w *world) cpu() (used cpu) {
	for _, n := range w.nodes {
		text, err := os.ReadFile(n.proc("stat"))
		if err != nil {
			continue // it is starting
		}
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		for _, field := range fields[11:13] { // utime, stime
			ticks, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				w.t.Errorf("in stat: %v", err)
			}
			used.nodes += time.Duration(ticks) * clockTick
		}
	}
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		w.t.Error(err)
	}
	used.test = time.Duration(own.Utime.Nano() + own.Stime.Nano())
	return used
}

const lowestPriority = 19 // nice

// yieldProcessors lets the test have what processors the nodes and the bystander leave: an attacker
// and its receivers would have a machine of their own. It does nothing where the test may not take
// its priority back. restore does so.
func (w *world) yieldProcessors() (restore func()) {
	own, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	own = 20 - own // as the system call returns it
	if err != nil || setPriority(own-1) != nil {
		return func() {}
	}
	if err := setPriority(lowestPriority); err != nil {
		w.t.Error(err)
	}
	return func() {
		if err := setPriority(own); err != nil {
			w.t.Error(err)
		}
	}
}

// setPriority sets that of all threads of the test. A thread or process that one of them starts
// begins with the same.
func setPriority(nice int) error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			return err
		}
		if err := syscall.Setpriority(syscall.PRIO_PROCESS, id, nice); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}
