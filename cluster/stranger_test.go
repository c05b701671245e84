package cluster

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"io"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"hookwheel/systemtest/process"
	"hookwheel/systemtest/wait"
)

// stranger is a dialer that has what a test gives it. It speaks the protocol but runs no Raft.
func stranger(m *member, server, secret string, config *tls.Config) *Node {
	ctx, cancel := context.WithCancel(context.Background())
	s := &Node{ctx: ctx, cancel: cancel, secret: secret, identity: &identityCard{identity: identity{Server: server, Cluster: m.identity.cluster()}}}
	s.dialer.node = s
	if config != nil {
		s.config.TLS = func() (*tls.Config, error) { return config, nil }
	}
	return s
}

// dialled is a TCP connection to the cluster port of a node.
func dialTo(t *testing.T, m *member) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", m.config.Address)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	must(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	return conn
}

// refusals is how many connections the node has refused for a reason.
func (m *member) refusals(t *testing.T, reason string) float64 {
	t.Helper()
	families, err := m.config.Metrics.(*prometheus.Registry).Gather()
	must(t, err)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetName() == "hookwheel_cluster_refused_connections_total" && metric.GetLabel()[0].GetValue() == reason {
				return metric.GetCounter().GetValue()
			}
		}
	}
	t.Fatalf("no metric for the reason %q", reason)
	return 0
}

// A stranger is refused in each way there is, counted, and gets nothing that depends on the
// secret.
func TestStrangers(t *testing.T) {
	members := startMembers(t, 1)
	m, _ := readyLeader(t, members)
	own := m.identity.Server
	tests := map[string]struct {
		server, secret, purpose, to, cluster string
		reason                               string
	}{
		"no secret":              {own, "", forCalls, own, "", reasonSecret},
		"wrong secret":           {own, strings.Repeat("x", 32), forRaft, own, "", reasonSecret},
		"wrong secret, entry":    {own, strings.Repeat("x", 32), forEntry, "", "", reasonSecret},
		"calls of no member":     {"n9.1234", testSecret, forCalls, own, "", reasonMember},
		"Raft of no member":      {"n9.1234", testSecret, forRaft, own, "", reasonMember},
		"an earlier life":        {"n1.1234", testSecret, forRaft, own, "", reasonMember},
		"for another server":     {own, testSecret, forRaft, "n1.1234", "", reasonServer},
		"of another cluster":     {own, testSecret, forCalls, own, "cafe", reasonCluster},
		"for an unknown purpose": {own, testSecret, "backup", own, "", reasonProtocol},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before := m.refusals(t, test.reason)
			s := stranger(m, test.server, test.secret, nil)
			defer s.cancel()
			if test.cluster != "" {
				s.identity.Cluster = test.cluster
			}
			conn, _, err := s.dialer.dialAt(m.config.Address, test.purpose, test.to, dialTimeout)
			if err == nil {
				conn.Close()
				t.Fatal("it was let in")
			}
			if !refusedFor(err, test.reason) {
				t.Errorf("refused because %v, want reason %s", err, test.reason)
			}
			// The node counts it after it has answered.
			wait.For(t, "the refusal is counted", func() bool { return m.refusals(t, test.reason) == before+1 })
		})
	}
	must(t, second(m.Propose(limited(t), []byte("unharmed"))))
}

// A leader may connect to a node that does not know yet that it was admitted. That is counted, but
// neither side logs it: it happens at most joins.
func TestAdmittedButUnaware(t *testing.T) {
	var text wait.Log
	members := startMembers(t, 1)
	n2 := newJoiner(t, "n2", members)
	n2.config.Logger = slog.New(slog.NewTextHandler(&text, nil))
	n2.start(t)
	n2.waits(t, "hookwheel cluster join")
	leader := stranger(n2, members[0].identity.Server, testSecret, nil)
	defer leader.cancel()
	_, _, err := leader.dialer.dialAt(n2.config.Address, forRaft, n2.identity.Server, dialTimeout)
	if !refusedFor(err, reasonNew) {
		t.Fatalf("refused because %v, want reason %s", err, reasonNew)
	}
	wait.For(t, "the refusal is counted", func() bool { return n2.refusals(t, reasonNew) == 1 })
	raftLogger(t.Context(), n2.config.Logger).Error("failed to heartbeat to", "error", err)
	n2.stop(t)
	if strings.Contains(text.String(), "refused a connection") || strings.Contains(text.String(), "failed to heartbeat") {
		t.Errorf("it logs\n%s", text.String())
	}
}

