//go:build !sabotage_waiting

package wal

// keepsWaiting has a message that waits in a set of an endpoint stay in the log when it takes too much,
// and be counted when it leaves it by age.
const keepsWaiting = true
