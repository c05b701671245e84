package abuse

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// memoryInterval is between two looks at the memory of the nodes.
const memoryInterval = 250 * time.Millisecond

// memory is what a node has in memory, in bytes: of its own, and of the store's files, which are
// mapped. These are the system's cache: it takes them back when others need the memory.
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
	text, err := os.ReadFile(n.proc("smaps"))
	if err != nil {
		return m, err
	}
	stored := false // whether the lines are about a file of the store
	for line := range bytes.Lines(text) {
		name, rest, _ := strings.Cut(string(line), " ")
		if !strings.HasSuffix(name, ":") { // the first line of a mapping ends with its file
			stored = strings.Contains(rest, n.data)
			continue
		}
		if name != "Rss:" {
			continue
		}
		kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
		if err != nil {
			return m, fmt.Errorf("in smaps: %w", err)
		}
		if stored {
			m.mapped += kilobytes << 10
		} else {
			m.own += kilobytes << 10
		}
	}
	return m, nil
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
