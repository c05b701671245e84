package cluster

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// The first byte on a connection between nodes says what it is for.
const (
	connRaft  = 'r'
	connCalls = 'c'
)

const (
	helloTimeout   = 5 * time.Second
	maxConnections = 256 // from other nodes
)

// listener takes the connections of other nodes and sorts them by their first byte.
type listener struct {
	net.Listener
	advertise address
	raft      chan net.Conn
	calls     func(net.Conn)

	mu     sync.Mutex
	open   map[net.Conn]struct{} // calls only; Raft closes its own
	closed chan struct{}
	wg     sync.WaitGroup
}

// address is a host:port.
type address string

func (address) Network() string  { return "tcp" }
func (a address) String() string { return string(a) }

// listen takes connections at where; advertise is how the other nodes reach it, for that may be ":9071" to us.
func listen(where, advertise string, calls func(net.Conn)) (*listener, error) {
	l, err := net.Listen("tcp", where)
	if err != nil {
		return nil, fmt.Errorf("listening for the other nodes: %w", err)
	}
	return &listener{Listener: l, advertise: address(advertise), raft: make(chan net.Conn), calls: calls,
		open: make(map[net.Conn]struct{}), closed: make(chan struct{})}, nil
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
		if !l.track(conn) {
			conn.Close()
			continue
		}
		l.wg.Go(func() { l.sort(conn) })
	}
}

func (l *listener) track(conn net.Conn) bool {
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

func (l *listener) untrack(conn net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, conn)
}

func (l *listener) sort(conn net.Conn) {
	defer l.untrack(conn)
	var hello [1]byte
	err := conn.SetReadDeadline(time.Now().Add(helloTimeout))
	if err == nil {
		_, err = conn.Read(hello[:])
	}
	if err == nil {
		err = conn.SetReadDeadline(time.Time{})
	}
	switch {
	case err == nil && hello[0] == connRaft:
		select {
		case l.raft <- conn:
			return
		case <-l.closed:
		}
	case err == nil && hello[0] == connCalls:
		l.calls(conn)
	}
	conn.Close()
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

// Addr is what other nodes dial.
func (l *listener) Addr() net.Addr { return l.advertise }

// Dial makes a connection for Raft.
func (l *listener) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	return dial(string(address), connRaft, timeout)
}

// Close ends the listener and all calls, and waits for them.
func (l *listener) Close() error {
	l.mu.Lock()
	select {
	case <-l.closed:
		l.mu.Unlock()
		return nil
	default:
	}
	close(l.closed)
	for conn := range l.open {
		conn.Close()
	}
	l.mu.Unlock()
	err := l.Listener.Close()
	l.wg.Wait()
	return err
}

func dial(address string, purpose byte, timeout time.Duration) (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", address, timeout)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte{purpose}); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
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
		Logger:  raftLogger(config.Logger),
	})
	t.TimeoutScale = 8 << 20 // bytes of a snapshot for each Timeout
	return safeTransport{t}
}