// What the acceptor says before the dialer has proven itself does not depend on the secret:
// neither to a dialer that sends nothing, nor to one whose proof is wrong.
func TestNothingSignedForStrangers(t *testing.T) {
	members := startMembers(t, 1)
	m, _ := readyLeader(t, members)
	conn := dialTo(t, m)
	start := make([]byte, len(greeting)+nonceSize)
	must(t, second(io.ReadFull(conn, start)))
	frame := binary.BigEndian.AppendUint16(nil, 2)
	frame = append(append(frame, "{}"...), make([]byte, 32)...)
	must(t, second(conn.Write(frame)))
	rest, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(rest, []byte{responseSecret}) {
		t.Errorf("the node answers %x, %v", rest, err)
	}
}

// recorder keeps what a connection sends and receives.
type recorder struct {
	net.Conn
	sent, got bytes.Buffer
}

func (r *recorder) Write(data []byte) (int, error) {
	r.sent.Write(data)
	return r.Conn.Write(data)
}

func (r *recorder) Read(data []byte) (int, error) {
	n, err := r.Conn.Read(data)
	r.got.Write(data[:n])
	return n, err
}

// A handshake that was recorded does not work a second time, and what a node says can't be sent
// back to it.
func TestReplayAndReflection(t *testing.T) {
	members := startMembers(t, 1)
	m, _ := readyLeader(t, members)
	own := m.identity.Server
	s := stranger(m, own, testSecret, nil)
	defer s.cancel()
	r := &recorder{Conn: dialTo(t, m)}
	must(t, second(s.dialer.greet(r, forCalls, own, dialTimeout)))
	for name, text := range map[string][]byte{"replay": r.sent.Bytes(), "reflection": r.got.Bytes()[len(greeting)+nonceSize+1:]} {
		conn := dialTo(t, m)
		must(t, second(io.ReadFull(conn, make([]byte, len(greeting)+nonceSize))))
		must(t, second(conn.Write(text)))
		if response, err := io.ReadAll(conn); err != nil || !bytes.Equal(response, []byte{responseSecret}) {
			t.Errorf("%s: the node answers %x, %v", name, response, err)
		}
	}
	// A dialer that is sent its own proof back, as if the acceptor had made it.
	here, there := net.Pipe()
	go func() {
		_, _ = there.Write(append([]byte(greeting), make([]byte, nonceSize)...))
		said := make([]byte, 4<<10)
		n, _ := there.Read(said)
		_, _ = there.Write(append([]byte{responseProven}, said[:n]...))
		there.Close()
	}()
	if server, err := s.dialer.greet(here, forCalls, own, dialTimeout); !refusedFor(err, reasonSecret) {
		t.Errorf("the dialer takes its own proof for that of %q: %v", server, err)
	}
}

// issueFor makes a certificate with these names and usages.
func (a *authority) issueFor(t *testing.T, names []string, usages ...x509.ExtKeyUsage) *tls.Config {
	t.Helper()
	config := a.issue(t, names[0])
	template := &x509.Certificate{SerialNumber: big.NewInt(1 + a.serial.Add(1)), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		ExtKeyUsage: usages, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	must(t, err)
	config.Certificates = []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	return config
}

// The secret alone is not enough where there is TLS, and no other certificate will do than that of
// the member.
func TestStrangersWithCertificates(t *testing.T) {
	ca, otherCA := newAuthority(t), newAuthority(t)
	members := newMembers(t, 2)
	for _, m := range members {
		m.certify(t, ca, m.config.ID)
		m.start(t)
	}
	readyLeader(t, members)
	m, n2 := members[0], members[1].identity.Server
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	foreign := otherCA.issue(t, "n2")
	foreign.RootCAs = ca.issue(t, "n2").RootCAs
	tests := map[string]struct {
		config *tls.Config
		server string
		reason string
	}{
		"of another CA":                  {foreign, n2, reasonTLS},
		"for HTTPS":                      {ca.issueFor(t, []string{"n2"}, x509.ExtKeyUsageServerAuth), n2, reasonTLS},
		"of another node":                {ca.issue(t, "n1"), n2, reasonCertificate},
		"a wildcard":                     {ca.issueFor(t, []string{"*", "*.n2"}, both...), n2, reasonCertificate},
		"of a node that is not a member": {ca.issue(t, "n3"), "n3.1234", reasonMember},
		"of an earlier life":             {ca.issue(t, "n2"), "n2.1234", reasonMember},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before := m.refusals(t, test.reason)
			s := stranger(m, test.server, testSecret, test.config)
			defer s.cancel()
			conn, _, err := s.dialer.dialAt(m.config.Address, forCalls, m.identity.Server, dialTimeout)
			if err == nil {
				conn.Close()
				t.Fatal("it was let in")
			}
			wait.For(t, "it is counted", func() bool { return m.refusals(t, test.reason) == before+1 })
		})
	}
	t.Run("who listens", func(t *testing.T) { // with a certificate for HTTPS that has the name of a node
		https := ca.issueFor(t, []string{"n2"}, x509.ExtKeyUsageServerAuth)
		https.ClientAuth = tls.NoClientCert
		l, err := tls.Listen("tcp", process.FreeAddress(t), https)
		must(t, err)
		defer l.Close()
		go func() {
			conn, err := l.Accept()
			if err == nil {
				_ = conn.(*tls.Conn).Handshake()
				conn.Close()
			}
		}()
		if _, _, err := m.dialer.dialAt(l.Addr().String(), forCalls, n2, dialTimeout); err == nil || !strings.Contains(err.Error(), "TLS: ") {
			t.Errorf("it is taken for a node: %v", err)
		}
	})
}

