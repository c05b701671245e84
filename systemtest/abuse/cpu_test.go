package abuse

import (
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
