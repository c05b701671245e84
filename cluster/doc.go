// Package cluster replicates commands, which are bytes to it: propose a command on any node, and it
// returns the reply of the state machine once a majority has the command on stable storage. Only
// the state machine knows what the bytes mean.
//
// The path of a command: Propose queues it. While a batch is in flight, the batcher collects the
// commands that wait, up to a limit (group commit). It then sends them as one: on the leader as one
// Raft entry, on any other node as one call to the leader, whose own batcher queues them. Commands
// that wait take turns by flow, which is the application of a message (queue.go), and large ones
// travel in batches of their own, so that small ones can overtake them (gate.go).
//
// Losing the leader in the meantime is not an error: the command is sent again under the same
// request id, marked as a possible repetition, and the state machine answers a repetition with the
// first reply. The caller gets an error only when its time is up.
//
// The format of an entry, and of the commands in a forwarded call:
//
//	entry     version 1 | clock of the leader in ms, 8 bytes | commands
//	commands  number | for each: request id 16 | since | body        numbers are uvarints, bodies have their length before them
//
// The log itself is in package raftlog.
package cluster
