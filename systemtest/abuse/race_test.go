//go:build race

package abuse

// What the race detector makes of a process's memory, and of the time it takes for anything on a
// busy machine.
const (
	memoryFactor = 4
	timeFactor   = 3
)
