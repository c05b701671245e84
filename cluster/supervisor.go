package cluster

import "time"

// handOverRest is the least time between a leader's own attempts to transfer leadership.
const handOverRest = 30 * time.Second

// supervisor looks at the members and at this node again and again. While this node leads and
// something is wrong with it, the supervisor hands leadership over.
type supervisor struct {
	node   *Node
	rested time.Time // when leadership was last handed over from here
}

// run keeps the members up to date until the node closes.
func (s *supervisor) run() {
	n := s.node
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	for {
		n.Members(n.ctx)
		n.members.keep(n.servers())
		s.watchClock()
		s.watchDisk()
		s.watchFollowers()
		select {
		case <-tick.C:
		case <-n.ctx.Done():
			return
		}
	}
}

// mayHandOver reports whether this node leads, and has not handed leadership over recently.
func (s *supervisor) mayHandOver() bool {
	return s.node.leading.ready.Load() && time.Since(s.rested) >= handOverRest
}

// handOver hands leadership over, because something is wrong with this node.
func (s *supervisor) handOver(to *Server, why string) {
	s.rested = time.Now()
	logger := s.node.config.Logger
	logger.Warn("handing leadership over, because "+why, "to", to.ID)
	if err := s.node.changer.handOver(to); err != nil {
		logger.Warn(err.Error())
	}
}
