package httpapi

import (
	"net"
	"sync"
	"time"
)

const (
	maxConnections     = 20_000 // that clients may have open, file descriptors permitting
	closingConnections = 1_000  // that were closed but whose handlers have yet to end
)

// connections are all that clients have open. When there is no room for another one, somebody
// loses a connection on which no request is being answered: whoever has the most, a caller or an
// address that has shown no token; but only such addresses while they have more than half of all.
// So nobody can lock others out by opening connections, not from many addresses either.
type connections struct {
	mu   sync.Mutex
	open map[*conn]struct{}
}

func newConnections() *connections {
	return &connections{open: make(map[*conn]struct{})}
}

func (c *connections) add(n *net.TCPConn) *conn {
	address, _, _ := net.SplitHostPort(n.RemoteAddr().String()) // "" is an address, too
	added := &conn{TCPConn: n, all: c, address: address}
	added.since.Store(time.Now().UnixNano())
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[added] = struct{}{}
	return added
}

func (c *connections) remove(gone *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, gone)
}

func (c *connections) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.open)
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

// makeRoom closes a connection, and reports whether there was one to close.
func (c *connections) makeRoom() bool {
	for {
		victim := c.victim()
		if victim == nil {
			return false
		}
		if victim.doom() { // no request has come meanwhile
			_ = victim.Close() // the client is told by that; nobody waits for a response
			return true
		}
	}
}

// victim returns the connection that has to go: the one of the holder with the most that has been
// without a request for longest. It returns nil if all have a request under way.
func (c *connections) victim() (victim *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	numbers, strangers := make(map[holder]int), 0
	for open := range c.open {
		h := open.holder()
		numbers[h]++
		if !h.known {
			strangers++
		}
	}
	highest := 0
	for open := range c.open {
		h := open.holder()
		if open.state.Load() != idle || h.known && strangers > len(c.open)/2 {
			continue
		}
		number := numbers[h]
		if victim == nil || number > highest || number == highest && open.since.Load() < victim.since.Load() {
			victim, highest = open, number
		}
	}
	return victim
}
