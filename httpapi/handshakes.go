package httpapi

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"hookwheel/tlslimit"
)

const (
	handshakeTime     = 10 * time.Second
	handshakePatience = time.Second // for which a client may have us wait, if there are too many
	maxHandshakes     = 1024        // under way; beyond it, one of the origin with the most ends
)

// handshakes limits what clients can use before they have presented a token.
type handshakes struct {
	turns *tlslimit.Turns

	mu      sync.Mutex
	running map[string]map[*conn]uint64 // by origin, with the place in the order of arrival
	all     int                         // in running
	last    uint64
}

func newHandshakes() *handshakes {
	return &handshakes{turns: tlslimit.NewTurns(), running: make(map[string]map[*conn]uint64)}
}

// secureGate is a listener for TLS on top of a gate.
type secureGate struct {
	*gate
	handshakes *handshakes
	config     *tls.Config
}

func (g *secureGate) Accept() (net.Conn, error) {
	c, err := g.gate.Accept()
	if err != nil {
		return nil, err
	}
	plain := c.(*conn)
	return &secureConn{g.handshakes.turns.Server(belowTLS{plain}, plain.origin, g.config), plain, g.handshakes}, nil
}

// secureConn is a client's connection with TLS.
type secureConn struct {
	*tlslimit.Conn
	plain      *conn
	handshakes *handshakes
}

// Read counts what the client has sent, and not what TLS has made of it: for many small writes that
// is several times as much.
func (s *secureConn) Read(data []byte) (int, error) { return s.plain.readBounded(s.Conn.Read, data) }

// belowTLS is a connection whose bytes are not yet those of requests.
type belowTLS struct{ *conn }

func (b belowTLS) Read(data []byte) (int, error) {
	asked := time.Now().UnixNano()
	b.asked.Store(asked)
	defer func() {
		b.asked.Store(0)
		b.waited.Add(time.Now().UnixNano() - asked)
	}()
	return b.receive(data)
}

func (b belowTLS) Write(data []byte) (int, error) {
	b.served.Store(true)
	return b.conn.Write(data)
}

// Handshake is called once, before anything is read.
func (s *secureConn) Handshake() error {
	s.handshakes.begin(s.plain)
	defer s.handshakes.end(s.plain)
	ctx, cancel := context.WithTimeout(s.plain.alive, handshakeTime)
	defer cancel()
	err := s.HandshakeContext(ctx)
	var other tls.RecordHeaderError
	if errors.As(err, &other) && other.Conn != nil && 'A' <= other.RecordHeader[0] && other.RecordHeader[0] <= 'Z' { // a method
		_, _ = io.WriteString(s.plain, plainResponse) // the client is told only this
		s.plain.unread.Store(true)
	}
	return err
}

const plainProblem = `{"code":"generic_error","detail":"This port speaks HTTPS, and the request came without TLS: use https:// in the URL."}` + "\n"

// plainResponse is the answer to plain HTTP.
var plainResponse = fmt.Sprintf("HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
	len(plainProblem), plainProblem)

// begin notes a handshake, and ends one if there are too many.
func (h *handshakes) begin(c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running[c.origin] == nil {
		h.running[c.origin] = make(map[*conn]uint64)
	}
	h.last++
	h.running[c.origin][c] = h.last
	if h.all++; h.all > maxHandshakes {
		if c := h.excess(time.Now()); c.doom() {
			h.remove(c)
			_ = c.Close() // the client is told by that
		}
	}
}

// excess returns the handshake to end, of the origin with the most: the one that has waited longest
// for the first message of its client, or, if all wait for us or have got an answer, that which has
// waited longest for its client, and for handshakePatience, or else the newest. A client that sends
// a byte now and then is no better than a silent one. The oldest of those that wait for us goes on
// first, and all of them may be of honest clients behind a proxy.
func (h *handshakes) excess(now time.Time) *conn {
	var most map[*conn]uint64
	for _, of := range h.running {
		if len(of) > len(most) {
			most = of
		}
	}
	var newest, silent, slow *conn
	longestSilent, longest := int64(-1), int64(handshakePatience)
	for c, place := range most {
		if newest == nil || place > most[newest] {
			newest = c
		}
		asked, waited := c.asked.Load(), c.waited.Load()
		if asked > 0 {
			waited += now.UnixNano() - asked
		}
		if asked > 0 && !c.served.Load() && waited > longestSilent {
			silent, longestSilent = c, waited
		}
		if waited > longest {
			slow, longest = c, waited
		}
	}
	return cmp.Or(silent, slow, newest)
}

func (h *handshakes) end(c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.remove(c)
}

func (h *handshakes) remove(c *conn) {
	of := h.running[c.origin]
	if _, there := of[c]; !there {
		return
	}
	if delete(of, c); len(of) == 0 {
		delete(h.running, c.origin)
	}
	h.all--
}
