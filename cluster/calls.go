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

// Calls between nodes, in addition to those of Raft. A call is a kind, a length of 4 bytes and a
// body; a response is a length and a body. Before the response, the other node sends stillServing
// again and again: see callconn.go. A connection carries one call at a time.
const (
	callPropose = 1 // body: commands; response: for each an outcome, and after outcomeOK the reply with its length
	callIndex   = 2 // body: none; response: outcome, and after outcomeOK the commit index, 8 bytes
	callStatus  = 3 // body: none; response: Status as JSON
	callChange  = 4 // body: a change as JSON; response: its changeResponse
)

// callKind is what is known about a call before its body is read: how many bytes it and its
// response may have.
type callKind struct {
	body, response int
	entry          bool // open to a node that is not a member yet. The only change it may request is to be let in.
}

var callKinds = map[byte]callKind{
	callPropose: {body: maxCommand + maxBatchBytes, response: 64 << 20},
	callIndex:   {body: 0, response: 9},
	callStatus:  {body: 16, response: 256 << 10, entry: true},
	callChange:  {body: 4 << 10, response: 256 << 10, entry: true},
}

const (
	callTimeout = 15 * time.Second // longer than a caller waits
	bodyTimeout = 10 * time.Second // to receive the body of a call after its kind, and to send the response
	dialTimeout = time.Second
	idlePerPeer = 4 // a batch, and calls of the other kinds

	// callBudget limits the total bytes of the bodies of all calls that are being read or served.
	callBudget = 64 << 20
	readStep   = 1 << 20 // the buffer of a body grows in such steps as it arrives, regardless of the announced length
)

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

func (p *peers) get(address raft.ServerAddress, kind byte) (*peerConn, error) {
	p.mu.Lock()
	list := p.idle[address]
	if last := len(list) - 1; last >= 0 {
		conn := list[last]
		conn.kind = kind
		p.idle[address] = list[:last]
		p.mu.Unlock()
		return conn, nil
	}
	p.mu.Unlock()
	dialled, err := p.dial(address)
	if err != nil {
		return nil, err
	}
	conn := newPeerConn(dialled, address)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errors.Join(net.ErrClosed, conn.Close())
	}
	conn.kind = kind
	p.open[conn] = struct{}{}
	return conn, nil
}

// put returns a connection to the pool. A connection that failed is closed, with all idle ones to
// that address, which would fail too.
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

// abandon ends all calls to an address, including those in flight, but not those for a change of
// the cluster: that the leader has changed may be what they asked for, and the response is on its
// way.
func (p *peers) abandon(address raft.ServerAddress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.idle[address] {
		p.discard(conn)
	}
	delete(p.idle, address)
	for conn := range p.open {
		if conn.address == address && conn.kind != callChange {
			p.discard(conn)
		}
	}
}

// abandonOldLeaders ends the calls to a leader that has been replaced, until ctx ends: it may hang
// for a long time, while the new leader would answer.
func (p *peers) abandonOldLeaders(ctx context.Context, r *raft.Raft) {
	tick := time.NewTicker(10 * leaderPoll)
	defer tick.Stop()
	last := raft.ServerAddress("")
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		leader, _ := r.LeaderWithID()
		if leader != "" && last != "" && leader != last {
			p.abandon(last)
		}
		if leader != "" {
			last = leader
		}
	}
}

// close ends all calls in flight.
func (p *peers) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for conn := range p.open {
		conn.Close()
	}
}

// call makes a call. The result sent reports whether the other node may have received it.
func (p *peers) call(address raft.ServerAddress, kind byte, body []byte, timeout time.Duration) (response []byte, sent bool, err error) {
	conn, err := p.get(address, kind)
	if err != nil {
		return nil, false, err
	}
	response, err = conn.call(kind, body, timeout)
	p.put(address, conn, err != nil)
	return response, true, err
}

func appendFrame(dst, body []byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(body))), body...)
}

// readFrame reads a body of at most limit bytes. It allocates memory as the bytes arrive.
func readFrame(r io.Reader, limit int) ([]byte, error) {
	size, err := readSize(r, limit)
	if err != nil {
		return nil, err
	}
	return readBody(r, size)
}

func readSize(r io.Reader, limit int) (int, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if uint64(size) > uint64(limit) {
		return 0, fmt.Errorf("cluster: a call has %d bytes, more than the limit of %d", size, limit)
	}
	return int(size), nil
}

