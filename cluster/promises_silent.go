//go:build !sabotage_silent

package cluster

import "time"

// sabotage_silent.go breaks this promise on purpose, in a build with its tag, to show that package
// faults detects it.

const (
	// rpcTimeout is how long Raft waits for the response to a call.
	rpcTimeout = 10 * time.Second

	// watchesFollowers makes the leader reconnect to a follower that gets no entries.
	watchesFollowers = true
)
