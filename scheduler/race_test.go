//go:build race

package scheduler

// histories is how many of n random histories, or of other repetitions, a test has: fewer than
// without the race detector, with which they take ten times as long.
func histories(n int64) int64 { return (n + 3) / 4 }
