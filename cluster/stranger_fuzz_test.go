package cluster

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"
	"net"
	"testing"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"hookwheel/systemtest/wait"
)

// fuzzNode is a single node that runs but does not listen.
func fuzzNode(f *testing.F) *Node {
	n, err := Open(Config{ID: "n1", Dir: f.TempDir(), Address: "127.0.0.1:1", Peers: []Peer{{ID: "n1", Address: "127.0.0.1:1"}}, Voter: true,
		Machine: newMachine(), Logger: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(), Fatal: func(err error) { f.Error(err) }})
	must(f, err)
	n.secret = testSecret
	f.Cleanup(func() { must(f, n.Close()) })
	wait.For(f, "a leader", func() bool { return n.Status().Ready })
	return n
}

// feed gives data to one end of a connection, and throws away what comes back.
func feed(data []byte) (conn net.Conn, end func()) {
	here, there := net.Pipe()
	read := make(chan struct{})
	go func() {
		defer close(read)
		_, _ = io.Copy(io.Discard, there)
	}()
	go func() {
		_, _ = there.Write(data)
		there.Close()
	}()
	return here, func() { here.Close(); there.Close(); <-read }
}

// FuzzWelcome: bytes of a stranger, from the first one on, never get past the handshake.
func FuzzWelcome(f *testing.F) {
	n := fuzzNode(f)
	var said bytes.Buffer
	h := &handshake{conn: &recorder{Conn: discard{}}, secret: testSecret}
	must(f, h.write(roleDial, nil, hello{For: forCalls, From: n.identity.Server, To: n.identity.Server, Nonce: newNonce()}))
	said.Write(h.conn.(*recorder).sent.Bytes())
	f.Add(said.Bytes())
	f.Add([]byte{0, 0})
	f.Add([]byte{0xff, 0xff, '{'})
	f.Fuzz(func(t *testing.T, data []byte) {
		conn, end := feed(data)
		defer end()
		if h, err := n.listener.welcome(conn); err == nil {
			t.Errorf("%+v is welcome", h)
		}
	})
}

// discard is a connection whose other side takes everything.
type discard struct{ net.Conn }

func (discard) Write(data []byte) (int, error) { return len(data), nil }

// FuzzGreet: bytes of whoever listens at an address, from the first one on, are never taken for a
// node.
func FuzzGreet(f *testing.F) {
	n := fuzzNode(f)
	start := append([]byte(greeting), make([]byte, nonceSize)...)
	f.Add(start)
	f.Add(append(start[:len(start):len(start)], responseSecret))
	f.Add(append(start[:len(start):len(start)], append([]byte{responseProven, 0, 2, '{', '}'}, make([]byte, 32)...)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		conn, end := feed(data)
		defer end()
		if server, err := n.dialer.greet(conn, forRaft, "n2.1234", dialTimeout); err == nil {
			t.Errorf("it is taken for %q", server)
		}
	})
}

// FuzzCalls: what a member sends after the handshake, and what a stranger with the secret sends,
// ends no node.
func FuzzCalls(f *testing.F) {
	n := fuzzNode(f)
	command := appendCommands(nil, []*proposal{{command: Command{Body: []byte("body")}}})
	f.Add(appendFrame([]byte{callPropose}, command), true)
	f.Add(appendFrame([]byte{callStatus}, nil), false)
	f.Add(appendFrame([]byte{callIndex}, nil), true)
	f.Add(appendFrame([]byte{callChange}, []byte(`{"op":"enter","server":"n2.1234","address":"127.0.0.1:2","voter":true}`)), false)
	f.Add(appendFrame([]byte{callChange}, []byte(`{"op":"remove","node":"n1"}`)), true)
	f.Add([]byte{callPropose, 0xff, 0xff, 0xff, 0xff}, true)
	f.Fuzz(func(t *testing.T, data []byte, member bool) {
		if bytes.Contains(data, []byte("join")) {
			return // it would dial
		}
		conn, end := feed(data)
		defer end()
		if member {
			n.calls.serveCalls(conn, &hello{For: forCalls, From: n.identity.Server})
		} else {
			n.calls.serveEntry(conn, &hello{For: forEntry, From: "n2.1234"})
			if len(n.servers()) != 1 {
				t.Fatal("a stranger has made itself a member")
			}
		}
		if n.raft.State() != raft.Leader {
			t.Fatal("it leads no longer")
		}
	})
}

// FuzzResponses: what a node answers to a call takes no more memory than has come, and is read or
// refused.
func FuzzResponses(f *testing.F) {
	f.Add(appendFrame(nil, []byte{outcomeOK, 2, 'o', 'k'}))
	f.Add([]byte{0x03, 0xff, 0xff, 0xff, 1})
	f.Add(appendFrame([]byte{0xff, 0xff, 0xff, 0xff}, []byte{outcomeOK, 2, 'o', 'k'}))
	f.Fuzz(func(t *testing.T, data []byte) {
		response, err := readResponse(bufio.NewReader(bytes.NewReader(data)), callKinds[callPropose].response)
		if err != nil {
			return
		}
		if cap(response) > 4*max(len(data), readStep) {
			t.Errorf("%d bytes take %d", len(data), cap(response))
		}
		p := &proposal{done: make(chan struct{})}
		finishForwarded([]*proposal{p}, response)
		<-p.done
	})
}

// FuzzCheckEntries: entries and configurations that pass can be applied and decoded.
func FuzzCheckEntries(f *testing.F) {
	f.Add([]byte("x"), byte(raft.LogConfiguration))
	f.Add(encodeEntry(1, nil), byte(raft.LogCommand))
	f.Add(raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{ID: "n1.1", Address: "n1.1@h:1"}}}), byte(raft.LogConfiguration))
	f.Fuzz(func(t *testing.T, data []byte, kind byte) {
		entry := &raft.Log{Index: 1, Term: 1, Type: raft.LogType(kind), Data: data}
		if checkEntries(&raft.AppendEntriesRequest{Term: 1, Entries: []*raft.Log{entry}}) != nil {
			return
		}
		switch entry.Type {
		case raft.LogConfiguration:
			raft.DecodeConfiguration(data)
		case raft.LogCommand:
			if _, _, err := decodeEntry(data); err != nil {
				t.Error(err)
			}
		}
	})
}
