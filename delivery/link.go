package delivery

import (
	"net"
	"sync"
	"time"
)

const (
	idleConnection = 5 * time.Second // shorter than receivers usually keep theirs
	connectionLife = time.Minute     // so that a change of name or address is noticed
)

// peer is what a connection leads to. Attempts that go to the same one may share a connection, one after the other.
type peer struct {
	address  string // host:port
	secure   bool
	insecure bool // its certificate is not verified
}

// link is a connection with all that lies between its ends.
type link struct {
	net.Conn       // as it is used: through proxies and TLS
	bottom   *conn // to the first peer
	peer     peer
	made     time.Time
	used     time.Time // when it became idle
}

// Close discards what is still on its way to the receiver.
func (l *link) Close() error {
	if l.bottom.pending() {
		return l.bottom.Close()
	}
	l.bottom.settle()
	return l.Conn.Close()
}

// idleLinks are open connections that carry nothing.
type idleLinks struct {
	patience time.Duration
	limit    int

	mu      sync.Mutex
	byPeer  map[peer][]*link // the one used last at the end
	count   int
	sweeper *time.Timer // runs while there are any
}

func newIdleLinks(limit int) *idleLinks {
	return &idleLinks{patience: idleConnection, limit: limit, byPeer: make(map[peer][]*link)}
}

// take returns the connection to a peer that was used last; nil: there is none.
func (i *idleLinks) take(p peer) *link {
	i.mu.Lock()
	defer i.mu.Unlock()
	list := i.byPeer[p]
	if len(list) == 0 {
		return nil
	}
	l := list[len(list)-1]
	list[len(list)-1] = nil
	i.set(p, list[:len(list)-1])
	return l
}

// put keeps a connection for the next attempt, unless it is old or there are too many.
func (i *idleLinks) put(l *link) {
	l.used = time.Now()
	i.mu.Lock()
	full := i.count >= i.limit || l.used.Sub(l.made) >= connectionLife
	if !full {
		i.set(l.peer, append(i.byPeer[l.peer], l))
		if i.sweeper == nil {
			i.sweeper = time.AfterFunc(i.patience, func() { i.sweep(time.Now().Add(-i.patience)) })
		}
	}
	i.mu.Unlock()
	if full {
		l.Close()
	}
}

func (i *idleLinks) set(p peer, list []*link) {
	i.count += len(list) - len(i.byPeer[p])
	if len(list) == 0 {
		delete(i.byPeer, p)
		return
	}
	i.byPeer[p] = list
}

// sweep closes what has not been used since then, and reports whether there was any.
func (i *idleLinks) sweep(since time.Time) bool {
	var old []*link
	i.mu.Lock()
	for p, list := range i.byPeer {
		n := 0
		for n < len(list) && !list[n].used.After(since) {
			n++
		}
		if n == 0 {
			continue
		}
		old = append(old, list[:n]...)
		i.set(p, append([]*link(nil), list[n:]...))
	}
	switch {
	case i.sweeper == nil:
	case i.count == 0:
		i.sweeper.Stop()
		i.sweeper = nil
	default:
		i.sweeper.Reset(i.patience / 2)
	}
	i.mu.Unlock()
	for _, l := range old {
		l.Close()
	}
	return len(old) > 0
}

// clear closes all.
func (i *idleLinks) clear() bool { return i.sweep(time.Now()) }
