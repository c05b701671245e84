package cluster

// watchDisk transfers leadership while the disk of this node is slow and that of another is not: a
// leader with a slow disk makes all clients wait, a follower does not.
func (s *supervisor) watchDisk() {
	n := s.node
	if !n.log.IsSlow() || !s.mayHandOver() {
		return
	}
	last := n.raft.LastIndex()
	for _, m := range n.members.fresh() {
		if !m.Server.Voter || m.Status.SlowDisk || m.still || m.Status.Last+caughtUp < last {
			continue
		}
		s.handOver(&m.Server, "the disk of this node is slow")
		return
	}
}
