// Package cluster is a machine that replicates bytes: give it a command on any node, and it comes
// back with the reply of the state machine once a majority has the command on stable storage. What
// the bytes mean is the state machine's affair.
//
// The way of a command: Propose queues it; the batcher takes all that wait, up to a bound, while
// the batch before is still on its way (group commit), and hands them over as one: on the leader as
// one Raft entry, on any other node as one call to the leader, whose own batcher takes them up.
// Losing the leader in the middle is not an error: the command is sent again under the same request
// id, with a mark that it may be a repetition, and the state machine answers a repetition with the
// first reply. Only when the caller's time is up does he hear of it.
//
// The format of an entry, and of the commands in a forwarded call:
//
//	entry     version 1 | clock of the leader in ms, 8 bytes | commands
//	commands  number | for each: request id 16 | since | body        numbers are uvarints, bodies have their length before them
//
// The log itself is in package raftlog.
package cluster
