package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// tape is a state machine that keeps the bodies of all commands in order, each request once. Its reply is the place.
type tape struct {
	mu      sync.Mutex
	state   State
	bodies  []string
	places  map[[16]byte]uint64
	entries int
}

func newTape() *tape { return &tape{places: make(map[[16]byte]uint64)} }

func (m *tape) Apply(index, term uint64, _ int64, commands []Command) (replies [][]byte, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries++
	for _, c := range commands {
		place, known := m.places[c.Request]
		if !known {
			place = uint64(len(m.bodies))
			m.places[c.Request] = place
			m.bodies = append(m.bodies, string(c.Body))
		} else if c.Since == 0 {
			return nil, errors.New("a repetition that does not say so")
		}
		replies = append(replies, binary.BigEndian.AppendUint64(nil, place))
	}
	m.state.Index, m.state.Term = index, term
	return replies, nil
}

func (m *tape) Configure(index, term uint64, configuration []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state = State{Index: index, Term: term, ConfigurationIndex: index, Configuration: slices.Clone(configuration)}
	return nil
}

func (m *tape) Commit() error                   { return nil }
func (m *tape) Applied() uint64                 { return m.State().Index }
func (m *tape) Admit(command []byte) []byte     { return nil }
func (m *tape) RestoreSnapshot(io.Reader) error { return errors.New("not needed in these tests") }

func (m *tape) State() State {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state
}

func (m *tape) OpenSnapshot() (State, int64, io.ReadCloser, error) {
	return State{}, 0, nil, errors.New("not needed in these tests")
}

func (m *tape) copyBodies() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.bodies)
}

// testNode is one node of a test's cluster, with the machine that outlives its restarts.
type testNode struct {
	*Node
	machine *tape
	config  Config
}

func startNodes(t *testing.T, count int) []*testNode {
	t.Helper()
	var peers []Peer
	for i := range count {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		peers = append(peers, Peer{ID: fmt.Sprint("n", i+1), Address: l.Addr().String()})
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var nodes []*testNode
	for _, p := range peers {
		n := &testNode{machine: newTape()}
		n.config = Config{ID: p.ID, Dir: t.TempDir(), Listen: p.Address, Peers: peers, Machine: n.machine,
			Logger: slog.New(slog.DiscardHandler), Fatal: func(err error) { t.Error(p.ID, err) }}
		n.start(t)
		nodes = append(nodes, n)
		t.Cleanup(func() { n.stop(t) })
	}
	return nodes
}

func (n *testNode) start(t *testing.T) {
	t.Helper()
	n.config.Metrics = prometheus.NewRegistry()
	var err error
	if n.Node, err = Open(n.config); err != nil {
		t.Fatal(err)
	}
}

func (n *testNode) stop(t *testing.T) {
	t.Helper()
	if n.Node == nil {
		return
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	n.Node = nil
}

func leaderOf(t *testing.T, nodes []*testNode) *testNode {
	t.Helper()
	for range 1000 {
		for _, n := range nodes {
			if n.Node != nil && n.Status().Ready {
				return n
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("no leader in 20 s")
	return nil
}

func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// proposeMany has callers propose through nodes in turn; each command must get through, and none twice.
func proposeMany(t *testing.T, nodes []*testNode, callers, each int) (bodies []string) {
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

func wantOnce(t *testing.T, machine *tape, want []string) {
	t.Helper()
	got := machine.copyBodies()
	slices.Sort(got)
	want = slices.Clone(want)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d commands were applied, %d proposed", len(got), len(want))
	}
}

func TestGroupCommit(t *testing.T) {
	nodes := startNodes(t, 1)
	leaderOf(t, nodes)
	bodies := proposeMany(t, nodes, 64, 10)
	wantOnce(t, nodes[0].machine, bodies)
	if nodes[0].machine.entries > len(bodies)/2 {
		t.Errorf("%d entries for %d commands: they do not share", nodes[0].machine.entries, len(bodies))
	}
}

// TestForwarding proposes on every node and reads back on every other.
func TestForwarding(t *testing.T) {
	nodes := startNodes(t, 3)
	bodies := proposeMany(t, nodes, 12, 20)
	for _, n := range nodes {
		if err := n.Barrier(limited(t)); err != nil {
			t.Fatal(err)
		}
		wantOnce(t, n.machine, bodies)
	}
	if first := nodes[0].machine.copyBodies(); !slices.Equal(first, nodes[1].machine.copyBodies()) || !slices.Equal(first, nodes[2].machine.copyBodies()) {
		t.Error("the nodes do not agree on the order")
	}
}

// TestLeaderLeaves stops the leader under load: the calls to the others get through all the same, each once. Then it
// comes back and catches up.
func TestLeaderLeaves(t *testing.T) {
	nodes := startNodes(t, 3)
	leader := leaderOf(t, nodes)
	var others []*testNode
	for _, n := range nodes {
		if n != leader {
			others = append(others, n)
		}
	}
	done := make(chan []string)
	go func() { done <- proposeMany(t, others, 8, 100) }()
	time.Sleep(50 * time.Millisecond)
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
	nodes := startNodes(t, 3)
	leaderOf(t, nodes)
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

func TestBatchBounds(t *testing.T) {
	b := newBatcher(nil)
	queue := func(count, size int) {
		for range count {
			b.queue <- &proposal{command: Command{Body: make([]byte, size)}}
		}
	}
	queue(300, 10)
	batch, left := b.fill(&proposal{})
	if len(batch) != maxBatchCommands || left != nil {
		t.Errorf("%d commands in a batch", len(batch))
	}
	b = newBatcher(nil)
	queue(5, 100<<10)
	batch, left = b.fill(&proposal{})
	if len(batch) != 3 || left == nil {
		t.Errorf("%d large commands in a batch", len(batch))
	}
	batch, left = b.fill(&proposal{command: Command{Body: make([]byte, maxBatchBytes)}})
	if len(batch) != 1 || left == nil {
		t.Errorf("a command of full size travels with %d others", len(batch)-1)
	}
}

// TestVoteIsOneRecord crashes between the two steps in which Raft writes a vote.
func TestVoteIsOneRecord(t *testing.T) {
	dir := t.TempDir()
	open := func() *logStore {
		s, err := openLogStore(dir, func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	err := errors.Join(s.SetUint64(keyVoteTerm, 3), s.Set(keyVoteCandidate, []byte("n1")), s.SetUint64(keyVoteTerm, 4), s.Close())
	if err != nil {
		t.Fatal(err)
	}
	s = open()
	defer s.Close()
	term, err := s.GetUint64(keyVoteTerm)
	candidate, err2 := s.Get(keyVoteCandidate)
	if err := errors.Join(err, err2); err != nil || term != 3 || string(candidate) != "n1" {
		t.Errorf("vote in term %d for %s, %v", term, candidate, err)
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
