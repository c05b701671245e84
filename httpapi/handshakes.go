package httpapi

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"time"
)

const (
	handshakeTime  = 10 * time.Second
	handshakeBytes = 16 << 10 // that a client may send before its handshake is complete
	messageBytes   = 24 << 10 // that it may send for one read: a record has 17 KiB at most
	maxHandshakes  = 1024     // under way; beyond it, the oldest of the address with the most ends
	handshakeShare = 4        // to sign takes one in so many of the processors at most, for long
)

var errHandshake = errors.New("the TLS handshake did not end in time")

// handshakes limits what clients can use before they have presented a token. What a handshake costs
// is a signature, of 0.1 to 5 ms of CPU, for which a client need only send 200 bytes. So clients get
// theirs one after the other, with rests, and addresses take turns.
type handshakes struct {
	closing <-chan struct{} // closed when nobody waits any longer, as the server is shutting down

	mu      sync.Mutex
	places  int                         // signatures that may be made now
	rest    float64                     // after each, as a multiple of the time that it took
	queues  map[string][]chan struct{}  // who waits, by address
	order   []string                    // addresses in queues, in turn
	running map[string]map[*conn]uint64 // by address, with the place in the order of arrival
	all     int                         // in running
	last    uint64
}

func newHandshakes(processors int, closing <-chan struct{}) *handshakes {
	places := (processors + handshakeShare - 1) / handshakeShare
	return &handshakes{closing: closing, places: places, rest: float64(places*handshakeShare)/float64(processors) - 1,
		queues: make(map[string][]chan struct{}), running: make(map[string]map[*conn]uint64)}
}

// listen returns a listener for TLS on top of a gate.
func (h *handshakes) listen(g *gate, config *tls.Config) net.Listener {
	config = config.Clone()
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		return nil, h.await(hello.Conn.(*conn))
	}
	return &secureGate{g, h, config}
}

type secureGate struct {
	*gate
	handshakes *handshakes
	config     *tls.Config
}

func (g *secureGate) Accept() (net.Conn, error) {
	plain, err := g.gate.Accept()
	if err != nil {
		return nil, err
	}
	return &secureConn{tls.Server(plain, g.config), plain.(*conn), g.handshakes}, nil
}

// secureConn is a client's connection with TLS.
type secureConn struct {
	*tls.Conn
	plain      *conn
	handshakes *handshakes
}

// Handshake is called once, before anything is read.
func (s *secureConn) Handshake() error {
	s.handshakes.begin(s.plain)
	defer s.handshakes.end(s.plain)
	if err := s.SetDeadline(time.Now().Add(handshakeTime)); err != nil {
		return err
	}
	s.plain.most = s.plain.seen + handshakeBytes
	err := s.Conn.Handshake()
	s.plain.endTurn()
	if err != nil {
		return err
	}
	return s.SetDeadline(time.Now().Add(readTimeout))
}

// Read bounds what a client sends without any content, which is kept in memory.
func (s *secureConn) Read(data []byte) (int, error) {
	s.plain.most = s.plain.seen + messageBytes
	return s.Conn.Read(data)
}

// begin notes a handshake, and ends another one if there are too many.
func (h *handshakes) begin(c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all >= maxHandshakes {
		h.evict()
	}
	if h.running[c.address] == nil {
		h.running[c.address] = make(map[*conn]uint64)
	}
	h.last++
	h.running[c.address][c] = h.last
	h.all++
}

// evict ends the oldest handshake of the address with the most.
func (h *handshakes) evict() {
	var most map[*conn]uint64
	for _, of := range h.running {
		if len(of) > len(most) {
			most = of
		}
	}
	var oldest *conn
	for c, place := range most {
		if oldest == nil || place < most[oldest] {
			oldest = c
		}
	}
	if oldest != nil && oldest.doom() {
		h.remove(oldest)
		_ = oldest.Close() // the client is told by that
	}
}

func (h *handshakes) end(c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.remove(c)
}

func (h *handshakes) remove(c *conn) {
	of := h.running[c.address]
	if _, there := of[c]; !there {
		return
	}
	if delete(of, c); len(of) == 0 {
		delete(h.running, c.address)
	}
	h.all--
}

// await waits until a client whose first message has come may get the signature. The turn ends when
// more is read from the client, or with the handshake.
func (h *handshakes) await(c *conn) error {
	turn := make(chan struct{})
	h.mu.Lock()
	if len(h.queues[c.address]) == 0 {
		h.order = append(h.order, c.address)
	}
	h.queues[c.address] = append(h.queues[c.address], turn)
	h.next()
	h.mu.Unlock()
	timeout := time.NewTimer(handshakeTime)
	defer timeout.Stop()
	select {
	case <-turn:
	case <-c.closed:
	case <-timeout.C:
	case <-h.closing:
	}
	if h.leave(c.address, turn) {
		return errHandshake
	}
	begun := time.Now()
	c.turn = func() {
		time.AfterFunc(time.Duration(h.rest*float64(time.Since(begun))), func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.places++
			h.next()
		})
	}
	return nil
}

// next gives free places to those who wait, one of each address after the other.
func (h *handshakes) next() {
	for ; h.places > 0 && len(h.order) > 0; h.places-- {
		address := h.order[0]
		close(h.queues[address][0])
		h.order = h.order[1:]
		if h.queues[address] = h.queues[address][1:]; len(h.queues[address]) > 0 {
			h.order = append(h.order, address)
		} else {
			delete(h.queues, address)
		}
	}
}

// leave reports whether a turn that was waited for has not come, and no longer will.
func (h *handshakes) leave(address string, turn chan struct{}) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, t := range h.queues[address] {
		if t != turn {
			continue
		}
		h.queues[address] = append(h.queues[address][:i:i], h.queues[address][i+1:]...)
		if len(h.queues[address]) == 0 {
			delete(h.queues, address)
			for j, a := range h.order {
				if a == address {
					h.order = append(h.order[:j:j], h.order[j+1:]...)
					break
				}
			}
		}
		return true
	}
	return false
}
