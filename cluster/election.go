package cluster

import (
	"cmp"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

// Raft looks at its election timer only once in each period of one to two times electionTimeout,
// and a node votes for nobody as long as it has not given up its leader itself. Left to that, a
// cluster would elect a new leader about 1.5 s after the old one died, although each node could
// know after 0.8 s. So each node watches for silence itself and then has Raft look at once.
const (
	// electionTimeout is how long a follower waits for its leader. It must exceed leaseTimeout.
	electionTimeout = 800 * time.Millisecond

	// leaseTimeout is how long a leader continues without an answer from a majority.
	leaseTimeout = 750 * time.Millisecond

	// electionStagger separates the elections of different nodes, which would split the votes if
	// they began at the same time. It exceeds the time between two heartbeats, by which the nodes
	// may have heard the leader at different times.
	electionStagger = 200 * time.Millisecond

	// A node polls for silence, and takes a leader for silent only after silencePolls in vain:
	// while this node itself is paused or starved, it hears nobody, which says nothing about the
	// leader.
	silencePoll  = 20 * time.Millisecond
	silencePolls = int(electionTimeout / silencePoll / 2)
)

// watchSilence has Raft look at its election timer when the leader has been silent for long enough,
// until the node closes.
func (n *Node) watchSilence() {
	tick := time.NewTicker(silencePoll)
	defer tick.Stop()
	var last time.Time // contact
	polls := 0         // since then
	for {
		select {
		case <-tick.C:
		case <-n.ctx.Done():
			return
		}
		_, leader := n.raft.LeaderWithID()
		contact := n.raft.LastContact()
		if leader == "" || n.raft.State() != raft.Follower || !contact.Equal(last) {
			last, polls = contact, 0
			continue
		}
		if polls++; polls < silencePolls || time.Since(last) < electionTimeout+n.stagger(string(leader)) {
			continue
		}
		polls = 0
		if err := n.checkElectionTimer(); err != nil {
			n.warnings.log("the election timer could not be checked", "error", err)
		}
	}
}

// stagger returns how much longer than electionTimeout this node waits for its leader. It is
// different on each of the other voters.
func (n *Node) stagger(leader string) time.Duration {
	voters := slices.DeleteFunc(n.servers(), func(s Server) bool { return !s.Voter || s.Server == leader })
	slices.SortFunc(voters, func(a, b Server) int { return cmp.Compare(a.Server, b.Server) })
	place := slices.IndexFunc(voters, func(s Server) bool { return s.Server == n.identity.Server })
	return time.Duration(max(place, 0)) * electionStagger
}

// checkElectionTimer makes Raft begin an election now, if it has not heard a leader for
// electionTimeout: Raft looks at its timer when the timeout becomes shorter.
func (n *Node) checkElectionTimer() error {
	c := n.raft.ReloadableConfig()
	for _, timeout := range []time.Duration{electionTimeout + time.Millisecond, electionTimeout} {
		c.HeartbeatTimeout, c.ElectionTimeout = timeout, timeout
		if err := n.raft.ReloadConfig(c); err != nil {
			return err
		}
	}
	return nil
}
