//go:build sabotage_clock

package cluster

const trustsOwnClock = true
