package httpapi

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hookwheel/systemtest/wait"
)

// startSecure is startServer with TLS.
func startSecure(t *testing.T) *Server {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	own, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewServer(Config{Listen: "127.0.0.1:0", MaxBody: 1 << 20, Metrics: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
		TLS: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{own}, PrivateKey: key}}}})
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve()
	return s
}

// expectEnd waits until the server has closed a connection.
func expectEnd(t *testing.T, conn net.Conn, within time.Duration) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection is still open after %s", within)
	}
}

// Many clients that begin handshakes at one address lose theirs, and another one does not.
func TestHandshakesAreBounded(t *testing.T) {
	s := startSecure(t)
	defer s.Shutdown()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	other, err := dialer.Dial("tcp", s.Addr())
	if err != nil {
		t.Skip("this system has one loopback address: ", err)
	}
	defer other.Close()
	wait.For(t, "the first handshake to begin", func() bool { return s.handshakes.count() == 1 })
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		return conn
	}
	first := dial()
	wait.For(t, "the second one", func() bool { return s.handshakes.count() == 2 })
	for range maxHandshakes - 2 {
		dial()
	}
	wait.For(t, "all the others", func() bool { return s.handshakes.count() == maxHandshakes })
	s.handshakes.mu.Lock()
	place := func(c *conn) uint64 { return s.handshakes.running[c.origin][c] }
	running := s.handshakes.running["127.0.0.1"]
	serve := func(served bool) {
		for c := range running {
			c.served.Store(served)
		}
	}
	serve(true)
	if got := place(s.handshakes.excess(time.Now().Add(-time.Hour))); got != maxHandshakes {
		t.Errorf("where all have got an answer, and none has waited for long, handshake %d of %d is to end", got, maxHandshakes)
	}
	serve(false)
	s.handshakes.mu.Unlock()
	if _, err := first.Write([]byte{22}); err != nil { // a byte now and then does not help
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	dial()
	expectEnd(t, first, 5*time.Second)
	if err := tls.Client(other, &tls.Config{InsecureSkipVerify: true}).Handshake(); err != nil {
		t.Errorf("the handshake from another address: %v", err)
	}
}

// A client without a token that reads nothing does not keep a server from ending well.
func TestShutdownDoesNotWaitForUnreadPages(t *testing.T) {
	s := startServer(t, 0)
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	begin := conn.SetWriteDeadline(time.Now().Add(2 * time.Second))
	if _, err := io.WriteString(conn, strings.Repeat("GET /docs HTTP/1.1\r\nHost: x\r\n\r\n", 200)); begin != nil || err != nil {
		t.Log("the server no longer reads: ", begin, err)
	}
	time.Sleep(500 * time.Millisecond) // until it is stuck
	begun := time.Now()
	if err := s.Shutdown(); err != nil {
		t.Errorf("after %s: %v", time.Since(begun), err)
	}
}

func (h *handshakes) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.all
}
