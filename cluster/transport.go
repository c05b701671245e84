package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"hookwheel/tlslimit"
)

// listener accepts the connections of other nodes and dispatches them by purpose. A single node has
// a listener without a socket.
type listener struct {
	net.Listener // nil: a single node
	node         *Node
	raft         chan net.Conn
	guests       guests
	turns        *tlslimit.Turns
	dialled      dialled
	closed       chan struct{}
	wg           sync.WaitGroup
}

func listen(n *Node) (*listener, error) {
	l := &listener{node: n, turns: tlslimit.NewTurns(), raft: make(chan net.Conn), closed: make(chan struct{})}
	if n.config.Listen == "" {
		return l, nil
	}
	var err error
	if l.Listener, err = net.Listen("tcp", n.config.Listen); err != nil {
		return nil, fmt.Errorf("listening for the other nodes: %w", err)
	}
	return l, nil
}

// run accepts until Close.
func (l *listener) run() {
	for l.Listener != nil {
		conn, err := l.Listener.Accept()
		if err != nil {
			select {
			case <-l.closed:
				return
			case <-time.After(50 * time.Millisecond): // out of file descriptors, most likely
				continue
			}
		}
		arrived := l.guests.arrive(conn)
		if arrived == nil {
			conn.Close()
			continue
		}
		l.wg.Go(func() { l.sort(arrived) })
	}
}

func (l *listener) sort(arrived *guest) {
	n := l.node
	conn, err := n.listener.secure(arrived)
	if err != nil {
		n.listener.tellRefused(arrived, "", err)
		arrived.Close()
		return
	}
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	h, err := n.listener.welcome(conn)
	if err != nil {
		n.listener.tellRefused(arrived, h.From, err)
		return
	}
	as := h.From
	if h.For == forEntry {
		as = forEntry
	}
	if !l.guests.enter(arrived, as) {
		n.listener.tellRefused(arrived, h.From, refused(reasonCrowded, "too many connections of nodes that ask about the cluster"))
		return
	}
	if h.For == forEntry {
		n.calls.serveEntry(conn, &h)
		return
	}
	member := &memberConn{Conn: conn, node: n, server: h.From}
	if h.For == forCalls {
		n.calls.serveCalls(member, &h)
		return
	}
	select {
	case l.raft <- member:
		conn = nil // Raft closes it
	case <-l.closed:
	}
}

// tellRefused logs and counts a refused connection of another node or a stranger.
func (l *listener) tellRefused(from *guest, server string, err error) {
	reason := reasonProtocol
	var known *errRefused
	switch {
	case l.node.ctx.Err() != nil:
		return
	case from.guests.wasPushed(from):
		reason, err = reasonCrowded, errors.New("too many concurrent connections that have not authenticated yet")
	case errors.As(err, &known):
		reason = known.reason
	case isPortProbe(err):
		return
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		reason = reasonTimeout
	}
	l.node.metrics.refused.WithLabelValues(reason).Inc()
	if reason == reasonNew {
		return
	}
	l.node.warnings.log("refused a connection to the cluster port: "+err.Error(), "reason", reason, "from", from.RemoteAddr(), "node", nodeOf(server))
}

// secure is the accepting side of TLS.
func (l *listener) secure(arrived *guest) (net.Conn, error) {
	if l.node.config.TLS == nil {
		return arrived, nil
	}
	config, err := l.node.config.TLS()
	if err != nil {
		return nil, err
	}
	conn := l.turns.Server(arrived, arrived.from, mutualTLS(config))
	ctx, cancel := context.WithTimeout(arrived.alive, handshakeTimeout)
	defer cancel()
	if err := conn.HandshakeContext(ctx); err != nil && !isPortProbe(err) && ctx.Err() == nil {
		return nil, refused(reasonTLS, "TLS: %v", err)
	} else if err != nil {
		return nil, err
	}
	return conn, nil
}

