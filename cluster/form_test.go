package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"hookwheel/cluster/raftlog"
	"hookwheel/systemtest/memdir"
	"hookwheel/systemtest/process"
	"hookwheel/systemtest/wait"
)

// waits waits until a node says that it waits for something that contains text.
func (m *member) waits(t *testing.T, text string) {
	t.Helper()
	wait.For(t, fmt.Sprintf("%s waits for %q", m.config.ID, text), func() bool { return strings.Contains(m.Status().Waiting, text) })
	if s := m.Status(); s.State != "forming" || s.Cluster != "" || len(s.Servers) != 0 {
		t.Errorf("%s is %+v, want it in no cluster", m.config.ID, s)
	}
}

// loseDisk stops a node and gives it an empty folder.
func (m *member) loseDisk(t *testing.T) {
	t.Helper()
	m.stop(t)
	m.machine, m.config.Dir = newMachine(), memdir.New(t)
}

// hasVote waits until the leader counts a node as a voter.
func hasVote(t *testing.T, members []*member, node string) {
	t.Helper()
	wait.For(t, node+" has its vote", func() bool {
		for _, m := range members {
			if m.Node == nil || !m.Status().Ready {
				continue
			}
			return slices.ContainsFunc(m.servers(), func(s Server) bool { return s.ID == node && s.Voter })
		}
		return false
	})
}

// A cluster takes all of its nodes to form, and forms once, whoever starts first.
func TestFormTakesAll(t *testing.T) {
	members := newMembers(t, 3)
	members[2].start(t)
	members[1].start(t)
	members[1].waits(t, `peer "n1"`)
	members[2].waits(t, `peer "n1"`)
	members[0].start(t)
	readyLeader(t, members)
	clusters := make(map[string]bool)
	for _, m := range members {
		wait.For(t, "all are in", func() bool { return m.Status().Cluster != "" })
		clusters[m.Status().Cluster] = true
	}
	if len(clusters) != 1 {
		t.Errorf("there are %d clusters", len(clusters))
	}
	must(t, second(members[2].Propose(limited(t), []byte("together"))))
	wantSame(t, members)
}

// Two of three that lost their disks do not form a cluster of their own with the third away: that
// one may hold everything.
func TestNoSecondCluster(t *testing.T) {
	members := startMembers(t, 3)
	readyLeader(t, members)
	must(t, second(members[0].Propose(limited(t), []byte("kept by n3"))))
	wantSame(t, members)
	members[2].stop(t)
	members[0].loseDisk(t)
	members[1].loseDisk(t)
	members[0].start(t)
	members[1].start(t)
	members[0].waits(t, `peer "n3"`)
	members[1].waits(t, `peer "n3"`)
	members[2].start(t) // it is running again, but alone it is not a majority
	members[0].waits(t, "no leader")
	if got := members[2].machine.bodies(); !slices.Equal(got, []string{"kept by n3"}) {
		t.Errorf("n3 holds %q", got)
	}
}

// A node that lost its disk comes back as another server, gets the state, and then a vote.
func TestLostDisk(t *testing.T) {
	members := startMembers(t, 3)
	leader, others := readyLeader(t, members)
	must(t, second(leader.Propose(limited(t), []byte("before"))))
	lost := others[0]
	server := lost.identity.Server
	lost.loseDisk(t)
	must(t, second(others[1].Propose(limited(t), []byte("meanwhile"))))
	lost.start(t)
	hasVote(t, members, lost.config.ID)
	wantSame(t, members)
	if lost.identity.Server == server {
		t.Error("it is the server that it was")
	}
	if servers := leader.servers(); len(servers) != 3 || isMember(servers, server) {
		t.Errorf("the members are %+v, want three, and the server that was lost not among them", servers)
	}
}

// The leader may lose its disk too.
func TestLeaderLosesDisk(t *testing.T) {
	members := startMembers(t, 3)
	leader, _ := readyLeader(t, members)
	must(t, second(leader.Propose(limited(t), []byte("before"))))
	leader.loseDisk(t)
	leader.start(t)
	hasVote(t, members, leader.config.ID)
	wantSame(t, members)
}

