package cluster

import "time"

// handOverRest is the least time between a leader's own attempts to transfer leadership.
const handOverRest = 30 * time.Second

// watchDisk transfers leadership while the disk of this node is slow and that of another is not: a
// leader with a slow disk makes all clients wait, a follower does not.
func (n *Node) watchDisk(rested *time.Time) {
	if !n.ready.Load() || !n.log.IsSlow() || time.Since(*rested) < handOverRest {
		return
	}
	last := n.raft.LastIndex()
	for _, m := range n.members.fresh() {
		if !m.Server.Voter || m.Status.SlowDisk || m.still || m.Status.Last+caughtUp < last {
			continue
		}
		*rested = time.Now()
		n.config.Logger.Warn("handing leadership over, because the disk of this node is slow", "to", m.ID)
		if err := n.changer.handOver(&m.Server); err != nil {
			n.config.Logger.Warn(err.Error())
		}
		return
	}
}
