package httpapi

import (
	"net"
	"testing"
	"time"

	"hookwheel/webhook"
)

// openPair returns a client's connection that is open in c, of a holder.
func openPair(t *testing.T, c *connections, l *net.TCPListener, address string, caller *owner) *conn {
	t.Helper()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	accepted, err := l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	added := c.add(accepted)
	t.Cleanup(func() { added.Close() })
	added.address = address
	if caller != nil {
		added.setCaller(*caller)
	}
	added.since.Store(int64(c.count())) // in the order in which they were opened
	return added
}

func TestMakeRoom(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := newConnections()
	customer, producer := owner{application: true, id: webhook.ID{1}}, owner{id: webhook.ID{2}}
	open := func(address string, caller *owner) *conn {
		return openPair(t, c, l.(*net.TCPListener), address, caller)
	}
	p := open("a", &producer)
	c1, c2, c3, c4 := open("a", &customer), open("b", &customer), open("b", &customer), open("b", &customer)
	c1.begin()
	balancer := open("c", nil)
	s1, s2, s3, s4, s5 := open("d", nil), open("d", nil), open("d", nil), open("d", nil), open("d", nil)
	for i, want := range []*conn{s1, c2, s2, c3, s3, c4, s4, p, balancer, s5, nil} {
		got := c.victim()
		if got != want {
			t.Fatalf("%d: wrong connection", i)
		}
		if c.makeRoom() != (want != nil) {
			t.Fatalf("%d: reports the opposite", i)
		}
	}
	if c.count() != 1 {
		t.Errorf("%d are open", c.count())
	}
}

// TestMakeRoomTakesNoRequest: a connection on which a request comes just now is either closed
// before the request is answered or not at all.
func TestMakeRoomTakesNoRequest(t *testing.T) {
	for range 20 {
		c := newConnections()
		var all []*conn
		for i := range 200 {
			added := &conn{TCPConn: new(net.TCPConn), all: c}
			added.since.Store(int64(i)) // the order in which they are chosen
			c.open[added] = struct{}{}
			all = append(all, added)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for c.makeRoom() {
			}
		}()
		answered := 0
		for _, open := range all {
			if open.begin() {
				answered++
				time.Sleep(time.Microsecond)
			}
		}
		<-done
		if open := c.count(); open != answered {
			t.Fatalf("%d requests are being answered on %d open connections", answered, open)
		}
	}
}
