//go:build !race

package abuse

const (
	memoryFactor = 1
	timeFactor   = 1
)
