package cluster

import (
	"slices"
	"testing"
	"time"

	"hookwheel/systemtest/wait"
)

// TestSilenceIsNoticed: followers elect another leader although Raft would not look at its
// election timer for an hour.
func TestSilenceIsNoticed(t *testing.T) {
	members := startMembers(t, 3)
	leader, others := readyLeader(t, members)
	for _, m := range others {
		c := m.raft.ReloadableConfig()
		c.HeartbeatTimeout, c.ElectionTimeout = time.Hour, time.Hour
		must(t, m.raft.ReloadConfig(c))
	}
	time.Sleep(2*electionTimeout + 100*time.Millisecond) // the timers that are set already have ended
	if !leader.leading.ready.Load() {
		t.Skip("the leader was lost before the test began: the machine is too busy")
	}
	must(t, leader.raft.Shutdown().Error())
	next, _ := readyLeader(t, others)
	must(t, second(next.Propose(limited(t), []byte("led"))))
}

// TestStagger: each node waits for another time, whoever leads.
func TestStagger(t *testing.T) {
	members := startMembers(t, 3)
	readyLeader(t, members)
	wait.For(t, "all nodes know the members", func() bool {
		return !slices.ContainsFunc(members, func(m *member) bool { return len(m.servers()) < 3 })
	})
	for _, leader := range members {
		var waits []time.Duration
		for _, m := range members {
			if m != leader {
				waits = append(waits, m.election.stagger(leader.identity.Server))
			}
		}
		slices.Sort(waits)
		if !slices.Equal(waits, []time.Duration{0, electionStagger}) {
			t.Errorf("without %s the others wait %v longer", leader.config.ID, waits)
		}
	}
}
