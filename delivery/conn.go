package delivery

import (
	"errors"
	"net"
	"syscall"
)

// errStale means that a connection was found closed before any byte of a request was written to it: the receiver did certainly not
// take the request, so it may be sent on another connection.
var errStale = errors.New("the connection was closed while it was idle")

// conn is a TCP connection that its dialer knows, below TLS and proxies. It looks whether the receiver is still there before a request
// is written to a connection that has carried others. It is used by one goroutine at a time, but may be closed by any.
type conn struct {
	net.Conn
	raw    syscall.RawConn
	dialer *dialer
	ready  bool // handshakes are over
	idle   bool // something was read after the last write: what is written next begins a request
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

// Write hides from who writes a request that the receiver has closed the connection in the middle of it. It may have answered early: what
// there is of an answer is read then, and if there is none, that the connection is closed.
func (c *conn) Write(p []byte) (int, error) {
	begins := c.idle
	c.idle = false
	if begins && c.over() {
		return 0, errStale
	}
	n, err := c.Conn.Write(p)
	switch closed := errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET); {
	case !closed || !c.ready:
		return n, err
	case begins && n == 0:
		return 0, errStale // it was closed since; the kernel took nothing
	default:
		return len(p), nil
	}
}

// over tells whether an idle connection has come to its end, or holds something that nobody asked for, such as a 408 or TLS's
// close_notify: then its end is near, and what is read there would be taken for an answer.
func (c *conn) over() bool {
	var err error
	controlErr := c.raw.Control(func(fd uintptr) {
		_, _, err = syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	})
	return controlErr != nil || !errors.Is(err, syscall.EAGAIN)
}
