package cluster

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"hookwheel/tlslimit"
)

// toldFresh is how long a configured peer's view of the cluster is valid.
const toldFresh = 2 * peerRounds * placeInterval

// has reports whether a server is a member of the cluster, as far as this node knows: according to
// the configuration in its own log, or, if it lags behind, to the recent status of a member or
// configured peer that is ahead. Otherwise a node that was down while the members changed would
// refuse its leader. A node without a log trusts the members that it was given when it entered.
func (m *members) has(server string) bool {
	n := m.node
	if ahead := m.furthest(n.identity.cluster(), n.raft.LastIndex()); ahead != nil {
		return isMember(ahead.Servers, server)
	}
	configuration := n.raft.GetConfiguration().Configuration()
	if len(configuration.Servers) == 0 {
		return slices.Contains(n.identity.firstMembers(), server)
	}
	return slices.ContainsFunc(configuration.Servers, func(s raft.Server) bool { return string(s.ID) == server })
}

// furthest returns the status of another node of the cluster that has committed entries beyond the
// log of this node, the furthest one; nil: none.
func (m *members) furthest(cluster string, last uint64) (best *Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	consider := func(s *Status, said time.Time, fresh time.Duration) {
		if s.Cluster == cluster && s.Commit > last && time.Since(said) < fresh && (best == nil || s.Commit > best.Commit) {
			best = s
		}
	}
	for _, member := range m.seen {
		consider(member.Status, member.LastSeen, seenFresh)
	}
	for i := range m.told {
		consider(&m.told[i], m.toldAt, toldFresh)
	}
	return best
}

// hear stores the status of the configured peers.
func (m *members) hear(list []Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told, m.toldAt = list, time.Now()
}

// memberConn is a connection of a member. It is closed when the node is no longer a member.
type memberConn struct {
	net.Conn
	node   *Node
	server string
}

func (c *memberConn) Read(data []byte) (int, error) {
	count, err := c.Conn.Read(data)
	if err == nil && !c.node.members.has(c.server) {
		return 0, refused(reasonMember, "%s is no longer a member of the cluster", nodeOf(c.server))
	}
	return count, err
}

// Limits on connections from others. An unauthenticated connection stays on the doorstep for at
// most handshakeTimeout. When the doorstep is full, the oldest connection from the network with the
// most connections is closed, so a flood from one network displaces only itself.
const (
	maxDoorstep  = 128 // connections during their handshake
	maxEntries   = 32  // of nodes that are not members, or do not identify themselves
	maxPerMember = 64  // the oldest is closed: a machine that vanished leaves connections behind
)

// guests tracks the connections that others have made.
type guests struct {
	mu       sync.Mutex
	doorstep []*guest // oldest first
	inside   map[string][]*guest
	closed   bool
}

// guest is a connection from another node or from a stranger.
type guest struct {
	net.Conn
	guests *guests
	from   string             // the network of the remote address
	as     string             // the authenticated server; forEntry for the entry calls; empty on the doorstep
	pushed bool               // closed to make room
	alive  context.Context    // ends when it is closed
	end    context.CancelFunc // of alive
}

// arrive registers a new connection; nil means that the listener is closing.
func (g *guests) arrive(conn net.Conn) *guest {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	arrived := &guest{Conn: conn, guests: g, from: tlslimit.Origin(conn.RemoteAddr())}
	arrived.alive, arrived.end = context.WithCancel(context.Background())
	if len(g.doorstep) >= maxDoorstep {
		g.push(g.mostCommon())
	}
	g.doorstep = append(g.doorstep, arrived)
	return arrived
}

// mostCommon returns the oldest connection on the doorstep from the network with the most
// connections there.
func (g *guests) mostCommon() *guest {
	count := make(map[string]int)
	for _, other := range g.doorstep {
		count[other.from]++
	}
	crowd := slices.MaxFunc(g.doorstep, func(a, b *guest) int { return count[a.from] - count[b.from] })
	return g.doorstep[slices.IndexFunc(g.doorstep, func(other *guest) bool { return other.from == crowd.from })]
}

// enter moves a connection off the doorstep after its handshake has succeeded. It returns false if
// there is no room for the connection.
func (g *guests) enter(c *guest, as string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.pushed || g.closed {
		return false
	}
	if as == forEntry && len(g.inside[as]) >= maxEntries {
		return false
	}
	if len(g.inside[as]) >= maxPerMember {
		g.push(g.inside[as][0])
	}
	g.remove(c)
	c.as = as
	if g.inside == nil {
		g.inside = make(map[string][]*guest)
	}
	g.inside[as] = append(g.inside[as], c)
	return true
}

// push closes a connection to make room for another.
func (g *guests) push(c *guest) {
	c.pushed = true
	g.remove(c)
	c.hangUp()
}

func (g *guests) remove(c *guest) {
	is := func(other *guest) bool { return other == c }
	if c.as == "" {
		g.doorstep = slices.DeleteFunc(g.doorstep, is)
		return
	}
	if g.inside[c.as] = slices.DeleteFunc(g.inside[c.as], is); len(g.inside[c.as]) == 0 {
		delete(g.inside, c.as)
	}
}

// wasPushed reports whether a connection was closed to make room for another.
func (g *guests) wasPushed(c *guest) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return c.pushed
}

// dropAll closes all connections that others have made.
func (g *guests) dropAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.doorstep {
		c.hangUp()
	}
	for _, list := range g.inside {
		for _, c := range list {
			c.hangUp()
		}
	}
}

// close refuses further connections and closes the existing ones. It reports whether g was open.
func (g *guests) close() bool {
	g.mu.Lock()
	was := !g.closed
	g.closed = true
	g.mu.Unlock()
	g.dropAll()
	return was
}

func (c *guest) Close() error {
	c.guests.mu.Lock()
	c.guests.remove(c)
	c.guests.mu.Unlock()
	return c.hangUp()
}

func (c *guest) hangUp() error {
	c.end()
	return c.Conn.Close()
}
