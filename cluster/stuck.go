package cluster

import (
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// stuckLimit is how long a follower that answers may go without an entry that the leader has.
const stuckLimit = 5 * time.Second

// dialled tracks the connections that Raft has made to other nodes.
type dialled struct {
	mu    sync.Mutex
	conns map[*dialledConn]struct{}
}

// dialledConn is tracked until it is closed.
type dialledConn struct {
	net.Conn
	to   raft.ServerAddress
	from *dialled
}

func (d *dialled) add(to raft.ServerAddress, conn net.Conn) net.Conn {
	c := &dialledConn{Conn: conn, to: to, from: d}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conns == nil {
		d.conns = make(map[*dialledConn]struct{})
	}
	d.conns[c] = struct{}{}
	return c
}

// Close closes the connection.
func (c *dialledConn) Close() error {
	c.from.mu.Lock()
	delete(c.from.conns, c)
	c.from.mu.Unlock()
	return c.Conn.Close()
}

// drop closes the connections to a server. Raft makes new ones.
func (d *dialled) drop(to raft.ServerAddress) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for c := range d.conns {
		if c.to == to {
			c.Conn.Close() // Raft gets an error from the connection, and reports it
		}
	}
}

// watchFollowers reconnects to a follower that answers and is not being sent a snapshot, but whose
// log does not grow.
func (s *supervisor) watchFollowers() {
	n := s.node
	if !watchesFollowers || !n.leading.ready.Load() {
		return
	}
	for _, m := range n.members.stuck() {
		n.warnings.log("a follower answers but gets no entries; connecting to it again", "node", m.ID,
			"itsLast", m.Status.Last, "last", n.raft.LastIndex())
		n.metrics.stuckFollowers.Inc()
		n.listener.dialled.drop(raftAddress(m.Server.Server, m.Address))
	}
}
