package node

import (
	"math"
	"runtime/debug"
	"testing"
)

// TestBoundMemory lets a small heap double and a large one grow by half, and leaves the runtime as
// it was.
func TestBoundMemory(t *testing.T) {
	for alive, want := range map[uint64]int64{0: calmMemory, 300 << 20: calmMemory, 400 << 20: 640 << 20, 4 << 30: 6 << 30} {
		if got := memoryLimit(alive); got != want {
			t.Errorf("%d MiB alive: the limit is %d MiB, want %d", alive>>20, got>>20, want>>20)
		}
	}
	before := debug.SetMemoryLimit(math.MaxInt64 - 1)
	defer debug.SetMemoryLimit(before)
	boundMemory()()
	if left := debug.SetMemoryLimit(-1); left != math.MaxInt64-1 {
		t.Errorf("a limit of %d bytes is left behind", left)
	}
	t.Setenv("GOMEMLIMIT", "1GiB")
	end := boundMemory()
	if limit := debug.SetMemoryLimit(-1); limit != math.MaxInt64-1 {
		t.Errorf("the limit is %d bytes though GOMEMLIMIT is set", limit)
	}
	end()
}
