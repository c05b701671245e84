package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"hookwheel/systemtest/wait"
	"hookwheel/tlslimit"
)

// Lengths that a peer announces take no memory before the bytes come, whether it has proven itself
// or not.
func TestAnnouncedLengths(t *testing.T) {
	members := startMembers(t, 1)
	m, _ := readyLeader(t, members)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	own := m.identity.Server
	s := stranger(m, own, testSecret, nil)
	defer s.cancel()
	for range 40 {
		conn, _, err := s.dialer.dialAt(m.config.Address, forCalls, own, dialTimeout)
		must(t, err)
		defer conn.Close()
		must(t, second(conn.Write(binary.BigEndian.AppendUint32([]byte{callPropose}, maxCommand))))
		unproven := dialTo(t, m)
		must(t, second(unproven.Write([]byte{0x0f, 0xff})))
	}
	time.Sleep(200 * time.Millisecond) // in which the node would get the memory
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 60<<20 {
		t.Errorf("memory has grown by %d MiB", grown>>20)
	}
	for kind, size := range map[byte]uint32{callIndex: 1, callStatus: 17, callChange: 1 << 20, callPropose: 63 << 20, 9: 0} {
		conn, _, err := s.dialer.dialAt(m.config.Address, forCalls, own, dialTimeout)
		must(t, err)
		must(t, conn.SetDeadline(time.Now().Add(time.Minute)))
		must(t, second(conn.Write(binary.BigEndian.AppendUint32([]byte{kind}, size))))
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !isReset(err) {
			t.Errorf("kind %d with %d bytes: %v, want the connection closed", kind, size, err)
		}
		conn.Close()
	}
	must(t, second(m.Propose(limited(t), []byte("unharmed"))))
}

func isReset(err error) bool { return err != nil && strings.Contains(err.Error(), "reset") }

// The budget of calls is never exceeded, and given back.
func TestBudget(t *testing.T) {
	b := newBudget(10)
	if !b.take(t.Context(), 6) || !b.take(t.Context(), 4) {
		t.Fatal("there is not as much as there should be")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if b.take(ended, 1) {
		t.Fatal("there is more than there should be")
	}
	taken := make(chan bool)
	go func() { taken <- b.take(t.Context(), 5) }()
	b.give(6)
	if !<-taken {
		t.Fatal("what was given back is not there")
	}
}

// A flood of connections without a handshake does not keep a member out.
func TestDoorstepFlood(t *testing.T) {
	members := startMembers(t, 3)
	leader, others := readyLeader(t, members)
	for range 2 * maxDoorstep {
		dialTo(t, leader)
	}
	others[0].stop(t)
	others[0].start(t)
	must(t, second(others[0].Propose(limited(t), []byte("through"))))
	wait.For(t, "the flood is counted", func() bool { return leader.refusals(t, reasonCrowded) > 0 })
}

// The doorstep makes room at the expense of the network that takes the most of it.
func TestDoorstep(t *testing.T) {
	var g guests
	here := func(ip string) *guest {
		a, b := net.Pipe()
		t.Cleanup(func() { a.Close(); b.Close() })
		return g.arrive(&addressed{a, &net.TCPAddr{IP: net.ParseIP(ip)}})
	}
	member := here("10.0.0.2")
	first := here("10.0.0.66")
	for range 3 * maxDoorstep {
		here("10.0.0.66")
	}
	six := here("2001:db8::1")
	if g.wasPushed(member) || g.wasPushed(six) || !g.wasPushed(first) || len(g.doorstep) != maxDoorstep {
		t.Errorf("member pushed %v, another %v, the first of the flood %v, %d are there", g.wasPushed(member), g.wasPushed(six), g.wasPushed(first), len(g.doorstep))
	}
	if a, b := tlslimit.Origin(&net.TCPAddr{IP: net.ParseIP("2001:db8::1")}), tlslimit.Origin(&net.TCPAddr{IP: net.ParseIP("2001:db8::ffff")}); a != b {
		t.Errorf("%s and %s are one network", a, b)
	}
	if !g.enter(member, "n2.1") || g.enter(first, "n9.1") {
		t.Error("the member does not get in, or the displaced connection does")
	}
	for range maxEntries {
		if !g.enter(here("10.0.0.3"), forEntry) {
			t.Fatal("there should be room")
		}
	}
	if g.enter(here("10.0.0.3"), forEntry) {
		t.Error("there is room for too many entry connections")
	}
	for range maxPerMember {
		if !g.enter(here("10.0.0.2"), "n2.1") {
			t.Fatal("a member always gets in")
		}
	}
	if !g.wasPushed(member) || len(g.inside["n2.1"]) != maxPerMember {
		t.Errorf("the member has %d connections", len(g.inside["n2.1"]))
	}
}

type addressed struct {
	net.Conn
	address net.Addr
}

func (a *addressed) RemoteAddr() net.Addr { return a.address }

// A node on its own listens to nobody; with a cluster block it becomes the first of a cluster.
func TestAloneDoesNotListen(t *testing.T) {
	alone := startMembers(t, 1)[0]
	alone.stop(t)
	alone.machine, alone.config.Dir = newMachine(), t.TempDir()
	listen := alone.config.Listen
	alone.config.Listen = ""
	alone.start(t)
	readyLeader(t, []*member{alone})
	must(t, second(alone.Propose(limited(t), []byte("alone"))))
	if conn, err := net.Dial("tcp", listen); err == nil {
		conn.Close()
		t.Error("it listens")
	}
	wantRefused(t, alone.Join(limited(t), listen, true, nil), "cluster block")
	if _, err := os.Stat(filepath.Join(alone.config.Dir, SecretFile)); err == nil {
		t.Error("it has made a secret, which it does not need")
	}
	alone.crash(t)
	alone.config.Listen = listen
	alone.start(t)
	other := newJoiner(t, "n2", []*member{alone})
	other.start(t)
	readyLeader(t, []*member{alone})
	must(t, alone.Join(limited(t), other.config.Address, true, nil))
	hasVote(t, []*member{alone, other}, "n2")
	wantSame(t, []*member{alone, other})

	alone.stop(t)
	other.stop(t)
	alone.config.Listen, alone.config.Machine = "", alone.machine
	alone.config.Metrics = nil
	if n, err := Open(alone.config); err == nil || !strings.Contains(err.Error(), "no cluster block") {
		t.Errorf("a member of a cluster starts on its own: %v", err)
		if n != nil {
			must(t, n.Close())
		}
	}
}