// Accept returns the next connection for Raft.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.raft:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Addr returns the address that other nodes dial. Followers learn the leader's address from it.
func (l *listener) Addr() net.Addr { return netAddress(l.node.raftAddress()) }

type netAddress string

func (netAddress) Network() string  { return "tcp" }
func (a netAddress) String() string { return string(a) }

// Dial makes a connection for Raft.
func (l *listener) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	conn, err := l.node.dialer.dial(address, forRaft, timeout)
	if err != nil {
		return nil, err
	}
	return l.dialled.add(address, conn), nil
}

// Close ends the listener and all connections, and waits for the calls.
func (l *listener) Close() error {
	if !l.guests.close() {
		return nil
	}
	close(l.closed)
	var err error
	if l.Listener != nil {
		err = l.Listener.Close()
	}
	l.wg.Wait()
	return err
}

// dialer connects to other nodes.
type dialer struct {
	node *Node
}

// dial connects to a server of the cluster.
func (d *dialer) dial(to raft.ServerAddress, purpose string, timeout time.Duration) (conn net.Conn, err error) {
	server, _ := splitRaftAddress(to)
	var problems []error
	for _, address := range d.node.addressesOf(to) {
		conn, _, err := d.dialAt(address, purpose, server, timeout)
		if err == nil {
			return conn, nil
		}
		problems = append(problems, fmt.Errorf("node %s at %s: %w", nodeOf(server), address, err))
	}
	return nil, joinOnce(problems)
}

// dialAt connects to the node at address, which must be server unless that is empty. It also
// returns the id of the server it reached.
func (d *dialer) dialAt(address, purpose, server string, timeout time.Duration) (net.Conn, string, error) {
	ctx, cancel := context.WithTimeout(d.node.ctx, min(timeout, handshakeTimeout))
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, "", err
	}
	if d.node.config.TLS != nil {
		config, err := d.node.config.TLS()
		if err != nil {
			return nil, "", errors.Join(err, conn.Close())
		}
		secured := tls.Client(conn, mutualTLS(config))
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, "", errors.Join(fmt.Errorf("TLS: %w", err), conn.Close())
		}
		conn = secured
	}
	other, err := d.greet(conn, purpose, server, timeout)
	if err != nil {
		return nil, "", errors.Join(err, conn.Close())
	}
	return conn, other, nil
}

// mutualTLS returns the configuration of either side, which verifies the chain of the other side's
// certificate at a bounded cost, as anybody may send one. The name in it is verified after the
// handshake (certifiedFor), as the address does not identify the node. Only the certificates of
// nodes are for both servers and clients, and both are required, so that a certificate for HTTPS is
// refused, whatever its names.
func mutualTLS(config *tls.Config) *tls.Config {
	c := config.Clone()
	c.InsecureSkipVerify, c.ClientAuth = true, tls.RequireAnyClientCert // since VerifyConnection does it
	c.VerifyConnection = func(state tls.ConnectionState) error {
		for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
			err := tlslimit.Verify(state.PeerCertificates, x509.VerifyOptions{Roots: config.RootCAs, KeyUsages: []x509.ExtKeyUsage{usage}})
			if err != nil {
				return err
			}
		}
		return nil
	}
	return c
}

// maxPool is how many idle connections to each other node Raft keeps.
const maxPool = 4

func newTransport(n *Node) *safeTransport {
	t := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:  n.listener,
		MaxPool: maxPool,
		Timeout: rpcTimeout,

		// No pipeline. After a pipeline failed, its two ends can block each other permanently
		// (hashicorp/raft #612): the follower gets heartbeats but no entries until a restart, and
		// Shutdown never returns. A pipeline would not help, as only one batch is in flight.
		MaxRPCsInFlight: 1,
		Logger:          raftLogger(n.leading.ctx, n.config.Logger),
	})
	t.TimeoutScale = 8 << 20 // bytes of a snapshot for each Timeout
	safe := &safeTransport{NetworkTransport: t, node: n, saner: make(chan raft.RPC)}
	t.SetHeartbeatHandler(safe.heartbeat)
	return safe
}
