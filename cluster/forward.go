package cluster

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// Calls between nodes, beside those of Raft. A call is a kind, a length of 4 bytes and a body; an answer is a length and a
// body. One call at a time is on a connection.
const (
	callPropose = 1 // body: commands; answer: for each an outcome, and after outcomeOK the reply with its length
	callIndex   = 2 // body: none; answer: outcome, and after outcomeOK the commit index, 8 bytes
)

const (
	outcomeOK       = 0
	outcomeNotTaken = 1
	outcomeUnknown  = 2
)

const (
	callTimeout = 15 * time.Second // more than a caller waits
	dialTimeout = time.Second
	maxFrame    = 64 << 20
	idlePerPeer = 2 * maxBatches
)

// peerConn is a connection to another node for calls.
type peerConn struct {
	net.Conn
	address string
	buffer  *bufio.Reader
}

// peers keeps the connections for calls to other nodes.
type peers struct {
	dial func(address string) (net.Conn, error)

	mu     sync.Mutex
	idle   map[string][]*peerConn
	open   map[*peerConn]struct{}
	closed bool
}

func newPeers(dial func(address string) (net.Conn, error)) *peers {
	return &peers{dial: dial, idle: make(map[string][]*peerConn), open: make(map[*peerConn]struct{})}
}

func (p *peers) get(address string) (*peerConn, error) {
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
func (p *peers) put(address string, conn *peerConn, failed bool) {
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
func (p *peers) abandon(address string) {
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
			n.peers.abandon(string(last))
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
func (p *peers) call(address string, kind byte, body []byte) (answer []byte, sent bool, err error) {
	conn, err := p.get(address)
	if err != nil {
		return nil, false, err
	}
	answer, err = conn.call(kind, body)
	p.put(address, conn, err != nil)
	return answer, true, err
}

func (c *peerConn) call(kind byte, body []byte) ([]byte, error) {
	if err := c.SetDeadline(time.Now().Add(callTimeout)); err != nil {
		return nil, err
	}
	head := binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body)))
	buffers := net.Buffers{head, body}
	if _, err := buffers.WriteTo(c.Conn); err != nil {
		return nil, err
	}
	return readFrame(c.buffer)
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

// forward sends a batch to the leader and finishes each proposal with what came of it.
func (n *Node) forward(batch []*proposal) {
	address, _ := n.raft.LeaderWithID()
	if address == "" {
		finishAll(batch, errNotTaken)
		return
	}
	answer, sent, err := n.peers.call(string(address), callPropose, appendCommands(make([]byte, 0, batchSize(batch)), batch))
	switch {
	case !sent:
		finishAll(batch, errNotTaken)
	case err != nil:
		finishAll(batch, errUnknown)
	default:
		finishForwarded(batch, answer)
	}
}

func finishForwarded(batch []*proposal, answer []byte) {
	for i, p := range batch {
		outcome, reply, rest, err := cutOutcome(answer)
		if err != nil {
			finishAll(batch[i:], errUnknown)
			return
		}
		answer = rest
		p.finish(reply, outcome)
	}
}

// appendOutcome and cutOutcome are the answer to one command.
func appendOutcome(answer []byte, p *proposal) []byte {
	switch {
	case p.err == nil:
		answer = append(answer, outcomeOK)
		return append(binary.AppendUvarint(answer, uint64(len(p.reply))), p.reply...)
	case errors.Is(p.err, errNotTaken):
		return append(answer, outcomeNotTaken)
	default:
		return append(answer, outcomeUnknown)
	}
}

func cutOutcome(answer []byte) (outcome error, reply, rest []byte, err error) {
	if len(answer) == 0 {
		return nil, nil, nil, errDamaged
	}
	switch answer[0] {
	case outcomeOK:
		size, n := binary.Uvarint(answer[1:])
		if n <= 0 || size > uint64(len(answer)-1-n) {
			return nil, nil, nil, errDamaged
		}
		answer = answer[1+n:]
		return nil, answer[:size:size], answer[size:], nil
	case outcomeNotTaken:
		return errNotTaken, nil, answer[1:], nil
	default:
		return errUnknown, nil, answer[1:], nil
	}
}

// serveCalls answers the calls on one connection until it ends.
func (n *Node) serveCalls(conn net.Conn) {
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
		answer := n.serveCall(kind, body)
		if answer == nil {
			return
		}
		head := binary.BigEndian.AppendUint32(nil, uint32(len(answer)))
		buffers := net.Buffers{head, answer}
		if _, err := buffers.WriteTo(conn); err != nil {
			return
		}
	}
}

// serveCall returns nil for what it does not understand.
func (n *Node) serveCall(kind byte, body []byte) []byte {
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
	default:
		return nil
	}
}

func (n *Node) serveProposals(ctx context.Context, body []byte) []byte {
	commands, err := decodeCommands(body)
	if err != nil {
		return nil
	}
	batch := make([]*proposal, len(commands))
	for i := range commands {
		batch[i] = &proposal{command: commands[i], forwarded: true, done: make(chan struct{})}
		if n.raft.State() != raft.Leader {
			batch[i].finish(nil, errNotTaken)
			continue
		}
		select {
		case n.batches.queue <- batch[i]:
		case <-ctx.Done():
			batch[i].finish(nil, errNotTaken)
		}
	}
	var answer []byte
	for _, p := range batch {
		select {
		case <-p.done:
			answer = appendOutcome(answer, p)
		case <-ctx.Done():
			answer = append(answer, outcomeUnknown)
		}
	}
	return answer
}
