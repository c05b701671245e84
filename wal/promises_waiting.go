//go:build !sabotage_waiting

package wal

// keepsWaiting keeps a message that waits in a set of an endpoint in the log when the log takes too
// much space, and counts the message when it leaves the log by age.
const keepsWaiting = true
