package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const maxConnections = 256 // from other nodes

// listener takes the connections of other nodes and sorts them by what they are for.
type listener struct {
	net.Listener
	node *Node
	raft chan net.Conn

	dialled dialled

	mu     sync.Mutex
	open   map[*trackedConn]struct{}
	closed chan struct{}
	wg     sync.WaitGroup
}

func (n *Node) listen() (*listener, error) {
	l, err := net.Listen("tcp", n.config.Listen)
	if err != nil {
		return nil, fmt.Errorf("listening for the other nodes: %w", err)
	}
	return &listener{Listener: l, node: n, raft: make(chan net.Conn), open: make(map[*trackedConn]struct{}), closed: make(chan struct{})}, nil
}

// run accepts until Close.
func (l *listener) run() {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			select {
			case <-l.closed:
				return
			case <-time.After(50 * time.Millisecond): // out of file descriptors, most likely
				continue
			}
		}
		tracked := &trackedConn{Conn: conn, listener: l}
		if !l.track(tracked) {
			conn.Close()
			continue
		}
		l.wg.Go(func() { l.sort(tracked) })
	}
}

// trackedConn is known to its listener until it is closed.
type trackedConn struct {
	net.Conn
	listener *listener
}

func (c *trackedConn) Close() error {
	c.listener.mu.Lock()
	delete(c.listener.open, c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

func (l *listener) track(conn *trackedConn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.closed:
		return false
	default:
	}
	if len(l.open) >= maxConnections {
		return false
	}
	l.open[conn] = struct{}{}
	return true
}

func (l *listener) sort(tracked *trackedConn) {
	n := l.node
	conn, err := n.secure(tracked)
	if err != nil {
		n.warnings.log("TLS with another node: "+err.Error(), "from", tracked.RemoteAddr())
		tracked.Close()
		return
	}
	defer func() {
		if conn != nil {
			conn.Close()
		}
	}()
	h, err := n.welcome(conn)
	if errors.Is(err, io.EOF) { // it only looked whether somebody listens
		return
	}
	if err != nil {
		n.warnings.log("a connection of another node is refused: "+err.Error(), "from", tracked.RemoteAddr(), "node", nodeOf(h.From))
		return
	}
	if h.For != forRaft {
		n.serveCalls(conn, &h)
		return
	}
	select {
	case l.raft <- conn:
		conn = nil // Raft closes it
	case <-l.closed:
	}
}

// secure is the accepting side of TLS.
func (n *Node) secure(conn net.Conn) (net.Conn, error) {
	if n.config.TLS == nil {
		return conn, nil
	}
	config, err := n.config.TLS()
	if err != nil {
		return nil, err
	}
	secured := tls.Server(conn, config)
	ctx, cancel := context.WithTimeout(n.ctx, handshakeTimeout)
	defer cancel()
	return secured, secured.HandshakeContext(ctx)
}

// Accept gives Raft its connections.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.raft:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Addr is what other nodes dial; followers learn the leader's from it.
func (l *listener) Addr() net.Addr { return netAddress(l.node.raftAddress()) }

type netAddress string

func (netAddress) Network() string  { return "tcp" }
func (a netAddress) String() string { return string(a) }

// Dial makes a connection for Raft.
func (l *listener) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	conn, err := l.node.dial(address, forRaft, timeout)
	if err != nil {
		return nil, err
	}
	return l.dialled.add(address, conn), nil
}

// dropAll ends all connections that others have made.
func (l *listener) dropAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for conn := range l.open {
		conn.Conn.Close()
	}
}

// Close ends the listener and all connections, and waits for the calls.
func (l *listener) Close() error {
	l.mu.Lock()
	select {
	case <-l.closed:
		l.mu.Unlock()
		return nil
	default:
	}
	close(l.closed)
	l.mu.Unlock()
	l.dropAll()
	err := l.Listener.Close()
	l.wg.Wait()
	return err
}

// dial connects to a server of the cluster.
func (n *Node) dial(to raft.ServerAddress, purpose string, timeout time.Duration) (conn net.Conn, err error) {
	server, _ := splitRaftAddress(to)
	var problems []error
	for _, address := range n.addressesOf(to) {
		conn, _, err := n.dialAt(address, purpose, server, timeout)
		if err == nil {
			return conn, nil
		}
		problems = append(problems, fmt.Errorf("node %s at %s: %w", nodeOf(server), address, err))
	}
	return nil, errors.Join(problems...)
}

// dialAt connects to whoever is at address, who must be server unless that is empty, and returns who it is.
func (n *Node) dialAt(address, purpose, server string, timeout time.Duration) (net.Conn, string, error) {
	ctx, cancel := context.WithTimeout(n.ctx, min(timeout, handshakeTimeout))
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, "", err
	}
	if n.config.TLS != nil {
		config, err := n.config.TLS()
		if err != nil {
			return nil, "", errors.Join(err, conn.Close())
		}
		secured := tls.Client(conn, clientTLS(config))
		if err := secured.HandshakeContext(ctx); err != nil {
			return nil, "", errors.Join(fmt.Errorf("TLS: %w", err), conn.Close())
		}
		conn = secured
	}
	other, err := n.greet(conn, purpose, server, timeout)
	if err != nil {
		return nil, "", errors.Join(err, conn.Close())
	}
	return conn, other, nil
}

// clientTLS verifies the chain of the other side's certificate here, and its name when the handshake has said which node it
// is (certifiedFor): an address does not tell that.
func clientTLS(config *tls.Config) *tls.Config {
	c := config.Clone()
	c.InsecureSkipVerify = true
	c.VerifyConnection = func(state tls.ConnectionState) error {
		intermediates := x509.NewCertPool()
		for _, certificate := range state.PeerCertificates[1:] {
			intermediates.AddCert(certificate)
		}
		_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: config.RootCAs, Intermediates: intermediates,
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
		return err
	}
	return c
}

// safeTransport never lets Raft install its fast path for heartbeats, on which a deposed leader can write entries under the
// term of its successor (hashicorp/raft #695). Heartbeats go the way of all other calls.
type safeTransport struct{ *raft.NetworkTransport }

// SetHeartbeatHandler does nothing, which raft.Transport allows.
func (safeTransport) SetHeartbeatHandler(func(raft.RPC)) {}

var _ raft.WithPreVote = safeTransport{}

func newTransport(l *listener, config Config) safeTransport {
	t := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:  l,
		MaxPool: 4,
		Timeout: 10 * time.Second,

		// No pipeline. After one failed, its two ends can wait for each other for good
		// (hashicorp/raft #612): that follower gets heartbeats but no entries until a restart,
		// and Shutdown never ends. It brings nothing here, as one batch is on its way at a time.
		MaxRPCsInFlight: 1,
		Logger:          raftLogger(config.Logger),
	})
	t.TimeoutScale = 8 << 20 // bytes of a snapshot for each Timeout
	return safeTransport{t}
}
