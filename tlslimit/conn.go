package tlslimit

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
)

const (
	handshakeBytes = 16 << 10 // that a client may send before its handshake is complete
	messageBytes   = 24 << 10 // that it may send for one Read after it: a record has 17 KiB at most
)

var errTooMuch = errors.New("it sends more than it may")

// Conn is the accepting side of TLS.
type Conn struct {
	*tls.Conn
	below *below
}

// Server returns the accepting side of TLS on a connection from an origin.
func (t *Turns) Server(conn net.Conn, origin string, config *tls.Config) *Conn {
	b := &below{Conn: conn, turns: t, origin: origin, left: handshakeBytes}
	return &Conn{tls.Server(b, config), b}
}

// HandshakeContext is called once, before anything is read or written. The connection is closed
// when ctx ends.
func (c *Conn) HandshakeContext(ctx context.Context) error {
	c.below.handshake = ctx
	err := c.Conn.HandshakeContext(ctx)
	c.below.handshake = nil
	c.below.endTurn()
	return err
}

// Read bounds what a client sends without any content, which is kept in memory.
func (c *Conn) Read(data []byte) (int, error) {
	c.below.left = messageBytes
	return c.Conn.Read(data)
}

// below is a connection below TLS. Between two Reads of a handshake is what the first one costs.
type below struct {
	net.Conn
	turns     *Turns
	origin    string
	left      int             // bytes that may be read
	begun     bool            // it has had a turn
	handshake context.Context // nil: none is under way
	end       func()          // ends the turn; nil: it has none
}

func (b *below) Read(data []byte) (int, error) {
	b.endTurn()
	if b.left == 0 {
		return 0, errTooMuch
	}
	n, err := b.Conn.Read(data[:min(len(data), b.left)])
	b.left -= n
	if b.handshake == nil || err != nil {
		return n, err
	}
	b.end, err = b.turns.await(b.handshake, b.origin, b.begun)
	b.begun = true
	return n, err
}

func (b *below) endTurn() {
	if b.end != nil {
		b.end()
		b.end = nil
	}
}