// What a configuration may have wrong is said by the node that waits, and nothing comes of it.
func TestFormRefuses(t *testing.T) {
	tests := map[string]struct {
		spoil func(t *testing.T, members []*member)
		want  string
	}{
		"own address": {func(_ *testing.T, m []*member) {
			m[0].config.Peers = []Peer{m[0].config.Peers[0], {ID: "n2", Address: m[0].config.Address}}
		}, "is this very node"},
		"another's address": {func(t *testing.T, m []*member) {
			extra := newMember(t, Peer{ID: "n9", Address: process.FreeAddress(t)})
			extra.config.Peers = []Peer{{ID: "n9", Address: extra.config.Address}, {ID: "n1", Address: m[0].config.Address}}
			extra.start(t)
			m[0].config.Peers = []Peer{m[0].config.Peers[0], {ID: "n2", Address: extra.config.Address}}
		}, `says that it is "n9"`},
		"other peers": {func(_ *testing.T, m []*member) {
			m[1].config.Peers = append(slices.Clone(m[1].config.Peers), Peer{ID: "n3", Address: m[0].config.Address})
		}, "give all the same peers"},
		"other secret": {func(_ *testing.T, m []*member) { m[1].config.Secret = strings.Repeat("another", 5) }, "different cluster secrets: give both"},
		"same name": {func(t *testing.T, m []*member) {
			m[0].config.Peers = nil
			m[0].config.Join = []string{m[1].config.Address}
			m[1].config.ID = "n1"
		}, `has the name "n1", as this one has`},
		"nobody to join": {func(t *testing.T, m []*member) {
			m[0].config.Peers = nil
			m[0].config.Join = []string{m[1].config.Address}
		}, "none of the nodes to join is in a cluster"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			members := newMembers(t, 2)
			test.spoil(t, members)
			members[1].start(t)
			members[0].start(t)
			members[0].waits(t, test.want)
		})
	}
}

// A member whose log is gone, or one part of it, does not start, for it may have voted. With its
// whole folder away it does.
func TestLostLog(t *testing.T) {
	losses := map[string]func(raft string) error{
		"gone":         os.RemoveAll,
		"votes gone":   func(raft string) error { return os.Remove(filepath.Join(raft, "vote.db")) },
		"votes empty":  func(raft string) error { return os.Truncate(filepath.Join(raft, "vote.db"), 0) },
		"entries gone": func(raft string) error { return os.RemoveAll(filepath.Join(raft, "log")) },
		"no files left": func(raft string) error {
			return errors.Join(os.RemoveAll(filepath.Join(raft, "log")), os.Mkdir(filepath.Join(raft, "log"), 0o700))
		},
	}
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			members := startMembers(t, 3)
			leader, others := readyLeader(t, members)
			must(t, second(leader.Propose(limited(t), []byte("before"))))
			must(t, others[0].Barrier(limited(t)))
			loser := others[0]
			loser.stop(t)
			must(t, lose(raftlog.Dir(loser.config.Dir)))
			loser.config.Machine, loser.config.Metrics = loser.machine, prometheus.NewRegistry()
			if _, err := Open(loser.config); err == nil || !strings.Contains(err.Error(), "missing or empty") {
				t.Fatalf("it starts and says %v", err)
			}
			if _, err := CheckLog(loser.config.Dir, 0); err == nil || !strings.Contains(err.Error(), "missing or empty") {
				t.Errorf("it is checked and found to be %v", err)
			}
			loser.loseDisk(t)
			loser.start(t)
			wantSame(t, members)
		})
	}
}

// A data folder says whose it is.
func TestIdentity(t *testing.T) {
	dir := memdir.New(t)
	first, err := openIdentity(dir, "n1")
	must(t, err)
	must(t, first.enter("cafe", nil))
	again, err := openIdentity(dir, "n1")
	must(t, err)
	if again.Server != first.Server || again.cluster() != "cafe" {
		t.Errorf("it was %+v and is %+v", first.identity, again.identity)
	}
	if _, err := openIdentity(dir, "n2"); err == nil || !strings.Contains(err.Error(), `belongs to node "n1"`) {
		t.Errorf("another node's configuration: %v", err)
	}
	again.Format = dataFormat + 1
	must(t, again.write())
	if _, err := openIdentity(dir, "n1"); err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("a newer format: %v", err)
	}
}

// A node with the data of another cluster than its peers ends and says why; nothing is changed.
func TestOtherClustersData(t *testing.T) {
	one, other := startMembers(t, 3), startMembers(t, 1)
	readyLeader(t, one)
	readyLeader(t, other)
	must(t, second(other[0].Propose(limited(t), []byte("of the other"))))
	other[0].stop(t)
	one[0].stop(t)
	stray, reason := other[0], make(chan error, 10)
	stray.config.Peers, stray.config.Listen, stray.config.Address = one[0].config.Peers, one[0].config.Listen, one[0].config.Address
	stray.config.Fatal = func(err error) { reason <- err }
	must(t, second(one[1].Propose(limited(t), []byte("of the one"))))
	stray.start(t)
	if err := <-reason; !strings.Contains(err.Error(), "wrong data folder") {
		t.Errorf("it ends because %v", err)
	}
	stray.stop(t)
	if got := stray.machine.bodies(); !slices.Equal(got, []string{"of the other"}) {
		t.Errorf("its data are %q", got)
	}
	one[0].start(t)
	wantSame(t, one)
	if got := one[0].machine.bodies(); !slices.Equal(got, []string{"of the one"}) {
		t.Errorf("the cluster holds %q", got)
	}
}
