package cluster

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"hookwheel/systemtest/process"
	"hookwheel/systemtest/wait"
)

// wantRefused checks that a change is refused with a reason that contains text.
func wantRefused(t *testing.T, err error, text string) {
	t.Helper()
	var refusal *Refusal
	if !errors.As(err, &refusal) || !strings.Contains(refusal.Reason, text) {
		t.Errorf("got %v, want a refusal that says %q", err, text)
	}
}

// newJoiner makes a further node that asks the others to be let in.
func newJoiner(t *testing.T, id string, members []*member) *member {
	t.Helper()
	m := newMember(t, Peer{ID: id, Address: process.FreeAddress(t)})
	for _, other := range members {
		m.config.Join = append(m.config.Join, other.config.Address)
	}
	return m
}

// A fourth node joins, becomes leader, leaves; and one without a vote stays so.
func TestJoinTransferRemove(t *testing.T) {
	members := startMembers(t, 3)
	readyLeader(t, members)
	must(t, second(members[1].Propose(limited(t), []byte("before"))))
	n4 := newJoiner(t, "n4", members[:1])
	n4.start(t)
	n4.waits(t, "hookwheel cluster join "+n4.config.Address)
	must(t, members[2].Join(limited(t), n4.config.Address, true, nil))
	all := append(slices.Clone(members), n4)
	hasVote(t, all, "n4")

	must(t, members[1].Transfer(limited(t), "n4"))
	wait.For(t, "n4 leads", func() bool { return n4.Status().Ready })
	must(t, second(members[1].Propose(limited(t), []byte("with n4"))))

	n5 := newJoiner(t, "n5", members[1:2])
	n5.config.Voter = false
	n5.start(t)
	must(t, members[0].Join(limited(t), n5.config.Address, false, nil))
	wait.For(t, "n5 is in", func() bool { return len(n4.servers()) == 5 })
	wantSame(t, append(all, n5))
	if servers := n4.servers(); slices.ContainsFunc(servers, func(s Server) bool { return s.ID == "n5" && s.Voter }) {
		t.Errorf("n5 has a vote: %+v", servers)
	}
	wantRefused(t, members[0].Transfer(limited(t), "n5"), "no vote")
	wantRefused(t, members[0].Transfer(limited(t), "n7"), `no node "n7"`)

	removed := make(chan error, 1)
	n4.stop(t)
	n4.config.Fatal = func(err error) { removed <- err }
	n4.start(t)
	readyLeader(t, members)
	must(t, members[2].Remove(limited(t), "n4", nil))
	if err := <-removed; !strings.Contains(err.Error(), "was removed") {
		t.Errorf("n4 ends because %v", err)
	}
	must(t, second(members[2].Propose(limited(t), []byte("without n4"))))
	wantSame(t, append(members, n5))
}

// A node that has nothing yet gets no vote, however few entries the others have: these may be
// large, and until it has them a majority would need one more of the others.
func TestVoteAfterState(t *testing.T) {
	members := startMembers(t, 3)
	leader, _ := readyLeader(t, members)
	n4 := change{Op: opEnter, Server: "n4.00c0ffee", Address: process.FreeAddress(t), Voter: true}
	votes := func() bool {
		must(t, leader.changer.letIn(n4))
		return slices.ContainsFunc(leader.servers(), func(s Server) bool { return s.Server == n4.Server && s.Voter })
	}
	for range 2 {
		if votes() {
			t.Error("it has a vote and nothing else")
		}
	}
	if n4.Applied = leader.Status().Applied; !votes() {
		t.Errorf("it has no vote although it has caught up: %+v", leader.servers())
	}
}

// The leader can be removed, also by asking itself: it hands over first, and the next leader
// records the removal.
func TestRemoveLeader(t *testing.T) {
	members := startMembers(t, 3)
	leader, others := readyLeader(t, members)
	removed := make(chan error, 1)
	leader.stop(t)
	leader.config.Fatal = func(err error) { removed <- err }
	leader.start(t)
	_, _ = readyLeader(t, members)
	must(t, others[0].Transfer(limited(t), leader.config.ID))
	must(t, leader.Remove(limited(t), leader.config.ID, []byte("the leader is gone")))
	<-removed
	must(t, second(others[1].Propose(limited(t), []byte("after"))))
	wantSame(t, others)
	if got := others[0].machine.bodies(); !slices.Equal(got, []string{"the leader is gone", "after"}) {
		t.Errorf("the log has %q", got)
	}
}

// A node that was removed and asks for its place, because it has not heard of that yet, is not let
// in by the peer block that it still has.
func TestRemovedDoesNotReturn(t *testing.T) {
	members := startMembers(t, 3)
	_, others := readyLeader(t, members)
	removed := others[0]
	removed.stop(t)
	removed.config.Fatal = func(error) {}
	removed.start(t)
	leader, _ := readyLeader(t, members)
	wait.For(t, "it is back", func() bool { return removed.Status().LeaderID != "" })
	must(t, leader.Remove(limited(t), removed.config.ID, nil))
	response, err := removed.joiner.askIn(raftAddress(leader.identity.Server, leader.config.Address))
	if err != nil || !strings.Contains(response.Refused, "was removed") || len(leader.servers()) != 2 {
		t.Errorf("%q, %v: the members are %+v", response.Refused, err, leader.servers())
	}
}

