package cluster

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// Calls between nodes, beside those of Raft. A call is a kind, a length of 4 bytes and a body; an answer is a length and a
// body. One call at a time is on a connection.
const (
	callPropose = 1 // body: commands; answer: for each an outcome, and after outcomeOK the reply with its length
	callIndex   = 2 // body: none; answer: outcome, and after outcomeOK the commit index, 8 bytes
	callStatus  = 3 // body: none; answer: Status as JSON
	callChange  = 4 // body: a change as JSON; answer: its changeAnswer
)

// entryCalls are open to a node that is in no cluster yet. Of changes it may only ask to be let in.
var entryCalls = []byte{callStatus, callChange}

const (
	callTimeout = 15 * time.Second // more than a caller waits
	dialTimeout = time.Second
	maxFrame    = 64 << 20
	idlePerPeer = 4 // a batch, and calls of the other kinds
)

// peerConn is a connection to another node for calls.
type peerConn struct {
	net.Conn
	address raft.ServerAddress
	buffer  *bufio.Reader
}

// peers keeps the connections for calls to other nodes.
type peers struct {
	dial func(address raft.ServerAddress) (net.Conn, error)

	mu     sync.Mutex
	idle   map[raft.ServerAddress][]*peerConn
	open   map[*peerConn]struct{}
	closed bool
}

func newPeers(dial func(address raft.ServerAddress) (net.Conn, error)) *peers {
	return &peers{dial: dial, idle: make(map[raft.ServerAddress][]*peerConn), open: make(map[*peerConn]struct{})}
}

func (p *peers) get(address raft.ServerAddress) (*peerConn, error) {
	p.mu.Lock()
	list := p.idle[address]
	if last := len(list) - 1; last >= 0 {
		conn := list[last]
		p.idle[address] = list[:last]
		p.mu.Unlock()
		return conn, nil
	}
	p.mu.Unlock()
	dialled, err := p.dial(address)
	if err != nil {
		return nil, err
	}
	conn := &peerConn{dialled, address, bufio.NewReaderSize(dialled, 64<<10)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}
	p.open[conn] = struct{}{}
	return conn, nil
}

// put takes a connection back; one that failed is closed with all idle ones to that address, which would fail too.
func (p *peers) put(address raft.ServerAddress, conn *peerConn, failed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !failed && len(p.idle[address]) < idlePerPeer {
		p.idle[address] = append(p.idle[address], conn)
		return
	}
	p.discard(conn)
	if failed {
		for _, other := range p.idle[address] {
			p.discard(other)
		}
		delete(p.idle, address)
	}
}

// discard is called with mu held.
func (p *peers) discard(conn *peerConn) {
	conn.Close()
	delete(p.open, conn)
}

// abandon ends all calls to an address, those under way included.
func (p *peers) abandon(address raft.ServerAddress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.idle, address)
	for conn := range p.open {
		if conn.address == address {
			p.discard(conn)
		}
	}
}

// abandonOldLeaders ends the calls to a leader that has been replaced: it may hang for long, and the new one would answer.
func (n *Node) abandonOldLeaders() {
	tick := time.NewTicker(10 * leaderPoll)
	defer tick.Stop()
	last := raft.ServerAddress("")
	for {
		select {
		case <-tick.C:
		case <-n.ctx.Done():
			return
		}
		leader, _ := n.raft.LeaderWithID()
		if leader != "" && last != "" && leader != last {
			n.peers.abandon(last)
		}
		if leader != "" {
			last = leader
		}
	}
}

// close ends all calls under way.
func (p *peers) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for conn := range p.open {
		conn.Close()
	}
}

// call makes one call. sent says whether the other node may have taken it.
func (p *peers) call(address raft.ServerAddress, kind byte, body []byte, timeout time.Duration) (answer []byte, sent bool, err error) {
	conn, err := p.get(address)
	if err != nil {
		return nil, false, err
	}
	answer, err = conn.call(kind, body, timeout)
	p.put(address, conn, err != nil)
	return answer, true, err
}

func (c *peerConn) call(kind byte, body []byte, timeout time.Duration) ([]byte, error) {
	if err := c.SetDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	frame := append(make([]byte, 0, 5+len(body)), kind)
	if _, err := c.Write(appendFrame(frame, body)); err != nil {
		return nil, err
	}
	return readFrame(c.buffer)
}

func appendFrame(dst, body []byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(body))), body...)
}

func readFrame(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size > maxFrame {
		return nil, fmt.Errorf("cluster: a call of %d bytes is more than the %d allowed", size, maxFrame)
	}
	body := make([]byte, size)
	_, err := io.ReadFull(r, body)
	return body, err
}

// serveCalls answers the calls on one connection until it ends.
func (n *Node) serveCalls(conn net.Conn, h *hello) {
	in := bufio.NewReaderSize(conn, 64<<10)
	for {
		kind, err := in.ReadByte()
		if err != nil {
			return
		}
		body, err := readFrame(in)
		if err != nil {
			return
		}
		if h.For == forEntry && !slices.Contains(entryCalls, kind) {
			return
		}
		answer := n.serveCall(kind, body, h)
		if answer == nil {
			return
		}
		if _, err := conn.Write(appendFrame(make([]byte, 0, 4+len(answer)), answer)); err != nil {
			return
		}
	}
}

// serveCall returns nil for what it does not understand.
func (n *Node) serveCall(kind byte, body []byte, h *hello) []byte {
	ctx, cancel := context.WithTimeout(n.ctx, callTimeout)
	defer cancel()
	switch kind {
	case callPropose:
		return n.serveProposals(ctx, body)
	case callIndex:
		index, err := n.leaderIndex()
		if err != nil {
			return []byte{outcomeNotTaken}
		}
		return binary.BigEndian.AppendUint64([]byte{outcomeOK}, index)
	case callStatus:
		return encodeCall(n.Status())
	case callChange:
		return n.serveChange(ctx, body, h)
	default:
		return nil
	}
}

// encodeCall returns nil, which ends the connection, for what can't be encoded.
func encodeCall(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return text
}

// ask makes one call on a connection of its own, to whoever is at an address or to a server of the cluster; in and out are
// JSON.
func (n *Node) ask(conn net.Conn, kind byte, in, out any, timeout time.Duration) error {
	defer conn.Close()
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	c := &peerConn{Conn: conn, buffer: bufio.NewReader(conn)}
	answer, err := c.call(kind, body, timeout)
	if err != nil {
		return err
	}
	return json.Unmarshal(answer, out)
}
