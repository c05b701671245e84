package cluster

import (
	"testing"
	"time"

	"hookwheel/systemtest/wait"
)

// TestSlowDiskHandsOver: a leader whose disk is slow hands over to one whose disk is well.
func TestSlowDiskHandsOver(t *testing.T) {
	nodes := startMembers(t, 3)
	leader, others := readyLeader(t, nodes)
	wait.For(t, "the leader has heard the others", func() bool { return len(leader.members.fresh()) == 2 })
	wait.For(t, "another node leads", func() bool {
		leader.log.MarkSlow()
		for _, n := range others {
			if n.leading.ready.Load() {
				return true
			}
		}
		return false
	})
	if !leader.Status().SlowDisk {
		t.Error("the status does not tell that the disk is slow")
	}
}

// TestStuckFollower: a follower that answers, but gets no entries, is connected to again.
func TestStuckFollower(t *testing.T) {
	m := new(members)
	s := &Status{Last: 10}
	begin := time.Now().Add(-4 * time.Second)
	look := func(after time.Duration, last, ours uint64) []Member {
		s = &Status{Last: last}
		m.note(Member{Server: Server{Server: "n2.x"}, Status: s, LastSeen: begin.Add(after)}, ours)
		return m.stuck()
	}
	for i := range 5 {
		if list := look(time.Duration(i)*time.Second, 10, 20); len(list) > 0 {
			t.Fatalf("stuck after %d s", i)
		}
	}
	look(5*time.Second, 10, 20)
	if list := look(7*time.Second, 10, 30); len(list) != 1 {
		t.Errorf("%d stuck, want 1", len(list))
	}
	if list := look(8*time.Second, 10, 30); len(list) != 0 {
		t.Error("it is connected to again too soon")
	}
	if list := look(20*time.Second, 30, 30); len(list) != 0 {
		t.Error("a follower that has all entries counts as stuck")
	}
}

// TestDroppedConnections: Raft makes new connections in place of those that are dropped.
func TestDroppedConnections(t *testing.T) {
	nodes := startMembers(t, 3)
	leader, _ := readyLeader(t, nodes)
	for _, s := range leader.servers() {
		leader.listener.dialled.drop(raftAddress(s.Server, s.Address))
	}
	wantOnce(t, leader.machine, proposeMany(t, nodes, 3, 10))
}