// A removed node is refused everything but to ask, which it may not be let in by, as long as it
// has no peer block.
func TestRemovedIsStranger(t *testing.T) {
	members := startMembers(t, 3)
	readyLeader(t, members)
	n4 := newJoiner(t, "n4", members)
	n4.config.Fatal = func(error) {}
	n4.start(t)
	must(t, members[0].Join(limited(t), n4.config.Address, true, nil))
	wait.For(t, "n4 is in", func() bool { return n4.Status().Cluster != "" })
	hasVote(t, append(members[:3:3], n4), "n4")
	server := n4.identity.Server
	s := stranger(members[0], server, testSecret, nil)
	defer s.cancel()
	conn, _, err := s.dialer.dialAt(members[0].config.Address, forCalls, members[0].identity.Server, dialTimeout)
	must(t, err)
	old := newPeerConn(conn, "")
	must(t, second(old.call(callIndex, nil, callTimeout)))

	must(t, members[1].Remove(limited(t), "n4", nil))
	wait.For(t, "all know that it is gone", func() bool {
		for _, m := range members {
			if m.members.has(server) {
				return false
			}
		}
		return true
	})
	if _, err := old.call(callIndex, nil, callTimeout); err == nil {
		t.Error("an old connection of it still works")
	}
	for _, purpose := range []string{forCalls, forRaft} {
		if _, _, err := s.dialer.dialAt(members[0].config.Address, purpose, members[0].identity.Server, dialTimeout); !refusedFor(err, reasonMember) {
			t.Errorf("it may connect for %s: %v", purpose, err)
		}
	}
	leader, _ := readyLeader(t, members)
	s.config.Address, s.config.ID = "127.0.0.1:1", "n4"
	for _, op := range []change{{Op: opEnter, Server: server, Address: "127.0.0.1:1"}, {Op: opEnter, Server: leader.identity.Server, Address: "127.0.0.1:1"},
		{Op: opJoin, Address: "127.0.0.1:1"}, {Op: opRemove, Node: "n1"}, {Op: opTransfer}} {
		conn, _, err := s.dialer.dialAt(leader.config.Address, forEntry, "", dialTimeout)
		must(t, err)
		var response changeResponse
		if err := ask(conn, callChange, op, &response, askTimeout); err == nil && response.Refused == "" {
			t.Errorf("it may %+v: %+v", op, response)
		}
	}
	for _, kind := range []byte{callPropose, callIndex, 0, 99} {
		conn, _, err := s.dialer.dialAt(leader.config.Address, forEntry, "", dialTimeout)
		must(t, err)
		if response, err := newPeerConn(conn, "").call(kind, nil, askTimeout); err == nil {
			t.Errorf("call %d is answered with %x", kind, response)
		}
		conn.Close()
	}
	if got := len(leader.servers()); got != 3 {
		t.Errorf("the cluster has %d members", got)
	}
}

