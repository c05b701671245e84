//go:build !sabotage_clock

package cluster

// trustsOwnClock has the leader's wall clock say what time it is in the cluster.
const trustsOwnClock = false
