// Package tlslimit bounds what others can use in TLS before they have proven who they are: time of
// processors for signatures, memory for messages that they do not finish, and what it takes to
// verify the certificates that they send.
package tlslimit

import (
	"context"
	"net"
	"runtime"
	"slices"
	"sync"
	"time"
)

const (
	share = 8                     // handshakes take one in so many of the processors at most, for long
	burst = 10 * time.Millisecond // for which they need not rest, after a while without any
)

// Origin returns what counts as one client before it has proven who it is: an IPv4 address, or an
// IPv6 /64 network, of which a host can have all addresses.
func Origin(address net.Addr) string {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return ""
	}
	if ip := tcp.IP.To4(); ip != nil {
		return ip.String()
	}
	return tcp.IP.Mask(net.CIDRMask(64, 128)).String()
}

// Turns are when the clients of a port get what costs time in a handshake: signatures above all, of
// 0.1 to 5 ms, for which a client need only send 200 bytes. They come one after the other, with
// rests if there are many, and origins take turns.
type Turns struct {
	mu     sync.Mutex
	places int                        // turns that may begin now
	cost   float64                    // of a turn, with its rest, as a multiple of the time that it took
	paid   time.Time                  // until when, if all turns so far had rested
	queues map[string][]chan struct{} // who waits, by origin
	order  []string                   // origins in queues, in turn
}

// processors is what this process may use. It is read when the program starts, since a node raises
// GOMAXPROCS.
var processors = runtime.GOMAXPROCS(0)

func NewTurns() *Turns {
	places := (processors + share - 1) / share
	return &Turns{places: places, cost: float64(share) / float64(processors), queues: make(map[string][]chan struct{})}
}

// await waits for a turn of an origin, and returns what ends it. What has begun with an earlier
// turn comes before what has not: a handshake takes two turns or three, and if all had their first
// ones before any had its last, none would end in time.
func (t *Turns) await(ctx context.Context, origin string, begun bool) (end func(), err error) {
	turn := make(chan struct{})
	t.mu.Lock()
	if len(t.queues[origin]) == 0 {
		t.order = append(t.order, origin)
	}
	if begun {
		t.queues[origin] = slices.Insert(t.queues[origin], 0, turn)
	} else {
		t.queues[origin] = append(t.queues[origin], turn)
	}
	t.next()
	t.mu.Unlock()
	select {
	case <-turn:
	case <-ctx.Done():
		if t.leave(origin, turn) {
			return nil, context.Cause(ctx)
		}
	}
	start := time.Now()
	return func() { t.end(start, time.Now()) }, nil
}

// end frees the place of a turn when it has rested.
func (t *Turns) end(start, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if earliest := now.Add(-burst); t.paid.Before(earliest) {
		t.paid = earliest
	}
	t.paid = t.paid.Add(time.Duration(t.cost * float64(now.Sub(start))))
	if rest := t.paid.Sub(now); rest > 0 {
		time.AfterFunc(rest, t.free)
		return
	}
	t.places++
	t.next()
}

func (t *Turns) free() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.places++
	t.next()
}

// next gives free places to those who wait, one of each origin after the other.
func (t *Turns) next() {
	for ; t.places > 0 && len(t.order) > 0; t.places-- {
		origin := t.order[0]
		close(t.queues[origin][0])
		t.order = t.order[1:]
		if t.queues[origin] = t.queues[origin][1:]; len(t.queues[origin]) > 0 {
			t.order = append(t.order, origin)
		} else {
			delete(t.queues, origin)
		}
	}
}

// leave reports whether a turn has not come, and no longer will.
func (t *Turns) leave(origin string, turn chan struct{}) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.queues[origin], turn)
	if i < 0 {
		return false
	}
	if t.queues[origin] = slices.Delete(t.queues[origin], i, i+1); len(t.queues[origin]) == 0 {
		delete(t.queues, origin)
		i := slices.Index(t.order, origin)
		t.order = slices.Delete(t.order, i, i+1)
	}
	return true
}
