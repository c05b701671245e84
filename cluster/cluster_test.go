package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"hookwheel/systemtest/wait"
)

// proposeMany has callers propose through nodes in turn; each command must get through, and none
// twice.
func proposeMany(t *testing.T, nodes []*member, callers, each int) (bodies []string) {
	t.Helper()
	var wg sync.WaitGroup
	for caller := range callers {
		n := nodes[caller%len(nodes)].Node
		for i := range each {
			bodies = append(bodies, fmt.Sprint(caller, "/", i))
		}
		wg.Go(func() {
			for i := range each {
				if _, err := n.Propose(limited(t), fmt.Append(nil, caller, "/", i)); err != nil {
					t.Errorf("caller %d: %v", caller, err)
				}
			}
		})
	}
	wg.Wait()
	return bodies
}

func wantOnce(t *testing.T, machine *machine, want []string) {
	t.Helper()
	got := machine.bodies()
	slices.Sort(got)
	want = slices.Clone(want)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d commands were applied, %d proposed", len(got), len(want))
	}
}

func TestGroupCommit(t *testing.T) {
	nodes := startMembers(t, 1)
	readyLeader(t, nodes)
	bodies := proposeMany(t, nodes, 64, 10)
	wantOnce(t, nodes[0].machine, bodies)
	if nodes[0].machine.entries > len(bodies)/2 {
		t.Errorf("%d entries for %d commands: they do not share", nodes[0].machine.entries, len(bodies))
	}
}

// TestForwarding proposes on every node and reads back on every other.
func TestForwarding(t *testing.T) {
	nodes := startMembers(t, 3)
	bodies := proposeMany(t, nodes, 12, 20)
	for _, n := range nodes {
		if err := n.Barrier(limited(t)); err != nil {
			t.Fatal(err)
		}
		wantOnce(t, n.machine, bodies)
	}
	if first := nodes[0].machine.bodies(); !slices.Equal(first, nodes[1].machine.bodies()) || !slices.Equal(first, nodes[2].machine.bodies()) {
		t.Error("the nodes do not agree on the order")
	}
}

// TestLeaderLeaves stops the leader under load: the calls to the others still succeed,
// each once. Then it comes back and catches up.
func TestLeaderLeaves(t *testing.T) {
	nodes := startMembers(t, 3)
	leader, others := readyLeader(t, nodes)
	done := make(chan []string)
	go func() { done <- proposeMany(t, others, 8, 100) }()
	wait.For(t, "the calls are under way", func() bool { return len(leader.machine.bodies()) > 0 })
	leader.stop(t)
	bodies := <-done
	leader.start(t)
	for _, n := range nodes {
		if err := n.Barrier(limited(t)); err != nil {
			t.Fatal(err)
		}
		wantOnce(t, n.machine, bodies)
	}
}

// TestNoLeader asks a node that is alone of three: it says so when the caller's time is up.
func TestNoLeader(t *testing.T) {
	nodes := startMembers(t, 3)
	readyLeader(t, nodes)
	nodes[1].stop(t)
	nodes[2].stop(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if _, err := nodes[0].Propose(ctx, []byte("x")); !errors.Is(err, ErrNoLeader) {
		t.Errorf("propose: %v", err)
	}
	if err := nodes[0].Barrier(ctx); !errors.Is(err, ErrNoLeader) {
		t.Errorf("barrier: %v", err)
	}
}

func FuzzDecodeEntry(f *testing.F) {
	f.Add(encodeEntry(1, []*proposal{{command: Command{Since: 5, Body: []byte("body")}}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		now, commands, err := decodeEntry(data)
		if err != nil {
			return
		}
		batch := make([]*proposal, len(commands))
		for i := range commands {
			batch[i] = &proposal{command: commands[i]}
		}
		if _, again, err := decodeEntry(encodeEntry(now, batch)); err != nil || len(again) != len(commands) {
			t.Errorf("%d commands became %d, %v", len(commands), len(again), err)
		}
	})
}

// Nodes that listen on all addresses of their machines still find their leader: by the address that
// they say they have.
func TestListenOnAllAddresses(t *testing.T) {
	members := startMembers(t, 3)
	for _, m := range members {
		m.stop(t)
		_, port, err := net.SplitHostPort(m.config.Listen)
		must(t, err)
		m.config.Listen = net.JoinHostPort("", port)
	}
	for _, m := range members {
		m.start(t)
	}
	leader, others := readyLeader(t, members)
	must(t, second(others[0].Propose(limited(t), []byte("forwarded"))))
	if got, _ := others[0].raft.LeaderWithID(); string(got) != leader.raftAddress() {
		t.Errorf("a follower looks for the leader at %s, want %s", got, leader.raftAddress())
	}
}

// TestThrottle has callers on each node wait as long as the leader's Throttle says.
func TestThrottle(t *testing.T) {
	const delay = 20 * time.Millisecond
	nodes := newMembers(t, 3)
	for _, n := range nodes {
		n.config.Throttle = func(command []byte) time.Duration {
			if string(command) == "slow" {
				return delay
			}
			return 0
		}
		n.start(t)
	}
	leader, _ := readyLeader(t, nodes)
	for _, n := range nodes {
		for _, body := range []string{"slow", "other"} {
			begin := time.Now()
			if _, err := n.Propose(limited(t), []byte(body)); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); body == "slow" && took < delay {
				t.Errorf("%s waited for %s only", n.config.ID, took)
			}
		}
	}
	if count := testutil.ToFloat64(leader.metrics.throttledCommands); count != 3 {
		t.Errorf("%v commands are counted", count)
	}
}
