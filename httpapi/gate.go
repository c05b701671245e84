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

// gate is a listener that closes without turning away who was there: connections that clients have made, but that nobody has
// accepted yet, would be reset by the kernel, with requests that may have been sent on them.
type gate struct {
	*net.TCPListener
	log     *slog.Logger
	closing atomic.Bool
	closed  chan struct{} // closed just before it is
	close   func() error
}

func openGate(address string, log *slog.Logger) (*gate, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	g := &gate{TCPListener: l.(*net.TCPListener), log: log, closed: make(chan struct{})}
	g.close = sync.OnceValue(func() error {
		close(g.closed)
		return g.TCPListener.Close()
	})
	return g, nil
}

// Close may be called again.
func (g *gate) Close() error { return g.close() }

// shut has Accept take the connections there are, and then end.
func (g *gate) shut() {
	g.closing.Store(true)
	_ = g.SetDeadline(time.Now().Add(shutTime)) // fails only if it is closed
}

// Accept outlives a lack of file descriptors, which ends when connections do. Its own end is io.EOF.
func (g *gate) Accept() (net.Conn, error) {
	for {
		conn, err := g.TCPListener.Accept()
		switch {
		case err == nil:
			return conn, nil
		case g.closing.Load() && errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, net.ErrClosed):
			if err := g.Close(); err != nil {
				g.log.Warn("closing the listener of the API: " + err.Error())
			}
			return nil, io.EOF // just that, to fasthttp
		}
		g.log.Warn("accepting a connection: " + err.Error())
		time.Sleep(acceptPause)
	}
}
