package delivery

import (
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"
)

// idleLink is a connection to a peer that nobody has at the other end.
func idleLink(t *testing.T, d *dialer, p peer) *link {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	plain, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	bottom, err := d.register(plain)
	if err != nil {
		t.Fatal(err)
	}
	return &link{Conn: bottom, bottom: bottom, peer: p, made: time.Now()}
}

// TestIdleLinks compares idleLinks with a list after random calls.
func TestIdleLinks(t *testing.T) {
	const limit = 6
	d := newTestSender(nil).dialer
	defer d.abort()
	idle := newIdleLinks(limit)
	idle.patience = time.Hour
	defer idle.clear()
	peers := []peer{{address: "a:1"}, {address: "b:1"}, {address: "b:1", secure: true}}
	var taken, model []*link
	reserved := 0
	trim := func() {
		if len(model) > 0 && len(model)+reserved > limit {
			model = model[1:]
		}
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		p := peers[random.IntN(len(peers))]
		switch random.IntN(7) {
		case 0, 1:
			var want *link
			for _, l := range slices.Backward(model) {
				if l.peer == p {
					want = l
					break
				}
			}
			if got := idle.take(p); got != want {
				t.Fatalf("took %p, want %p", got, want)
			}
			if want != nil {
				model = slices.DeleteFunc(model, func(l *link) bool { return l == want })
				taken = append(taken, want)
			}
		case 2, 3:
			if len(taken) == 0 {
				taken = append(taken, idleLink(t, d, p))
			}
			l := taken[0]
			taken = taken[1:]
			idle.put(l)
			model = append(model, l)
			trim()
		case 4:
			if len(model) > 0 && random.IntN(4) == 0 {
				since := model[random.IntN(len(model))].used
				idle.sweep(since)
				model = slices.DeleteFunc(model, func(l *link) bool { return !l.used.After(since) })
			}
		case 5:
			if reserved < limit {
				idle.reserve()
				reserved++
				trim()
			}
		case 6:
			if reserved > 0 {
				idle.release()
				reserved--
			}
		}
		var list []*link
		for l := idle.oldest; l != nil; l = l.newer {
			list = append(list, l)
		}
		if idle.count != len(model) || !slices.Equal(list, model) || len(model) == 0 && (idle.newest != nil || len(idle.byPeer) > 0) {
			t.Fatalf("%d idle connections, want %d", idle.count, len(model))
		}
	}
}
