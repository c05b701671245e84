package cluster

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"hookwheel/systemtest/memdir"
	"hookwheel/systemtest/process"
	"hookwheel/systemtest/wait"
)

// member is one node with a machine that has snapshots.
type member struct {
	*Node
	machine *machine
	config  Config
}

func startMembers(t *testing.T, count int) []*member {
	t.Helper()
	members := newMembers(t, count)
	for _, m := range members {
		m.start(t)
	}
	return members
}

// newMembers are the peers of one cluster, not started.
func newMembers(t *testing.T, count int) []*member {
	t.Helper()
	peers := make([]Peer, count)
	for i := range peers {
		peers[i] = Peer{ID: fmt.Sprint("n", i+1), Address: process.FreeAddress(t)}
	}
	members := make([]*member, count)
	for i, p := range peers {
		members[i] = newMember(t, p)
		members[i].config.Peers = peers
	}
	return members
}

const testSecret = "0123456789abcdef0123456789abcdef"

func newMember(t *testing.T, p Peer) *member {
	t.Helper()
	m := &member{machine: newMachine()}
	m.config = Config{ID: p.ID, Dir: memdir.New(t), Listen: p.Address, Address: p.Address, Voter: true, Version: "test", Secret: testSecret,
		Logger: testLogger(t, p.ID), Fatal: func(err error) { t.Error(p.ID, err) }}
	t.Cleanup(func() { m.stop(t) })
	return m
}

func testLogger(t *testing.T, id string) *slog.Logger {
	if !testing.Verbose() {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(t.Output(), nil)).With("node", id)
}

func (m *member) start(t *testing.T) {
	t.Helper()
	m.config.Machine, m.config.Metrics = m.machine, prometheus.NewRegistry()
	var err error
	if m.Node, err = Open(m.config); err != nil {
		t.Fatal(err)
	}
}

func (m *member) stop(t *testing.T) {
	t.Helper()
	if m.Node != nil {
		must(t, m.Close())
		m.Node = nil
	}
}

// crash stops a node and forgets what its machine has not made durable.
func (m *member) crash(t *testing.T) {
	t.Helper()
	m.stop(t)
	m.machine = m.machine.reopen()
}

// readyLeader waits for one.
func readyLeader(t *testing.T, members []*member) (leader *member, others []*member) {
	t.Helper()
	i := -1
	wait.For(t, "a leader", func() bool {
		i = slices.IndexFunc(members, func(m *member) bool { return m.Node != nil && m.Status().Ready })
		return i >= 0
	})
	return members[i], slices.Delete(slices.Clone(members), i, i+1)
}

// fillLog makes entries of one command each, many in flight at once.
func fillLog(t *testing.T, leader *member, name string, entries int) {
	t.Helper()
	futures := make([]raft.ApplyFuture, entries)
	for i := range futures {
		p := &proposal{command: Command{Request: leader.requests.next(), Body: fmt.Append(nil, name, i)}}
		futures[i] = leader.raft.Apply(encodeEntry(int64(i), []*proposal{p}), 10*time.Second)
	}
	for _, f := range futures {
		must(t, f.Error())
	}
}

// cutLog takes a snapshot and wants the log cut behind it.
func (m *member) cutLog(t *testing.T) {
	t.Helper()
	must(t, m.raft.Snapshot().Error())
	first, err := m.log.FirstIndex()
	must(t, err)
	if first <= 1 {
		t.Fatalf("%s has not cut its log: it begins at %d", m.config.ID, first)
	}
}

// wantSame compares what the machines hold after a barrier on each node.
func wantSame(t *testing.T, members []*member) {
	t.Helper()
	for _, m := range members {
		must(t, m.Barrier(limited(t)))
		if got, want := m.machine.bodies(), members[0].machine.bodies(); !slices.Equal(got, want) {
			t.Errorf("%s holds %d commands, %s %d, or in another order", m.config.ID, len(got), members[0].config.ID, len(want))
		}
	}
}

func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func second[T any](_ T, err error) error { return err }
