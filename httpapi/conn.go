package httpapi

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// conn is a client's connection.
type conn struct {
	*net.TCPConn
	seen  int64 // bytes of requests read so far, without what TLS adds
	bound int64 // of seen; 0: none

	all     *connections
	gate    *gate                 // at which it was accepted
	origin  string                // of the client, see tlslimit.Origin
	caller  atomic.Pointer[owner] // of the last request with a valid token; nil: none
	state   atomic.Int32          // idle, busy or doomed
	since   atomic.Int64          // when that ended, or the connection was opened; in nanoseconds
	unread  atomic.Bool           // the last request was refused before all of it was read
	waiting atomic.Bool           // a Read is in progress
	asked   atomic.Int64          // since when a handshake waits for the client, in nanoseconds; 0: it does not
	waited  atomic.Int64          // for how long it did before that
	served  atomic.Bool           // the client has got something from us, in a handshake or later
	fresh   atomic.Bool           // nobody has begun to read
	alive   context.Context       // ends when the connection is closed
	end     context.CancelFunc    // of alive
}

// States of a connection.
const (
	idle   = iota
	busy   // a request with a valid token is being answered
	doomed // about to be closed, to make room for another one
)

// begin notes that a request is being answered, until the next Read. It reports false if the
// connection is about to be closed: then nobody would learn what became of the request.
func (c *conn) begin() bool { return c.state.CompareAndSwap(idle, busy) || c.state.Load() == busy }

// doom claims a connection for closing unless a request is being answered.
func (c *conn) doom() bool { return c.state.CompareAndSwap(idle, doomed) }

var errTooMuch = errors.New("the client sends more than it may")

// connOf finds the connection below TLS.
func connOf(c net.Conn) *conn {
	if s, is := c.(*secureConn); is {
		return s.plain
	}
	return c.(*conn)
}

func (c *conn) Read(data []byte) (int, error) { return c.readBounded(c.receive, data) }

// readBounded reads from the connection or from TLS on top of it, but not beyond the bound.
func (c *conn) readBounded(read func([]byte) (int, error), data []byte) (int, error) {
	if c.bound > 0 {
		if c.seen >= c.bound {
			return 0, errTooMuch
		}
		data = data[:min(int64(len(data)), c.bound-c.seen)]
	}
	n, err := read(data)
	c.seen += int64(n)
	return n, err
}

// receive waits for more from the client, so whatever was being answered has been written.
func (c *conn) receive(data []byte) (int, error) {
	if c.state.Load() == busy { // nobody else changes that
		c.since.Store(time.Now().UnixNano())
		c.state.Store(idle)
	}
	c.age()
	c.waiting.Store(true)
	defer c.waiting.Store(false)
	if c.all.over.Load() {
		return 0, net.ErrClosed
	}
	return c.TCPConn.Read(data)
}

// age lets the gate accept another connection if this one was fresh.
func (c *conn) age() {
	if c.fresh.Load() && c.fresh.CompareAndSwap(true, false) {
		<-c.gate.fresh
	}
}

// sleep waits for a while, or until the connection or over is closed.
func (c *conn) sleep(d time.Duration, over <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.alive.Done():
	case <-over:
	}
}

// Close closes the connection; if the client may still be sending a request that was refused, after
// it had the time to read the response.
func (c *conn) Close() error {
	if c.unread.Load() && c.state.Load() != doomed {
		c.discard()
	}
	c.age()
	c.all.remove(c)
	return c.TCPConn.Close()
}

const (
	discardSize  = 32 << 20               // bytes, more than the largest batch by default
	discardTime  = 2 * time.Second        // for all of them
	discardPause = 500 * time.Millisecond // without data
)

// discard reads what the client still sends. A connection that is closed with data unread is reset,
// and the client would lose the response, which has been written. That happens if there is more
// than the pace of long bodies allows.
func (c *conn) discard() {
	if c.CloseWrite() != nil {
		return
	}
	end := time.Now().Add(discardTime)
	buffer := make([]byte, 16<<10)
	for read := 0; read < discardSize; {
		deadline := time.Now().Add(discardPause)
		if deadline.After(end) {
			deadline = end
		}
		if c.SetReadDeadline(deadline) != nil {
			return
		}
		n, err := c.TCPConn.Read(buffer)
		if err != nil {
			return
		}
		if read += n; read <= longBody {
			continue
		}
		wait := c.all.dropped.take(n, time.Now())
		if time.Now().Add(wait).After(end) {
			return
		}
		time.Sleep(wait)
	}
}

// holder is what a connection is charged to: its origin until it has presented a token, and the
// caller from then on.
type holder struct {
	known  bool
	owner  owner
	origin string
}

func (c *conn) holder() holder {
	if caller := c.caller.Load(); caller != nil {
		return holder{known: true, owner: *caller}
	}
	return holder{origin: c.origin}
}

// setCaller notes whose valid token the connection has shown.
func (c *conn) setCaller(caller owner) {
	if last := c.caller.Load(); last == nil || *last != caller {
		c.caller.Store(&caller)
	}
}
