package httpapi

import (
	"net"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	maxConnections     = 20_000 // that clients may have open in total, file descriptors permitting
	closingConnections = 1_000  // on an address that were closed but whose handlers have yet to end
)

// connections are all that clients have open. When the limit is reached, the caller or the
// unauthenticated address with the most connections loses one that has no request in progress;
// while unauthenticated addresses have more than half of all, only those lose theirs. So nobody can
// lock others out by opening connections, not even from many addresses.
type connections struct {
	refused prometheus.Counter

	mu   sync.Mutex
	open map[*conn]struct{}
	at   map[*gate]int // how many are open
}

func newConnections() *connections {
	return &connections{open: make(map[*conn]struct{}), at: make(map[*gate]int),
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "hookwheel_refused_connections_total",
			Help: "Connections of clients that this node has closed, old or new, because it has no room or no file descriptor for a new one."})}
}

func (c *connections) add(n *net.TCPConn, at *gate) *conn {
	address, _, _ := net.SplitHostPort(n.RemoteAddr().String()) // "" is an address, too
	added := &conn{TCPConn: n, all: c, gate: at, address: address}
	added.since.Store(time.Now().UnixNano())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[added] = struct{}{}
	c.at[at]++
	return added
}

func (c *connections) remove(gone *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, there := c.open[gone]; there {
		delete(c.open, gone)
		c.at[gone.gate]--
	}
}

// count returns how many are open at a gate, or at all of them.
func (c *connections) count(at *gate) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at == nil {
		return len(c.open)
	}
	return c.at[at]
}

// closeSilent closes the connections on which nothing has come since a moment, a time.Duration
// after started, but was waited for.
func (c *connections) closeSilent(moment time.Duration) {
	c.mu.Lock()
	var silent []*conn
	for open := range c.open {
		if began := open.waiting.Load(); began > 0 && began < int64(moment) {
			silent = append(silent, open)
		}
	}
	c.mu.Unlock()
	for _, open := range silent {
		_ = open.Close() // it is told to nobody but the client
	}
}

// makeRoom closes a connection at a gate, or at any, and reports whether there was one to close.
func (c *connections) makeRoom(at *gate) bool {
	for {
		victim := c.victim(at)
		if victim == nil {
			return false
		}
		if victim.doom() { // no request has come meanwhile
			_ = victim.Close() // the client is told by that; nobody waits for a response
			return true
		}
	}
}

// victim returns the connection that has to go, of those at a gate or of all: the one of the holder
// with the most that has been without a request for longest. It returns nil if all have a request
// under way.
func (c *connections) victim(at *gate) (victim *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	numbers, strangers, total := make(map[holder]int), 0, 0
	for open := range c.open {
		if at != nil && open.gate != at {
			continue
		}
		total++
		h := open.holder()
		numbers[h]++
		if !h.known {
			strangers++
		}
	}
	highest := 0
	for open := range c.open {
		h := open.holder()
		if at != nil && open.gate != at || open.state.Load() != idle || h.known && strangers > total/2 {
			continue
		}
		number := numbers[h]
		if victim == nil || number > highest || number == highest && open.since.Load() < victim.since.Load() {
			victim, highest = open, number
		}
	}
	return victim
}
