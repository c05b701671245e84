package httpapi

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// gate is a listener that closes without refusing clients that are already connected: the kernel
// would reset connections that were not accepted yet, together with requests sent on them.
type gate struct {
	*net.TCPListener
	name    string
	log     *slog.Logger
	ceiling func() int    // returns from which number on descriptors are not for clients; nil: all are
	open    *connections  // to all gates
	limit   int           // of those to this one
	fresh   chan struct{} // an element for each connection that nobody has begun to read
	said    time.Time     // when it was last logged that the limit is reached
	closed  chan struct{} // closed just before it is
	close   func() error

	closing  atomic.Bool
	shutBy   atomic.Int64 // when it ends at the latest, in nanoseconds
	waited   bool         // for connections, after shut; these two belong to the accept loop
	accepted bool         // a connection, since it began to wait
}

func openGate(name, address string, limit int, ceiling func() int, open *connections, log *slog.Logger) (*gate, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	g := &gate{TCPListener: l.(*net.TCPListener), name: name, log: log, ceiling: ceiling, closed: make(chan struct{}), open: open, limit: limit,
		fresh: make(chan struct{}, maxFresh)}
	g.close = sync.OnceValue(func() error {
		close(g.closed)
		return g.TCPListener.Close()
	})
	return g, nil
}

// maxFresh is how many connections may be fresh at a time, which is until they are read for the
// first time. Each of them wants a processor, and the Go scheduler looks at the network only when
// one has nothing else to run: if clients could open hundreds at a time, then whatever else the
// node does would have to wait until all of them have had a processor.
const maxFresh = 4

// Close may be called again.
func (g *gate) Close() error { return g.close() }

// shut makes Accept return the connections that clients have established, and then end.
func (g *gate) shut() {
	g.shutBy.Store(time.Now().Add(shutLimit).UnixNano())
	g.closing.Store(true)
	_ = g.SetDeadline(time.Now()) // fails only if it is closed; the accept loop sets the next one
}

// wait gives a gate that is being shut another shutTime for connections, unless there were none in
// the last one. It reports whether it did.
func (g *gate) wait() bool {
	if g.waited && !g.accepted || time.Now().UnixNano() > g.shutBy.Load() {
		return false
	}
	g.waited, g.accepted = true, false
	return g.SetDeadline(time.Now().Add(shutTime)) == nil
}

// Accept outlives a lack of file descriptors, which ends when connections do. Its own end is
// io.EOF.
func (g *gate) Accept() (net.Conn, error) {
	for {
		c, err := g.AcceptTCP()
		switch {
		case err == nil && !g.hasRoom(c):
			_ = c.Close() // nothing was written to it
			continue
		case err == nil:
			g.accepted = true
			g.fresh <- struct{}{}
			added := g.open.add(c, g)
			added.fresh.Store(true)
			return added, nil
		case g.closing.Load() && errors.Is(err, os.ErrDeadlineExceeded) && g.wait():
			continue
		case g.closing.Load() && errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, net.ErrClosed):
			if err := g.Close(); err != nil {
				g.log.Warn("closing the listener of the " + g.name + ": " + err.Error())
			}
			return nil, io.EOF // just that, to fasthttp
		}
		g.log.Warn("accepting a connection: " + err.Error())
		time.Sleep(acceptPause)
	}
}

// isBeyondReserve reports whether a connection has taken a descriptor that is kept for other
// things. A system gives out the lowest one that is free, so by its number all those below are in
// use, whatever for.
func (g *gate) isBeyondReserve(c *net.TCPConn) (beyond bool) {
	if g.ceiling == nil {
		return false
	}
	raw, err := c.SyscallConn()
	return err != nil || raw.Control(func(fd uintptr) { beyond = int(fd) >= g.ceiling() }) != nil || beyond
}

const refusalPause = 10 * time.Second // between two lines in the log

// hasRoom reports whether a new connection may stay, perhaps in place of another one: of one to
// this gate if those are as many as may be, or else of any, as all share the descriptors.
func (g *gate) hasRoom(c *net.TCPConn) bool {
	switch {
	case g.open.count(g) >= g.limit:
		return g.makeRoom(g)
	case g.isBeyondReserve(c):
		g.open.fill()
		return g.makeRoom(nil)
	case g.open.isFull():
		return g.makeRoom(nil)
	default:
		return true
	}
}

// makeRoom closes the connection to a gate, or to any, that can be spared most, and reports whether
// there was one.
func (g *gate) makeRoom(of *gate) bool {
	g.open.refused.Inc()
	if now := time.Now(); now.Sub(g.said) > refusalPause {
		g.said = now
		g.log.Warn("closing connections to the "+g.name+": there are as many as this node may have. If they are your clients', "+
			"raise the limit of file descriptors (ulimit -n, or LimitNOFILE of systemd) or add nodes", "connections", g.open.count(of))
	}
	return g.open.makeRoom(of)
}