// A node stops also if it was removed before it had received anything: it knows no member that
// would tell it, only those in its configuration.
func TestRemovedWithoutLog(t *testing.T) {
	members := startMembers(t, 3)
	leader, _ := readyLeader(t, members)
	removed := make(chan error, 1)
	n4 := newJoiner(t, "n4", members)
	n4.config.Fatal = func(err error) { removed <- err }
	n4.start(t)
	must(t, n4.joiner.enter(leader.identity.cluster(), leader.servers()))
	if err := <-removed; !errors.Is(err, ErrRemoved) {
		t.Errorf("n4 ends because %v", err)
	}
}

// A dead node can be removed, but not one whose vote the others need.
func TestRemoveKeepsMajority(t *testing.T) {
	members := startMembers(t, 3)
	_, others := readyLeader(t, members)
	dead, alive := others[0], others[1]
	dead.stop(t)
	wantRefused(t, alive.Remove(limited(t), alive.config.ID, nil), "not a majority")
	must(t, alive.Remove(limited(t), dead.config.ID, nil))
	wait.For(t, "two are left", func() bool { return len(alive.servers()) == 2 })
	wantRefused(t, alive.Remove(limited(t), dead.config.ID, nil), "there is no node")
}

// A second node of a name that is taken is not let in, and does no harm.
func TestNameTaken(t *testing.T) {
	members := startMembers(t, 3)
	readyLeader(t, members)
	twin := newMember(t, Peer{ID: "n2", Address: process.FreeAddress(t)})
	twin.config.Join = []string{members[0].config.Address, members[2].config.Address}
	twin.start(t)
	twin.waits(t, "is already running at")
	must(t, second(members[1].Propose(limited(t), []byte("unharmed"))))
	wantSame(t, members)
}

// An operator lets in a node that waits; one with the data of another cluster he can't.
func TestJoinByHand(t *testing.T) {
	members := startMembers(t, 1)
	readyLeader(t, members)
	fresh := newMember(t, Peer{ID: "n2", Address: process.FreeAddress(t)})
	fresh.config.Join = []string{process.FreeAddress(t)} // nobody
	fresh.start(t)
	wantRefused(t, members[0].Join(limited(t), process.FreeAddress(t), true, nil), "no new node")
	wantRefused(t, members[0].Join(limited(t), members[0].config.Address, true, nil), "leads this cluster")
	must(t, members[0].Join(limited(t), fresh.config.Address, true, nil))
	other := startMembers(t, 1)
	readyLeader(t, other)
	wantRefused(t, members[0].Join(limited(t), other[0].config.Address, true, nil), "another cluster")
}

// A machine moves: same name and data, another address.
func TestAddressMoves(t *testing.T) {
	members := startMembers(t, 3)
	_, others := readyLeader(t, members)
	moved := others[0]
	moved.stop(t)
	address := process.FreeAddress(t)
	moved.config.Listen, moved.config.Address = address, address
	moved.start(t)
	wait.For(t, "all know the new address", func() bool {
		return !slices.ContainsFunc(members, func(m *member) bool {
			return !slices.ContainsFunc(m.servers(), func(s Server) bool { return s.Address == address })
		})
	})
	must(t, second(moved.Propose(limited(t), []byte("from the new place"))))
	wantSame(t, members)
}

// A follower's disk counts, too.
func TestFollowerFull(t *testing.T) {
	members := startMembers(t, 3)
	_, others := readyLeader(t, members)
	others[1].machine.free.Store(10)
	wait.For(t, "the leader refuses", func() bool {
		reply, err := others[0].Propose(limited(t), []byte("x"))
		must(t, err)
		return strings.HasPrefix(string(reply), "full: ["+others[1].config.ID)
	})
	others[1].machine.free.Store(1000)
	wait.For(t, "the leader takes commands again", func() bool {
		reply, err := others[0].Propose(limited(t), []byte("x"))
		must(t, err)
		return strings.HasPrefix(string(reply), "x is number")
	})
}

// After the majority is lost for good, the one that is left begins a new cluster with what it has,
// and new nodes join it.
func TestReset(t *testing.T) {
	members := startMembers(t, 3)
	readyLeader(t, members)
	must(t, second(members[0].Propose(limited(t), []byte("before"))))
	wantSame(t, members)
	for _, m := range members {
		m.stop(t)
	}
	left := members[1]
	left.crash(t) // its machine knows less than its log
	report, err := Reset(left.config.Dir, "n2", left.config.Address, left.machine, slog.New(slog.DiscardHandler))
	must(t, err)
	if report.Replayed == 0 || report.Cluster == "" {
		t.Errorf("%+v", report)
	}
	left.start(t)
	wait.For(t, "n2 leads alone", func() bool { return left.Status().Ready })
	if got := left.machine.bodies(); !slices.Equal(got, []string{"before"}) {
		t.Errorf("it holds %q", got)
	}
	must(t, second(left.Propose(limited(t), []byte("after"))))

	members[0].start(t) // with the data of the old cluster it stays outside
	members[2].loseDisk(t)
	members[2].start(t)
	hasVote(t, members[1:], "n3")
	wantSame(t, members[1:])
	if got := members[0].machine.bodies(); !slices.Equal(got, []string{"before"}) || len(left.servers()) != 2 {
		t.Errorf("the old member holds %q, and the cluster has %d members", got, len(left.servers()))
	}
}
