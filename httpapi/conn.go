package httpapi

import (
	"crypto/tls"
	"errors"
	"net"
)

// conn is a client's connection.
type conn struct {
	*net.TCPConn
	seen  int64 // bytes read so far
	bound int64 // of seen; 0: none
}

var errTooMuch = errors.New("the client sends more than it may")

// connOf finds the connection below TLS.
func connOf(c net.Conn) *conn {
	if t, is := c.(*tls.Conn); is {
		c = t.NetConn()
	}
	return c.(*conn)
}

func (c *conn) Read(data []byte) (int, error) {
	if c.bound > 0 {
		if c.seen >= c.bound {
			return 0, errTooMuch
		}
		data = data[:min(int64(len(data)), c.bound-c.seen)]
	}
	n, err := c.TCPConn.Read(data)
	c.seen += int64(n)
	return n, err
}
