package httpapi

import (
	"cmp"
	"context"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hookwheel/tlslimit"
)

const (
	maxConnections     = 20_000 // that clients may have open in total, file descriptors permitting
	closingConnections = 1_000  // on an address that were closed but whose handlers have yet to end
)

// connections are all that clients have open. When the limit is reached, the caller or the
// unauthenticated origin with the most connections loses one that has no request in progress;
// while unauthenticated origins have more than half of all, only those lose theirs. So nobody can
// lock others out by opening connections, not even from many origins.
type connections struct {
	refused prometheus.Counter
	long    longPace // of bodies
	dropped longPace // of what is read only because the client has to read the response

	over atomic.Bool // see cutOff

	mu    sync.Mutex
	open  map[*conn]struct{}
	at    map[*gate]int // how many are open
	limit int           // of how many may be open: maxConnections, or as many as there are descriptors for
}

func newConnections() *connections {
	return &connections{open: make(map[*conn]struct{}), at: make(map[*gate]int), limit: maxConnections, long: newLongPace(longRate), dropped: newLongPace(dropRate),
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "hookwheel_refused_connections_total",
			Help: "Connections of clients that this node has closed, old or new, because it has no room or no file descriptor for a new one."})}
}

func (c *connections) add(n *net.TCPConn, at *gate) *conn {
	added := &conn{TCPConn: n, all: c, gate: at, origin: tlslimit.Origin(n.RemoteAddr())}
	added.alive, added.end = context.WithCancel(context.Background())
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
		gone.end()
		c.at[gone.gate]--
	}
}

// fill notes that there are no descriptors for more connections than are open. One that makes room
// gives its descriptor to the next connection, whose number does not tell that there is none.
func (c *connections) fill() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = min(c.limit, len(c.open))
}

// isFull reports whether a new connection needs room.
func (c *connections) isFull() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.open) <= c.limit/2 {
		c.limit = maxConnections // what others need may have changed
	}
	return len(c.open) >= c.limit
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

// cutOff ends all requests that have not arrived yet: nothing more comes on any connection. It also
// ends responses to requests without a valid token, as their clients may never read them, and
// others once nothing of them is read for a while.
func (c *connections) cutOff() {
	c.over.Store(true) // from now on no Read begins
	c.mu.Lock()
	var waiting []*conn
	for open := range c.open {
		if open.waiting.Load() || open.state.Load() == idle {
			waiting = append(waiting, open)
		} else {
			_ = open.SetWriteDeadline(time.Now().Add(unreadTime)) // fails only if it is closed
		}
	}
	c.mu.Unlock()
	for _, open := range waiting {
		open.unread.Store(false) // what still comes is of no use, also if it was refused
		_ = open.Close()         // it is told to nobody but the client
	}
}

// makeRoom closes connections at a gate, or at any, and reports whether there were any to close.
func (c *connections) makeRoom(at *gate) (made bool) {
	for {
		victims := c.victims(at)
		if len(victims) == 0 {
			return false
		}
		for _, victim := range victims {
			if victim.doom() { // no request has come meanwhile
				_ = victim.Close() // the client is told by that; nobody waits for a response
				made = true
			}
		}
		if made {
			return true
		}
	}
}

// To make room, several connections are closed at a time, because finding them takes a look at all:
// one in evicted of those of the holder with the most, or one in evictedOfAll of all if that is
// more.
const (
	evicted      = 32
	evictedOfAll = 256
)

// victims returns the connections that have to go, of those at a gate or of all: one after the
// other of the holder that has the most then, the one that has been without a request for longest.
// There are none if all have a request under way.
func (c *connections) victims(at *gate) (victims []*conn) {
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
	idleOf := make(map[holder]*crowd)
	for open := range c.open {
		h := open.holder()
		if at != nil && open.gate != at || open.state.Load() != idle || h.known && strangers > total/2 {
			continue
		}
		if idleOf[h] == nil {
			idleOf[h] = &crowd{number: numbers[h]}
		}
		idleOf[h].add(open)
	}
	order := slices.Collect(maps.Values(idleOf))
	for _, of := range order {
		slices.SortFunc(of.idle, func(a, b aged) int { return cmp.Compare(a.since, b.since) })
	}
	slices.SortFunc(order, (*crowd).compare)
	if len(order) == 0 {
		return nil
	}
	return spared(order, 1+max(order[0].number/evicted, total/evictedOfAll))
}

// crowd are the connections of a holder.
type crowd struct {
	number int // of all
	idle   []aged
}

// aged is a connection without a request, and since when. That may change while it is sorted.
type aged struct {
	*conn
	since int64
}

func (c *crowd) add(open *conn) { c.idle = append(c.idle, aged{open, open.since.Load()}) }

// compare sorts those first that have to give a connection first.
func (c *crowd) compare(other *crowd) int {
	return cmp.Or(cmp.Compare(other.number, c.number), cmp.Compare(c.idle[0].since, other.idle[0].since))
}

// spared takes up to that many connections from crowds, the first ones first.
func spared(order []*crowd, count int) (list []*conn) {
	for len(list) < count && len(order) > 0 {
		first := order[0]
		list = append(list, first.idle[0].conn)
		first.number--
		order, first.idle = order[1:], first.idle[1:]
		if len(first.idle) > 0 {
			i, _ := slices.BinarySearchFunc(order, first, (*crowd).compare)
			order = slices.Insert(order, i, first)
		}
	}
	return list
}
