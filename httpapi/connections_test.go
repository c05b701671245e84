package httpapi

import (
	"fmt"
	"net"
	"runtime"
	"testing"

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
	added := c.add(accepted, nil)
	t.Cleanup(func() { added.Close() })
	added.origin = address
	if caller != nil {
		added.setCaller(*caller)
	}
	added.since.Store(int64(c.count(nil))) // in the order in which they were opened
	return added
}

// victim returns the connection that is closed first to make room, or nil.
func victim(c *connections, at *gate) *conn {
	if victims := c.victims(at); len(victims) > 0 {
		return victims[0]
	}
	return nil
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
		got := victim(c, nil)
		if got != want {
			t.Fatalf("%d: wrong connection", i)
		}
		if c.makeRoom(nil) != (want != nil) {
			t.Fatalf("%d: reports the opposite", i)
		}
	}
	if c.count(nil) != 1 {
		t.Errorf("%d are open", c.count(nil))
	}
}

// TestMakeRoomTakesNoRequest: a connection on which a request comes just now is either closed
// before the request is answered or not at all.
func TestMakeRoomTakesNoRequest(t *testing.T) {
	for range 20 {
		c := newConnections()
		var all []*conn
		for i := range 200 {
			added := &conn{TCPConn: new(net.TCPConn), all: c, end: func() {}}
			added.since.Store(int64(i)) // the order in which they are chosen
			c.open[added] = struct{}{}
			all = append(all, added)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for c.makeRoom(nil) {
			}
		}()
		answered := 0
		for _, open := range all {
			if open.begin() {
				answered++
				runtime.Gosched()
			}
		}
		<-done
		if open := c.count(nil); open != answered {
			t.Fatalf("%d requests are being answered on %d open connections", answered, open)
		}
	}
}

// Many clients of one gate do not use up the connections of another: beyond its own limit a gate
// loses its own connections, and beyond the common limit the clients with the most lose theirs.
func TestMakeRoomByGate(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := newConnections()
	api, portal := new(gate), new(gate)
	open := func(at *gate, address string, caller *owner) *conn {
		added := openPair(t, c, l.(*net.TCPListener), address, caller)
		c.at[added.gate]--
		added.gate = at
		c.at[at]++
		return added
	}
	producer := owner{id: webhook.ID{2}}
	first, second := open(api, "a", &producer), open(api, "a", &producer)
	var crowd []*conn
	for _, address := range []string{"x", "x", "y"} {
		crowd = append(crowd, open(portal, address, nil))
	}
	if c.count(api) != 2 || c.count(portal) != 3 || c.count(nil) != 5 {
		t.Fatalf("%d, %d, %d are open", c.count(api), c.count(portal), c.count(nil))
	}
	for i, want := range []*conn{first, second, nil} {
		if got := victim(c, api); got != want || c.makeRoom(api) != (want != nil) {
			t.Fatalf("at the API, %d: wrong connection", i)
		}
	}
	for i, want := range append(crowd, nil) {
		if got := victim(c, nil); got != want || c.makeRoom(nil) != (want != nil) {
			t.Fatalf("at any, %d: wrong connection", i)
		}
	}
	if c.count(api) != 0 || c.count(portal) != 0 {
		t.Errorf("%d, %d are open", c.count(api), c.count(portal))
	}
}

// When there are no descriptors for more connections, each new one needs room from then on, until
// half of them are gone.
func TestFull(t *testing.T) {
	c := newConnections()
	var all []*conn
	open := func() {
		added := &conn{TCPConn: new(net.TCPConn), all: c, end: func() {}}
		c.open[added] = struct{}{}
		all = append(all, added)
	}
	c.fill() // with none
	if c.isFull() {
		t.Fatal("full without a connection")
	}
	for range 10 {
		open()
	}
	if c.isFull() {
		t.Fatal("full before there are too few descriptors")
	}
	c.fill()
	for left := 10; left > 5; left-- {
		if got, want := c.isFull(), left == 10; got != want {
			t.Errorf("with %d of 10: full %v", left, got)
		}
		c.remove(all[left-1])
	}
	for range 15 {
		if c.isFull() {
			t.Fatalf("full with %d, after half of them were gone", c.count(nil))
		}
		open()
	}
}

// A holder of many connections loses some at a time, the oldest ones first.
func TestMakeRoomOfMany(t *testing.T) {
	c := newConnections()
	for i := range 320 {
		added := &conn{TCPConn: new(net.TCPConn), all: c, end: func() {}, origin: []string{"a", "b"}[i/310]}
		added.since.Store(int64(i))
		c.open[added] = struct{}{}
	}
	if !c.makeRoom(nil) || c.count(nil) != 310 {
		t.Fatalf("%d of 320 are left", c.count(nil))
	}
	for open := range c.open {
		if open.since.Load() < 10 {
			t.Errorf("connection %d is left", open.since.Load())
		}
	}
}

// With many holders of a few connections each, room is made for several at a time: with one, each
// new connection would cost a look at all others.
func TestMakeRoomOfManyHolders(t *testing.T) {
	c := newConnections()
	for i := range 2048 {
		address := fmt.Sprint(i)
		if i%1024 == 5 { // one holder has two
			address = "crowd"
		}
		added := &conn{TCPConn: new(net.TCPConn), all: c, end: func() {}, origin: address}
		added.since.Store(int64(i))
		c.open[added] = struct{}{}
	}
	if !c.makeRoom(nil) || c.count(nil) != 2048-9 {
		t.Fatalf("%d of 2048 are left", c.count(nil))
	}
	for open := range c.open {
		if since := open.since.Load(); since < 9 {
			t.Errorf("connection %d is left", since)
		}
	}
}
