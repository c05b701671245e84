package cluster

import "github.com/hashicorp/raft"

// await returns the outcome of a request to Raft, or raft.ErrRaftShutdown, which leaves the outcome
// open, once Raft has stopped: Raft never answers what is in its queues when its goroutines end.
func (n *Node) await(f raft.Future) error {
	answered := make(chan error, 1)
	go func() { answered <- f.Error() }() // if Raft never answers, it ends with the process
	select {
	case err := <-answered:
		return err
	case <-n.raftStopped:
	}
	select {
	case err := <-answered:
		return err
	default:
		return raft.ErrRaftShutdown
	}
}
