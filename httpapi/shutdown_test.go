package httpapi

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hookwheel/systemtest/wait"
)

// startServer is a server without a node: it answers only /health/ping.
func startServer(t *testing.T, drain time.Duration) *Server {
	t.Helper()
	s, err := NewServer(Config{Listen: "127.0.0.1:0", MaxBody: 1 << 20, Drain: drain, Metrics: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve()
	return s
}

const pingRequest = "POST /api/v1/health/ping HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"

// sendPing makes a request on a connection and reports whether the response closes it.
func sendPing(conn net.Conn, r *bufio.Reader) (last bool, err error) {
	if _, err := io.WriteString(conn, pingRequest); err != nil {
		return false, err
	}
	return readPing(conn, r)
}

func readPing(conn net.Conn, r *bufio.Reader) (last bool, err error) {
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return false, err
	}
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		return false, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusNoContent {
		return false, fmt.Errorf("status %d", response.StatusCode)
	}
	return response.Close, nil
}

func dial(t *testing.T, s *Server) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, bufio.NewReader(conn)
}

// A request that was written before the listener closed is answered, even one on a connection that
// was idle until then.
func TestShutdownRespondsToWhatWasSent(t *testing.T) {
	const connections, rounds = 60, 10
	var answered atomic.Int64
	for range rounds {
		s := startServer(t, 0)
		var wg sync.WaitGroup
		for range connections {
			conn, r := dial(t, s)
			if last, err := sendPing(conn, r); err != nil || last {
				t.Fatalf("before the shutdown: %v, connection to be closed: %v", err, last)
			}
			wg.Go(func() {
				time.Sleep(time.Duration(rand.Int64N(int64(40 * time.Millisecond)))) // idle, until around the end of the listener
				_, err := io.WriteString(conn, pingRequest)
				select {
				case <-s.api.gate.closed:
					return // too late: nothing was promised
				default:
				}
				if err == nil {
					_, err = readPing(conn, r)
				}
				if err != nil {
					t.Errorf("a request that was sent in time: %v", err)
				}
				answered.Add(1)
			})
		}
		time.Sleep(10 * time.Millisecond) // until some requests are under way
		if err := s.Shutdown(); err != nil {
			t.Error(err)
		}
		wg.Wait()
	}
	t.Logf("%d of %d requests were sent in time, all answered", answered.Load(), connections*rounds)
	if answered.Load() == 0 {
		t.Error("no request was sent in time: the test shows nothing")
	}
}

// A connection that a client has made is served, though the server has not accepted it when the
// shutdown begins.
func TestShutdownServesConnectionsNotYetAccepted(t *testing.T) {
	s, err := NewServer(Config{Listen: "127.0.0.1:0", Metrics: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	var conns []net.Conn
	for range 50 {
		conn, _ := dial(t, s)
		if _, err := io.WriteString(conn, pingRequest); err != nil {
			t.Fatal(err)
		}
		conns = append(conns, conn)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown() }()
	wait.For(t, "the gate to close", s.api.gate.closing.Load)
	go s.Serve()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, conn := range conns {
		if last, err := readPing(conn, bufio.NewReader(conn)); err != nil || !last {
			t.Errorf("%v, connection to be closed: %v", err, last)
		}
	}
}

func TestShutdownDrains(t *testing.T) {
	const drain = 300 * time.Millisecond
	s := startServer(t, drain)
	conn, r := dial(t, s)
	if last, err := sendPing(conn, r); err != nil || last {
		t.Fatalf("%v, connection to be closed: %v", err, last)
	}
	done := make(chan error, 1)
	begin := time.Now()
	go func() { done <- s.Shutdown() }()
	wait.For(t, "the shutdown to begin", s.stopping.Load)
	if last, err := sendPing(conn, r); err != nil || !last {
		t.Errorf("on an old connection: %v, connection to be closed: %v", err, last)
	}
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("the connection is not closed: %v", err)
	}
	for time.Since(begin) < drain-50*time.Millisecond {
		conn, r := dial(t, s)
		if last, err := sendPing(conn, r); err != nil || !last {
			t.Fatalf("on a new connection: %v, connection to be closed: %v", err, last)
		}
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took < drain {
		t.Errorf("the drain ended after %s", took)
	}
	if conn, err := net.Dial("tcp", s.Addr()); err == nil {
		conn.Close()
		t.Error("it still listens")
	}
}

// Clients that send a request as slowly as they can, its header or its body, do not make a shutdown
// fail.
func TestShutdownCutsOff(t *testing.T) {
	s := startServer(t, 0)
	over, senders := make(chan struct{}), sync.WaitGroup{}
	for i := range 20 {
		conn, _ := dial(t, s)
		text := "POST /api/v1/health/ping HTTP/1.1\r\nHost: x\r\nX-Slow: "
		if i%2 == 0 {
			text = "POST /api/v1/health/ping HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n"
		}
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		senders.Go(func() {
			tick := time.NewTicker(50 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-over:
					return
				case <-tick.C:
					_, _ = io.WriteString(conn, "x") // fails in the end
				}
			}
		})
	}
	if err := s.Shutdown(); err != nil {
		t.Error(err)
	}
	close(over)
	senders.Wait()
}
