package abuse

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// memoryInterval is between two looks at the memory of the nodes.
const memoryInterval = 250 * time.Millisecond

// memory is what a node has in memory, in bytes: of its own, and of files, which are mapped. The
// latter are the system's cache: it takes them back when others need the memory.
type memory struct{ own, mapped int64 }

func (m memory) max(other memory) memory {
	return memory{max(m.own, other.own), max(m.mapped, other.mapped)}
}

// mustMemory returns what a node has in memory now.
func (n *node) mustMemory(t *testing.T) memory {
	t.Helper()
	m, err := n.memory()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (n *node) memory() (m memory, err error) {
	text, err := os.ReadFile(n.proc("status"))
	if err != nil {
		return m, err
	}
	for line := range strings.Lines(string(text)) {
		var kilobytes int64
		if _, err := fmt.Sscanf(line, "RssAnon: %d kB", &kilobytes); err == nil {
			m.own = kilobytes << 10
		}
		if _, err := fmt.Sscanf(line, "RssFile: %d kB", &kilobytes); err == nil {
			m.mapped = kilobytes << 10
		}
	}
	if m.own == 0 {
		err = fmt.Errorf("no RssAnon in %s", n.proc("status"))
	}
	return m, err
}

// watchMemory begins to look at the memory of all nodes. peaks ends that, and returns the most that
// any node has had.
func (w *world) watchMemory() (peaks func() memory) {
	var peak memory
	t := w.t
	look := func() {
		for _, n := range w.nodes {
			switch m, err := n.memory(); {
			case err == nil:
				peak = peak.max(m)
			case n.process.IsAlive():
				t.Error(err)
			}
		}
	}
	over, wg := make(chan struct{}), sync.WaitGroup{}
	wg.Go(func() {
		tick := time.NewTicker(memoryInterval)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				look()
			case <-over:
				return
			}
		}
	})
	peaks = sync.OnceValue(func() memory {
		close(over)
		wg.Wait()
		look()
		return peak
	})
	t.Cleanup(func() { peaks() })
	return peaks
}
