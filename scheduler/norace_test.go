//go:build !race

package scheduler

// histories is how many of n random histories, or of other repetitions, a test has.
func histories(n int64) int64 { return n }
