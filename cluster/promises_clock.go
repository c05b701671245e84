//go:build !sabotage_clock

package cluster

// trustsOwnClock makes the leader's wall clock the time of the cluster.
const trustsOwnClock = false