// Absurd RPCs do not reach Raft.
func TestAbsurdRPCs(t *testing.T) {
	members := startMembers(t, 3)
	leader, others := readyLeader(t, members)
	target, from := others[0], leader.identity.Server
	wait.For(t, "it knows its leader and the members", func() bool { return target.Status().LeaderID != "" && len(target.servers()) == 3 })
	header := raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(from), Addr: []byte(leader.raftAddress())}
	term := target.raft.CurrentTerm()
	entries := func(logs ...*raft.Log) *raft.AppendEntriesRequest {
		return &raft.AppendEntriesRequest{RPCHeader: header, Term: term, PrevLogEntry: 1, PrevLogTerm: 1, Entries: logs}
	}
	noop := raft.Log{Index: 2, Term: 1, Type: raft.LogNoop}
	change := func(edit func(*raft.Log)) *raft.Log {
		l := noop
		edit(&l)
		return &l
	}
	snapshot := func(edit func(*raft.InstallSnapshotRequest)) *raft.InstallSnapshotRequest {
		r := &raft.InstallSnapshotRequest{RPCHeader: header, SnapshotVersion: raft.SnapshotVersionMax, Term: term, LastLogIndex: 9, LastLogTerm: 1,
			Configuration: raft.EncodeConfiguration(target.raft.GetConfiguration().Configuration()), ConfigurationIndex: 1, Size: 10}
		edit(r)
		return r
	}
	if err := (&safeTransport{node: target.Node}).checkRPC(entries(&noop)); err != nil {
		t.Errorf("a sane one: %v", err)
	}
	if err := (&safeTransport{node: target.Node}).checkRPC(snapshot(func(*raft.InstallSnapshotRequest) {})); err != nil {
		t.Errorf("a sane state: %v", err)
	}
	stranger := raft.RPCHeader{ID: []byte("n9.1234"), Addr: []byte("n9.1234@127.0.0.1:1")}
	mixed := raft.RPCHeader{ID: []byte(from), Addr: []byte("n9.1234@127.0.0.1:1")}
	absurd := map[string]any{
		"vote in the last term":     &raft.RequestVoteRequest{RPCHeader: header, Term: 1<<64 - 2},
		"vote far ahead":            &raft.RequestVoteRequest{RPCHeader: header, Term: term + maxTermJump + 1},
		"vote with a long log":      &raft.RequestVoteRequest{RPCHeader: header, Term: term + 1, LastLogIndex: 1<<64 - 1},
		"vote with a later log":     &raft.RequestVoteRequest{RPCHeader: header, Term: term + 1, LastLogTerm: term + 2},
		"vote of a stranger":        &raft.RequestVoteRequest{RPCHeader: stranger, Term: term + 1},
		"vote without a name":       &raft.RequestVoteRequest{Term: term + 1},
		"vote with two names":       &raft.RequestVoteRequest{RPCHeader: mixed, Term: term + 1},
		"pre-vote in the last term": &raft.RequestPreVoteRequest{RPCHeader: header, Term: 1<<64 - 1},
		"timeout of a stranger":     &raft.TimeoutNowRequest{RPCHeader: stranger},
		"entries far ahead":         &raft.AppendEntriesRequest{RPCHeader: header, Term: 1 << 63},
		"index that overflows":      &raft.AppendEntriesRequest{RPCHeader: header, Term: term, PrevLogEntry: 1<<64 - 1},
		"commit that overflows":     &raft.AppendEntriesRequest{RPCHeader: header, Term: term, LeaderCommitIndex: 1<<64 - 1},
		"entries with a gap":        entries(change(func(l *raft.Log) { l.Index = 3 })),
		"entry of a later term":     entries(change(func(l *raft.Log) { l.Term = term + 1 })),
		"entry of an earlier term":  entries(change(func(l *raft.Log) { l.Term = 0 })),
		"entry of an unknown type":  entries(change(func(l *raft.Log) { l.Type = 77 })),
		"entry of an old type":      entries(change(func(l *raft.Log) { l.Type = raft.LogAddPeerDeprecated })),
		"no entry":                  entries(nil),
		"command that is garbage":   entries(change(func(l *raft.Log) { l.Type, l.Data = raft.LogCommand, []byte("garbage") })),
		"configuration of garbage":  entries(change(func(l *raft.Log) { l.Type, l.Data = raft.LogConfiguration, []byte("garbage") })),
		"configuration of nobody": entries(change(func(l *raft.Log) {
			l.Type, l.Data = raft.LogConfiguration, raft.EncodeConfiguration(raft.Configuration{})
		})),
		"state with garbage":           snapshot(func(r *raft.InstallSnapshotRequest) { r.Configuration = []byte("garbage") }),
		"state of negative size":       snapshot(func(r *raft.InstallSnapshotRequest) { r.Size = -1 }),
		"state of another version":     snapshot(func(r *raft.InstallSnapshotRequest) { r.SnapshotVersion = 0 }),
		"state that overflows":         snapshot(func(r *raft.InstallSnapshotRequest) { r.LastLogIndex = 1<<64 - 1 }),
		"something that is not an RPC": "RPC",
	}
	for name, command := range absurd {
		if err := (&safeTransport{node: target.Node}).checkRPC(command); err == nil {
			t.Errorf("%s is let through", name)
		}
	}
	var vote raft.RequestVoteResponse // the whole way, over the network
	transport := newTransport(leader.Node)
	defer transport.Close()
	err := transport.NetworkTransport.RequestVote(raft.ServerID(target.identity.Server), raft.ServerAddress(target.raftAddress()),
		&raft.RequestVoteRequest{RPCHeader: header, Term: 1<<64 - 2}, &vote)
	if err == nil || !strings.Contains(err.Error(), "too far ahead") {
		t.Errorf("the vote request is answered with %v", err)
	}
	if got := target.raft.CurrentTerm(); got > term+100 {
		t.Errorf("the term is %d now", got)
	}
	must(t, second(target.Propose(limited(t), []byte("unharmed"))))
}
