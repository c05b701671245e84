package delivery

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	idleConnection = 5 * time.Second // shorter than the idle timeout of most receivers
	connectionLife = time.Minute     // so that a change of name or address is noticed

	// maxAnswer is how many bytes of an answer are read, with all that frames it: the headers and
	// the bytes that are kept, each in a chunk of its own, need less than a fourth of it.
	maxAnswer = 1 << 20
)

// errEndless means that a receiver has sent more than any answer needs, such as a chunk extension
// that does not end.
var errEndless = errors.New("the answer does not end")

// peer is the remote end of a connection. Attempts to the same peer may share a connection, one
// after the other.
type peer struct {
	address  string // host:port
	secure   bool
	insecure bool // its certificate is not verified
}

// link is a connection with its layers.
type link struct {
	net.Conn       // the top layer, through proxies and TLS
	bottom   *conn // the bottom layer: TCP to the receiver or the proxy
	peer     peer
	made     time.Time
	used     time.Time // when it became idle
	proxied  bool
	guard    *guard // that has checked its address

	// For the traces of attempts.
	address  netip.AddrPort // of the receiver; invalid: only a proxy knows it
	internal bool           // address is a private one
	version  uint16         // of TLS; 0: none

	older, newer *link // among those that are idle

	// Of the current request, for its trace.
	received uint32    // bytes
	answered time.Time // when the first byte was received
}

func (l *link) Read(p []byte) (int, error) {
	if l.received >= maxAnswer {
		return 0, errEndless
	}
	n, err := l.Conn.Read(p)
	if n > 0 && l.answered.IsZero() {
		l.answered = time.Now()
	}
	l.received += uint32(n)
	return n, err
}

// Close discards what has not reached the receiver yet.
func (l *link) Close() error {
	if l.bottom.pending() {
		return l.bottom.Close()
	}
	l.bottom.settle()
	return l.Conn.Close()
}

// idleLinks are open connections without an attempt.
type idleLinks struct {
	patience time.Duration
	limit    int

	mu             sync.Mutex
	oldest, newest *link // by when they were used
	count          int
	reserved       int              // of limit, see reserve
	byPeer         map[peer][]*link // the most recently used last
	sweeper        *time.Timer      // runs while there are any
}

func newIdleLinks(limit int) *idleLinks {
	return &idleLinks{patience: idleConnection, limit: limit, byPeer: make(map[peer][]*link)}
}

// take returns the most recently used connection to a peer, or nil.
func (i *idleLinks) take(p peer) *link {
	i.mu.Lock()
	defer i.mu.Unlock()
	own := i.byPeer[p]
	if len(own) == 0 {
		return nil
	}
	l := own[len(own)-1]
	i.remove(l)
	return l
}

// put keeps a connection for the next attempt, unless it is old. If there are too many, it closes
// the least recently used one.
func (i *idleLinks) put(l *link) {
	l.used = time.Now()
	if l.used.Sub(l.made) >= connectionLife {
		l.Close()
		return
	}
	i.mu.Lock()
	i.add(l)
	oldest := i.trimLocked()
	if i.sweeper == nil {
		i.sweeper = time.AfterFunc(i.patience, func() { i.sweep(time.Now().Add(-i.patience)) })
	}
	i.mu.Unlock()
	if oldest != nil {
		oldest.Close()
	}
}

// reserve gives one of the descriptors for idle connections to an attempt, until release: while it
// looks a name up or connects, it needs more than one.
func (i *idleLinks) reserve() {
	i.mu.Lock()
	i.reserved++
	oldest := i.trimLocked()
	i.mu.Unlock()
	if oldest != nil {
		oldest.Close()
	}
}

func (i *idleLinks) release() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.reserved--
}

// trimLocked removes the oldest connection if there is one too many, and returns it.
func (i *idleLinks) trimLocked() *link {
	oldest := i.oldest
	if i.count+i.reserved <= i.limit || oldest == nil {
		return nil
	}
	i.remove(oldest)
	return oldest
}

func (i *idleLinks) add(l *link) {
	i.byPeer[l.peer] = append(i.byPeer[l.peer], l)
	l.older = i.newest
	if i.newest != nil {
		i.newest.newer = l
	} else {
		i.oldest = l
	}
	i.newest = l
	i.count++
}

func (i *idleLinks) remove(l *link) {
	own := i.byPeer[l.peer]
	at := len(own) - 1
	if own[at] != l {
		at = slices.Index(own, l)
	}
	if i.byPeer[l.peer] = slices.Delete(own, at, at+1); len(own) == 1 {
		delete(i.byPeer, l.peer)
	}
	if l.older != nil {
		l.older.newer = l.newer
	} else {
		i.oldest = l.newer
	}
	if l.newer != nil {
		l.newer.older = l.older
	} else {
		i.newest = l.older
	}
	l.older, l.newer = nil, nil
	i.count--
}

// sweep closes the connections that were last used at or before since, and reports whether there
// were any.
func (i *idleLinks) sweep(since time.Time) bool {
	var old []*link
	i.mu.Lock()
	for l := i.oldest; l != nil && !l.used.After(since); l = i.oldest {
		i.remove(l)
		old = append(old, l)
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

// clear closes all idle connections.
func (i *idleLinks) clear() bool { return i.sweep(time.Now()) }
