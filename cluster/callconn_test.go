package cluster

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/raft"

	"hookwheel/systemtest/process"
)

// hushable passes on connections to an address, and can make those that exist fall silent without
// closing them.
type hushable struct {
	net.Listener
	to string

	mu    sync.Mutex
	conns []*hushed
}

// hushed is a connection and the one that continues it.
type hushed struct {
	a, b   net.Conn
	silent atomic.Bool
}

func hushableAt(t *testing.T, address, to string) *hushable {
	l, err := net.Listen("tcp", address)
	must(t, err)
	h := &hushable{Listener: l, to: to}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			a, err := l.Accept()
			if err != nil {
				return
			}
			b, err := net.Dial("tcp", to)
			if err != nil {
				a.Close()
				continue
			}
			c := &hushed{a: a, b: b}
			h.mu.Lock()
			h.conns = append(h.conns, c)
			h.mu.Unlock()
			wg.Go(func() { c.pass(a, b) })
			wg.Go(func() { c.pass(b, a) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		h.mu.Lock()
		for _, c := range h.conns {
			c.a.Close()
			c.b.Close()
		}
		h.mu.Unlock()
		wg.Wait()
	})
	return h
}

// pass swallows what comes once the connection is silent, as a firewall does that has forgotten
// it.
func (c *hushed) pass(from, to net.Conn) {
	data := make([]byte, 32<<10)
	for {
		count, err := from.Read(data)
		if !c.silent.Load() {
			_, writeErr := to.Write(data[:count])
			if err = errors.Join(err, writeErr); err != nil {
				to.Close()
			}
		}
		if err != nil {
			return
		}
	}
}

// hush silences the connections that exist.
func (h *hushable) hush() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.conns {
		c.silent.Store(true)
	}
}

// When the connections of a follower to the leader fall silent without being closed, its commands
// and reads soon take new ones.
func TestSilentConnection(t *testing.T) {
	members := newMembers(t, 3)
	proxies := make(map[string]*hushable)
	for _, m := range members {
		m.config.Listen = process.FreeAddress(t)
		proxies[m.config.ID] = hushableAt(t, m.config.Address, m.config.Listen)
		m.start(t)
	}
	leader, others := readyLeader(t, members)
	for _, m := range others { // there is a connection
		must(t, second(m.Propose(limited(t), []byte("before"))))
		must(t, m.Barrier(limited(t)))
	}
	proxies[leader.config.ID].hush()
	for _, m := range others {
		ctx, cancel := context.WithTimeout(t.Context(), callTimeout-time.Second)
		defer cancel()
		must(t, second(m.Propose(ctx, []byte("after"))))
		must(t, m.Barrier(ctx))
	}
}

// A call may take longer than callSilence, but ends soon if the other node is silent.
func TestSlowCall(t *testing.T) {
	commands := appendCommands(nil, []*proposal{{command: Command{Body: []byte("slow")}}})
	synctest.Test(t, func(t *testing.T) {
		n := &Node{config: Config{Machine: newMachine()}, batches: newBatcher(nil, nil, nil), ctx: t.Context()}
		s := callServer{node: n, budget: newBudget(callBudget)}
		near, far := net.Pipe()
		var wg sync.WaitGroup
		wg.Go(func() { s.serveCalls(far, &hello{For: forCalls, From: "n2.1234"}) })
		wg.Go(func() {
			time.Sleep(5 * callSilence)
			for _, p := range n.batches.queues[small].take(maxBatchBytes) {
				p.finish([]byte("done"), nil)
			}
		})
		response, err := newPeerConn(near, "").call(callPropose, commands, callTimeout)
		if o, _, cut := cutOutcome(response); err != nil || cut != nil || string(o.reply) != "done" {
			t.Errorf("the response is %q, %v", response, err)
		}
		near.Close()
		wg.Wait()
	})
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		defer near.Close()
		defer far.Close()
		go io.Copy(io.Discard, far)
		begin := time.Now()
		_, err := newPeerConn(near, "").call(callPropose, commands, callTimeout)
		if took := time.Since(begin); !errors.Is(err, os.ErrDeadlineExceeded) || took != callSilence {
			t.Errorf("the call ends after %v with %v", took, err)
		}
	})
}

// Signs of life come again and again, and none comes after the last.
func TestLifeStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		signs := 0
		var reader sync.WaitGroup
		reader.Go(func() {
			for sign := make([]byte, 4); ; signs++ {
				if _, err := io.ReadFull(near, sign); err != nil {
					return
				}
			}
		})
		l := showLife(far)
		time.Sleep(3*lifeSign + lifeSign/2)
		l.stop()
		time.Sleep(5 * lifeSign)
		far.Close()
		reader.Wait()
		if signs != 3 {
			t.Errorf("%d signs of life, want 3", signs)
		}
	})
}

// Calls to a leader that was replaced end, but for one that asked for that: its response is on the
// way.
func TestCallsToOldLeader(t *testing.T) {
	for kind, answered := range map[byte]bool{callPropose: false, callIndex: false, callChange: true} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			p := newPeers(func(raft.ServerAddress) (net.Conn, error) { return near, nil })
			done := make(chan error, 1)
			go func() {
				_, _, err := p.call("old", kind, []byte("{}"), callTimeout)
				done <- err
			}()
			must(t, second(io.ReadFull(far, make([]byte, 7)))) // kind, size, body
			p.abandon("old")
			_, err := far.Write(appendFrame(nil, []byte("{}")))
			if got := <-done; (got == nil) != answered || (err == nil) != answered {
				t.Errorf("call %d ends with %v, its response with %v", kind, got, err)
			}
			p.abandon("old")
			if len(p.open)+len(p.idle) > 0 {
				t.Errorf("%d connections are open, %d idle", len(p.open), len(p.idle))
			}
			far.Close()
		})
	}
}

// What another node forwards is one batch at most, so that it can't fill the queue.
func TestForwardedBatchIsLimited(t *testing.T) {
	n := &Node{config: Config{Machine: newMachine()}, batches: newBatcher(nil, nil, nil), ctx: t.Context()}
	s := callServer{node: n, budget: newBudget(callBudget)}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	batch := make([]*proposal, maxBatchCommands+1)
	for i := range batch {
		batch[i] = &proposal{command: Command{Body: []byte("x")}}
	}
	if response := s.serveProposals(ctx, appendCommands(nil, batch[1:]), "n2.1234"); len(response) != maxBatchCommands {
		t.Errorf("a full batch is answered with %d bytes", len(response))
	}
	if response := s.serveProposals(ctx, appendCommands(nil, batch), "n2.1234"); response != nil {
		t.Errorf("a larger one is answered with %d bytes", len(response))
	}
	if waiting := n.batches.waiting(); waiting != 0 {
		t.Errorf("%d commands still wait after their callers have given up", waiting)
	}
}
