package cluster

import (
	"net"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// toldFresh is for how long what a configured peer said of the cluster counts.
const toldFresh = 2 * peerRounds * placeInterval

// isMember reports whether a server is a member of the cluster, as far as this node knows: by the
// configuration in its own log, or, if it lags behind, by what a member or a configured peer that
// is further has said of late. A node that was down while the members changed would else refuse its
// leader; one that has no log yet trusts the members it was told of when it entered.
func (n *Node) isMember(server string) bool {
	if ahead := n.members.furthest(n.identity.cluster(), n.raft.LastIndex()); ahead != nil {
		return isMember(ahead.Servers, server)
	}
	configuration := n.raft.GetConfiguration().Configuration()
	if len(configuration.Servers) == 0 {
		return slices.Contains(n.identity.firstMembers(), server)
	}
	return slices.ContainsFunc(configuration.Servers, func(s raft.Server) bool { return string(s.ID) == server })
}

// furthest is the newest status from another node of the cluster that has committed more than the
// log of this node has; nil: none.
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

// hear keeps what the configured peers say.
func (m *members) hear(list []Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.told, m.toldAt = list, time.Now()
}

// memberConn is a connection of a member. It ends when that is one no longer.
type memberConn struct {
	net.Conn
	node   *Node
	server string
}

func (c *memberConn) Read(data []byte) (int, error) {
	count, err := c.Conn.Read(data)
	if err == nil && !c.node.isMember(c.server) {
		return 0, refused(reasonMember, "%s is no longer a member of the cluster", nodeOf(c.server))
	}
	return count, err
}

// Limits on connections from others. A stranger holds a place on the doorstep for handshakeTimeout
// at most; when that is full, the oldest one of the address that has the most goes, so a flood from
// one address displaces only itself.
const (
	maxDoorstep  = 128 // connections whose handshake is under way
	maxEntries   = 32  // of nodes that are not members, or do not say so
	maxPerMember = 64  // its oldest goes: of a machine that vanished connections remain
)

// guests keeps count of the connections from others.
type guests struct {
	mu       sync.Mutex
	doorstep []*guest // oldest first
	inside   map[string][]*guest
	closed   bool
}

// guest is one connection from another node, or a stranger.
type guest struct {
	net.Conn
	guests *guests
	from   string // the network that it comes from
	as     string // the server that it has proven to be; forEntry for the entry calls; empty on the doorstep
	pushed bool   // it was closed to make room
}

// arrive takes a new connection; nil means that the listener is closing.
func (g *guests) arrive(conn net.Conn) *guest {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	arrived := &guest{Conn: conn, guests: g, from: networkOf(conn.RemoteAddr())}
	if len(g.doorstep) >= maxDoorstep {
		g.push(g.mostCommon())
	}
	g.doorstep = append(g.doorstep, arrived)
	return arrived
}

// mostCommon is the oldest on the doorstep of the network that has the most there.
func (g *guests) mostCommon() *guest {
	count := make(map[string]int)
	for _, other := range g.doorstep {
		count[other.from]++
	}
	crowd := slices.MaxFunc(g.doorstep, func(a, b *guest) int { return count[a.from] - count[b.from] })
	return g.doorstep[slices.IndexFunc(g.doorstep, func(other *guest) bool { return other.from == crowd.from })]
}

// comeIn takes a connection off the doorstep, whose handshake has succeeded; false: there is no
// room for it.
func (g *guests) comeIn(c *guest, as string) bool {
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
	c.Conn.Close()
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

// dropAll ends all connections that others have made.
func (g *guests) dropAll() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, c := range g.doorstep {
		c.Conn.Close()
	}
	for _, list := range g.inside {
		for _, c := range list {
			c.Conn.Close()
		}
	}
}

// close has no more arrive, and ends those that are there. It reports whether it was open.
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
	return c.Conn.Close()
}

// networkOf is what counts as one origin of connections: an IPv4 address, or a /64 network of IPv6.
func networkOf(address net.Addr) string {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return ""
	}
	if ip := tcp.IP.To4(); ip != nil {
		return ip.String()
	}
	return tcp.IP.Mask(net.CIDRMask(64, 128)).String()
}
