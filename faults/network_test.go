package faults

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// network is what lies between the nodes: a TCP proxy for each directed pair, through which the one
// dials the other. Bytes from a to b pass on the connections that a has made and, as answers, on
// those that b has made.
type network struct {
	mu      sync.Mutex
	changed *sync.Cond
	blocked map[[2]int]bool // from, to: bytes wait
	silent  map[[2]int]int  // from, to: how often connections were silenced
	delay   time.Duration   // of each piece of data, on average
	loss    float64         // probability that a piece is held up as a lost packet is, or the connection is reset
	closed  bool
	links   []*link
	wg      sync.WaitGroup
}

func newNetwork() *network {
	n := &network{blocked: make(map[[2]int]bool), silent: make(map[[2]int]int)}
	n.changed = sync.NewCond(&n.mu)
	return n
}

// link is the proxy through which from dials to.
type link struct {
	network  *network
	from, to int
	listener net.Listener
	target   string
}

// link makes a proxy and returns its address.
func (n *network) link(from, to int, target string) (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	l := &link{network: n, from: from, to: to, listener: listener, target: target}
	n.links = append(n.links, l)
	n.wg.Go(l.run)
	return listener.Addr().String(), nil
}

func (l *link) run() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.network.wg.Go(func() { l.serve(client) })
	}
}

func (l *link) serve(client net.Conn) {
	defer client.Close()
	server, err := net.DialTimeout("tcp", l.target, time.Second)
	if err != nil {
		return
	}
	defer server.Close()
	over := make(chan struct{}, 2)
	go func() { l.copy(server, client, l.from, l.to); over <- struct{}{} }()
	go func() { l.copy(client, server, l.to, l.from); over <- struct{}{} }()
	<-over // one end is closed: close both
	client.Close()
	server.Close()
	l.network.changed.Broadcast()
	<-over
}

// copy carries data from one node to another as the network allows.
func (l *link) copy(dst io.Writer, src net.Conn, from, to int) {
	buffer := make([]byte, 64<<10)
	began := l.network.silences(from, to)
	for {
		n, err := src.Read(buffer)
		if n > 0 && l.network.silences(from, to) == began {
			if !l.network.pass(from, to) {
				return
			}
			if _, err := dst.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass waits until a piece of data may go on; false: the connection is reset.
func (n *network) pass(from, to int) bool {
	n.mu.Lock()
	for n.blocked[[2]int{from, to}] && !n.closed {
		n.changed.Wait()
	}
	var pause time.Duration
	if n.delay > 0 {
		pause = rand.N(2 * n.delay) // so that what goes on several connections changes its order
	}
	reset := false
	if n.loss > 0 && rand.Float64() < n.loss {
		pause += time.Duration(200+rand.IntN(300)) * time.Millisecond
		reset = rand.IntN(10) == 0
	}
	closed := n.closed
	n.mu.Unlock()
	if pause > 0 {
		time.Sleep(pause)
	}
	return !reset && !closed
}

// block holds back what goes from one node to another.
func (n *network) block(from, to int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.blocked[[2]int{from, to}] = true
}

// silence has what goes over the present connections between two nodes get lost, in both
// directions.
func (n *network) silence(a, b int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.silent[[2]int{a, b}]++
	n.silent[[2]int{b, a}]++
}

func (n *network) silences(from, to int) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.silent[[2]int{from, to}]
}

// isolate cuts a node off from all others.
func (n *network) isolate(node, nodes int) {
	for other := range nodes {
		if other != node {
			n.block(node, other)
			n.block(other, node)
		}
	}
}

func (n *network) disturb(delay time.Duration, loss float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.delay, n.loss = delay, loss
}

// heal lets everything through.
func (n *network) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.blocked)
	n.delay, n.loss = 0, 0
	n.changed.Broadcast()
}

func (n *network) close() error {
	n.heal()
	n.mu.Lock()
	n.closed = true
	n.changed.Broadcast()
	n.mu.Unlock()
	for _, l := range n.links {
		if err := l.listener.Close(); err != nil {
			return fmt.Errorf("closing a proxy: %w", err)
		}
	}
	return nil
}
