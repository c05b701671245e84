package cluster

import "time"

// handOverRest is the least time between two attempts of a leader to hand over by itself.
const handOverRest = 30 * time.Second

// watchDisk hands leadership over while the disk of this node is slow and that of another is not:
// a leader with a slow disk makes everybody wait, a follower nobody.
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
		if err := n.handOver(&m.Server); err != nil {
			n.config.Logger.Warn(err.Error())
		}
		return
	}
}
