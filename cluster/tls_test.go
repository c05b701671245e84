package cluster

import (
	"crypto"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hookwheel/systemtest/process"
	"hookwheel/systemtest/wait"
)

// A client that has proven nothing can't have the node keep a large first message.
func TestFirstMessageOfTLSIsBounded(t *testing.T) {
	members := newMembers(t, 1)
	m := members[0]
	m.certify(t, newAuthority(t), "n1")
	m.start(t)
	conn := dialTo(t, m)
	const chunk = 10_000
	head := []byte{22, 3, 1, chunk >> 8, chunk & 0xff}
	text := append(append(head[:5:5], 1, 0, 0xff, 0xf0), make([]byte, chunk-4)...)
	for range 5 { // of the six that the message has
		if _, err := conn.Write(text); err != nil {
			return // it is closed
		}
		text = append(head[:5:5], make([]byte, chunk)...)
	}
	must(t, conn.SetReadDeadline(time.Now().Add(handshakeTimeout/2)))
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the node waits for the rest")
	}
}

// Neither a client nor a server has a node verify more certificates than a node needs, even if
// those are signed by the authority.
func TestCertificatesOfStrangersAreBounded(t *testing.T) {
	ca := newAuthority(t)
	members := newMembers(t, 1)
	m := members[0]
	m.certify(t, ca, "n1")
	m.start(t)
	readyLeader(t, members)
	many := ca.issue(t, "n2")
	for range 10 {
		many.Certificates[0].Certificate = append(many.Certificates[0].Certificate, ca.certificate.Raw)
	}
	s := stranger(m, "n2.1234", testSecret, many)
	defer s.cancel()
	if conn, _, err := s.dialer.dialAt(m.config.Address, forEntry, "", dialTimeout); err == nil {
		conn.Close()
		t.Error("a client with 11 certificates is let in")
	}
	wait.For(t, "it is counted", func() bool { return m.refusals(t, reasonTLS) == 1 })
	l, err := tls.Listen("tcp", process.FreeAddress(t), many)
	must(t, err)
	defer l.Close()
	go func() {
		if conn, err := l.Accept(); err == nil {
			_ = conn.(*tls.Conn).Handshake()
			conn.Close()
		}
	}()
	if _, _, err := m.dialer.dialAt(l.Addr().String(), forCalls, "n2.1234", dialTimeout); err == nil || !strings.Contains(err.Error(), "11 certificates") {
		t.Errorf("a server with 11 certificates: %v", err)
	}
}

// slowKey is a key whose signatures take long. It counts those that are made at the same time.
type slowKey struct {
	crypto.Signer
	now, most atomic.Int32
}

func (k *slowKey) Sign(random io.Reader, digest []byte, options crypto.SignerOpts) ([]byte, error) {
	now := k.now.Add(1)
	defer k.now.Add(-1)
	for most := k.most.Load(); now > most && !k.most.CompareAndSwap(most, now); most = k.most.Load() {
	}
	time.Sleep(5 * time.Millisecond)
	return k.Signer.Sign(random, digest, options)
}

// Strangers who want nothing but signatures get them one after the other, and keep no member out.
func TestSignaturesTakeTurns(t *testing.T) {
	ca := newAuthority(t)
	members := newMembers(t, 3)
	keys := make([]*slowKey, 3)
	for i, m := range members {
		config := ca.issue(t, m.config.ID)
		keys[i] = &slowKey{Signer: config.Certificates[0].PrivateKey.(crypto.Signer)}
		config.Certificates[0].PrivateKey = keys[i]
		m.config.TLS = func() (*tls.Config, error) { return config, nil }
		m.start(t)
	}
	leader, others := readyLeader(t, members)
	key := keys[leader.config.ID[1]-'1']
	wait.For(t, "the nodes to be connected", func() bool { return key.now.Load() == 0 })
	key.most.Store(0)
	hello := firstMessage(t)
	var asked atomic.Int32
	over := make(chan struct{})
	defer close(over)
	for range maxDoorstep / 2 {
		go func() {
			dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
			for {
				select {
				case <-over:
					return
				default:
				}
				conn, err := dialer.Dial("tcp", leader.config.Address)
				if err != nil {
					return // this system has one loopback address
				}
				if _, err := conn.Write(hello); err == nil {
					_, _ = conn.Read(make([]byte, 1))
					asked.Add(1)
				}
				conn.Close()
			}
		}()
	}
	wait.For(t, "strangers to get signatures", func() bool { return asked.Load() > 20 })
	others[0].stop(t)
	others[0].start(t)
	must(t, second(others[0].Propose(limited(t), []byte("through"))))
	// The leader's own handshakes, as a client of the others, sign beside those.
	if places := int32(runtime.GOMAXPROCS(0)+3)/4 + 2*maxPool; key.most.Load() > places {
		t.Errorf("%d signatures at a time, want at most %d", key.most.Load(), places)
	}
}

// firstMessage is that of a client of TLS.
func firstMessage(t *testing.T) []byte {
	t.Helper()
	here, there := net.Pipe()
	defer there.Close()
	go func() {
		_ = tls.Client(here, &tls.Config{InsecureSkipVerify: true}).Handshake()
		here.Close()
	}()
	head := make([]byte, 5)
	must(t, second(io.ReadFull(there, head)))
	body := make([]byte, binary.BigEndian.Uint16(head[3:]))
	must(t, second(io.ReadFull(there, body)))
	return append(head, body...)
}