func readBody(r io.Reader, size int) ([]byte, error) {
	body := make([]byte, 0, min(size, readStep))
	for len(body) < size {
		start := len(body)
		step := min(size-start, max(start, readStep))
		body = slices.Grow(body, step)[:start+step]
		if _, err := io.ReadFull(r, body[start:]); err != nil {
			return nil, err
		}
	}
	return body, nil
}

// callServer answers the calls of other nodes.
type callServer struct {
	node   *Node
	budget *budget // for the bodies of calls
}

// serveCalls answers the calls of a member on one connection until it ends.
func (s *callServer) serveCalls(conn net.Conn, h *hello) {
	in := bufio.NewReaderSize(conn, 64<<10)
	for s.serveNext(conn, in, h) {
	}
}

// serveEntry answers the one call of a node that need not be a member.
func (s *callServer) serveEntry(conn net.Conn, h *hello) {
	if conn.SetReadDeadline(time.Now().Add(bodyTimeout)) != nil {
		return
	}
	s.serveNext(conn, bufio.NewReaderSize(conn, 4<<10), h)
}

// serveNext answers one call, and reports whether another one may follow.
func (s *callServer) serveNext(conn net.Conn, in *bufio.Reader, h *hello) bool {
	kind, err := in.ReadByte()
	if err != nil {
		return false
	}
	known, ok := callKinds[kind]
	if !ok || h.For == forEntry && !known.entry {
		return false
	}
	signs := showLife(conn)
	response := s.respond(conn, in, kind, h)
	signs.stop()
	if response == nil || len(response) > known.response {
		return false
	}
	if err := conn.SetDeadline(time.Now().Add(bodyTimeout)); err != nil {
		return false
	}
	if _, err := conn.Write(appendFrame(make([]byte, 0, 4+len(response)), response)); err != nil {
		return false
	}
	return conn.SetDeadline(time.Time{}) == nil
}

// respond reads the rest of a call and returns its response, or nil if the connection must end.
func (s *callServer) respond(conn net.Conn, in *bufio.Reader, kind byte, h *hello) []byte {
	if err := conn.SetReadDeadline(time.Now().Add(bodyTimeout)); err != nil {
		return nil
	}
	size, err := readSize(in, callKinds[kind].body)
	if err != nil || !s.budget.take(s.node.ctx, size) {
		return nil
	}
	defer s.budget.give(size)
	body, err := readBody(in, size)
	if err != nil {
		return nil
	}
	return s.serveCall(kind, body, h)
}

// budget limits bytes in memory.
type budget struct {
	mu    sync.Mutex
	left  int
	moved chan struct{} // closed and replaced when bytes are given back
}

func newBudget(bytes int) *budget { return &budget{left: bytes, moved: make(chan struct{})} }

// take waits up to bodyTimeout for so many bytes, and reports whether it got them.
func (b *budget) take(ctx context.Context, bytes int) bool {
	timeout := time.After(bodyTimeout)
	for {
		b.mu.Lock()
		if b.left >= bytes {
			b.left -= bytes
			b.mu.Unlock()
			return true
		}
		moved := b.moved
		b.mu.Unlock()
		select {
		case <-moved:
		case <-timeout:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

func (b *budget) give(bytes int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.left += bytes
	close(b.moved)
	b.moved = make(chan struct{})
}

// serveCall returns nil for a call that it does not understand.
func (s *callServer) serveCall(kind byte, body []byte, h *hello) []byte {
	ctx, cancel := context.WithTimeout(s.node.ctx, callTimeout)
	defer cancel()
	switch kind {
	case callPropose:
		return s.serveProposals(ctx, body, h.From)
	case callIndex:
		index, err := s.node.reads.leaderIndex()
		if err != nil {
			return []byte{outcomeNotTaken}
		}
		return binary.BigEndian.AppendUint64([]byte{outcomeOK}, index)
	case callStatus:
		return encodeCall(s.node.Status())
	case callChange:
		return s.serveChange(ctx, body, h)
	default:
		return nil
	}
}

// encodeCall returns nil, which ends the connection, for values that can't be encoded.
func encodeCall(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		return nil
	}
	return text
}

// ask makes a single call on a new connection, either to any node at an address or to a server of
// the cluster; in and out are JSON.
func ask(conn net.Conn, kind byte, in, out any, timeout time.Duration) error {
	defer conn.Close()
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	response, err := newPeerConn(conn, "").call(kind, body, timeout)
	if err != nil {
		return err
	}
	return json.Unmarshal(response, out)
}
