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

// electionTimer makes Raft look at its election timer in time.
type electionTimer struct{ node *Node }

// watch has Raft look at its election timer when the leader has been silent for long enough, until
// the node closes.
func (e electionTimer) watch() {
	n := e.node
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
		if polls++; polls < silencePolls || time.Since(last) < electionTimeout+e.stagger(string(leader)) {
			continue
		}
		polls = 0
		if err := e.check(); err != nil {
			n.warnings.log("the election timer could not be checked", "error", err)
		}
	}
}

// stagger returns how much longer than electionTimeout this node waits for its leader. It is
// different on each of the other voters.
func (e electionTimer) stagger(leader string) time.Duration {
	voters := slices.DeleteFunc(e.node.servers(), func(s Server) bool { return !s.Voter || s.Server == leader })
	slices.SortFunc(voters, func(a, b Server) int { return cmp.Compare(a.Server, b.Server) })
	place := slices.IndexFunc(voters, func(s Server) bool { return s.Server == e.node.identity.Server })
	return time.Duration(max(place, 0)) * electionStagger
}

// check makes Raft begin an election now, if it has not heard a leader for electionTimeout: Raft
// looks at its timer when the timeout becomes shorter.
func (e electionTimer) check() error {
	c := e.node.raft.ReloadableConfig()
	for _, timeout := range []time.Duration{electionTimeout + time.Millisecond, electionTimeout} {
		c.HeartbeatTimeout, c.ElectionTimeout = timeout, timeout
		if err := e.node.raft.ReloadConfig(c); err != nil {
			return err
		}
	}
	return nil
}

// hurry makes a node that is alone lead at once, as it can't disturb another node.
func (e electionTimer) hurry() error {
	if servers := e.node.servers(); len(servers) != 1 || servers[0].Server != e.node.identity.Server {
		return nil
	}
	return e.check()
}
