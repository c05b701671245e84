package delivery

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// errStale means that a connection was found closed before any byte of a request was written to it:
// the receiver cannot have received the request, so it may be sent on another connection.
var errStale = errors.New("the connection was closed while it was idle")

// conn is a TCP connection, below TLS and proxies, that is registered with its dialer. Before it
// writes a request to a connection that has carried others, it checks that the receiver has not
// closed it. Only one goroutine uses it at a time, but any may close it.
type conn struct {
	net.Conn
	raw    syscall.RawConn
	dialer *dialer
	ready  bool // handshakes are over
	idle   bool // something was read after the last write, so the next write begins a request

	peek   func(fd uintptr) // looks for something to read, and sets peeked
	peeked error
	peeks  [1]byte
}

// newConn wraps a new connection. Until settle is called, closing it discards what the kernel has
// not delivered yet: a request that was given up must not arrive later, even if this process is
// killed.
func newConn(plain net.Conn, d *dialer) (*conn, error) {
	tcp, ok := plain.(*net.TCPConn)
	if !ok {
		return nil, errors.Join(errors.New("not a TCP connection"), plain.Close())
	}
	raw, err := tcp.SyscallConn()
	if err == nil && discardsUnsent {
		err = tcp.SetLinger(0)
	}
	if err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	c := &conn{Conn: plain, raw: raw, dialer: d}
	c.peek = func(fd uintptr) {
		_, _, c.peeked = syscall.Recvfrom(int(fd), c.peeks[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	}
	return c, nil
}

func (c *conn) Close() error {
	c.dialer.mu.Lock()
	delete(c.dialer.open, c)
	c.dialer.mu.Unlock()
	return c.Conn.Close()
}

func (c *conn) Read(p []byte) (int, error) {
	c.idle = c.ready
	return c.Conn.Read(p)
}

// Write returns no error if the receiver closes the connection in the middle of a request. The
// receiver may have responded early: the next read returns that response, or else that the
// connection is closed.
func (c *conn) Write(p []byte) (int, error) {
	begins := c.idle
	c.idle = false
	if begins && c.isOver() {
		return 0, errStale
	}
	n, err := c.Conn.Write(p)
	switch closed := errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET); {
	case !closed || !c.ready:
		return n, err
	case begins && n == 0:
		return 0, errStale // it was closed in the meantime; the kernel accepted nothing
	default:
		return len(p), nil
	}
}

// isOver reports whether an idle connection was closed, or has unsolicited data to read, such as a
// 408 or TLS's close_notify. Such data means that the connection is about to be closed, and would
// be mistaken for a response.
func (c *conn) isOver() bool {
	err := c.raw.Control(c.peek)
	return err != nil || !errors.Is(c.peeked, syscall.EAGAIN)
}

// pending reports whether the kernel holds bytes that the receiver has not acknowledged.
func (c *conn) pending() bool {
	var left int
	var err error
	controlErr := c.raw.Control(func(fd uintptr) { left, err = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) })
	return controlErr == nil && (err != nil || left > 0)
}

// settle makes the kernel deliver what is written from now on, such as TLS's close_notify, even
// after Close.
func (c *conn) settle() {
	_ = c.Conn.(*net.TCPConn).SetLinger(-1) // it fails only if the connection is closed
}
