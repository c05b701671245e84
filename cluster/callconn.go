package cluster

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// A connection may fall silent without being closed: a firewall forgets it, a cable is pulled, the
// other machine hangs. A call may also take long because the leader is busy. So that a caller can
// tell these apart, a node sends stillServing while it receives and serves a call, and the caller
// gives up a connection on which nothing moves for callSilence. It then sends its commands again on
// a new one.
const (
	callSilence = 2 * time.Second
	lifeSign    = callSilence / 8

	// stillServing takes the place of the length of a response, which is never so large.
	stillServing = 1<<32 - 1

	// sendStep is how many bytes have to move within callSilence.
	sendStep = 32 << 10
)

// peerConn is a connection to another node for calls. Reading and writing fail when nothing moves
// for callSilence, or when the time of the call is over.
type peerConn struct {
	net.Conn
	address raft.ServerAddress
	kind    byte // of the call, or of the last one; the lock of peers guards it
	buffer  *bufio.Reader
	end     time.Time // of the call
}

func newPeerConn(conn net.Conn, address raft.ServerAddress) *peerConn {
	c := &peerConn{Conn: conn, address: address}
	c.buffer = bufio.NewReaderSize(c, 64<<10)
	return c
}

func (c *peerConn) call(kind byte, body []byte, timeout time.Duration) ([]byte, error) {
	c.end = time.Now().Add(timeout)
	frame := append(make([]byte, 0, 5+len(body)), kind)
	if _, err := c.Write(appendFrame(frame, body)); err != nil {
		return nil, err
	}
	return readResponse(c.buffer, callKinds[kind].response)
}

// deadline returns when reading or writing must have moved something.
func (c *peerConn) deadline() time.Time {
	if soon := time.Now().Add(callSilence); soon.Before(c.end) {
		return soon
	}
	return c.end
}

func (c *peerConn) Read(data []byte) (int, error) {
	if err := c.SetReadDeadline(c.deadline()); err != nil {
		return 0, err
	}
	return c.Conn.Read(data)
}

func (c *peerConn) Write(data []byte) (written int, err error) {
	for err == nil && written < len(data) {
		if err = c.SetWriteDeadline(c.deadline()); err != nil {
			break
		}
		var count int
		count, err = c.Conn.Write(data[written:min(written+sendStep, len(data))])
		written += count
	}
	return written, err
}

// readResponse reads a body of at most limit bytes, and the signs of life before it.
func readResponse(r *bufio.Reader, limit int) ([]byte, error) {
	for {
		head, err := r.Peek(4)
		if len(head) < 4 {
			if len(head) > 0 && err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if binary.BigEndian.Uint32(head) != stillServing {
			return readFrame(r, limit)
		}
		if _, err := r.Discard(4); err != nil {
			return nil, err
		}
	}
}

// life sends stillServing on a connection until it is stopped. Most calls end before the first
// time.
type life struct {
	conn net.Conn

	mu      sync.Mutex // held while it sends
	timer   *time.Timer
	stopped bool
}

func showLife(conn net.Conn) *life {
	l := &life{conn: conn}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.timer = time.AfterFunc(lifeSign, l.sign)
	return l
}

func (l *life) sign() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped || l.conn.SetWriteDeadline(time.Now().Add(callSilence)) != nil {
		return
	}
	if _, err := l.conn.Write(binary.BigEndian.AppendUint32(nil, stillServing)); err != nil {
		return // so will the response
	}
	l.timer.Reset(lifeSign)
}

// stop returns when nothing more will be sent.
func (l *life) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	l.timer.Stop()
}
