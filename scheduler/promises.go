//go:build !sabotage_order

package scheduler

// waitsForLog has messages that were held under an earlier leader wait until the log was read up to
// the last of them. A build with the tag sabotage_order breaks that promise on purpose, to show
// that package faults finds it.
const waitsForLog = true
