package delivery

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hookwheel/systemtest/wait"
	"hookwheel/webhook"
)

func testDelivery(url string) webhook.Delivery {
	return webhook.Delivery{
		Message:  &webhook.Message{ID: webhook.NewID(1_790_000_000_000, 1, 0), Payload: []byte(`{"a": 1}`)},
		Endpoint: &webhook.Endpoint{URL: url, Keys: testKeys}, Number: 1}
}

// keepAliveServer answers the first request of each connection with 200 and then does what after
// says. It counts requests.
func keepAliveServer(t *testing.T, after func(conn net.Conn, more *bufio.Reader)) (address string, requests *atomic.Int32) {
	requests = new(atomic.Int32)
	address = rawServer(t, func(conn net.Conn) {
		reader := bufio.NewReader(conn)
		request, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, request.Body)
		requests.Add(1)
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		after(conn, reader)
	})
	return address, requests
}

// waitIdle waits until what the receiver did to its connections has arrived here.
func waitIdle(t *testing.T, s *Sender, want bool) {
	t.Helper()
	wait.For(t, "the connections to come to rest", func() bool {
		s.dialer.mu.Lock()
		defer s.dialer.mu.Unlock()
		for c := range s.dialer.open {
			if c.isOver() != want {
				return false
			}
		}
		return true
	})
}

// TestStaleConnections: when a receiver ends idle connections, in every way that the kernel
// distinguishes, the next message goes out on another one, within its first attempt, and arrives
// once.
func TestStaleConnections(t *testing.T) {
	ends := map[string]func(net.Conn, *bufio.Reader){
		"closed": func(net.Conn, *bufio.Reader) {},
		"reset":  func(conn net.Conn, _ *bufio.Reader) { _ = conn.(*net.TCPConn).SetLinger(0) },
		"408 and then closed": func(conn net.Conn, _ *bufio.Reader) {
			fmt.Fprint(conn, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		},
		"half closed": func(conn net.Conn, more *bufio.Reader) {
			_ = conn.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, more)
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			address, requests := keepAliveServer(t, end)
			s := newTestSender(loopback)
			defer s.dialer.abort()
			for i := range int32(5) {
				if a, why, _ := s.send(s.begin(testDelivery("http://" + address))); why != reasonSuccess {
					t.Fatalf("attempt %d: %s %s", i, why, a.Response)
				}
				if n := requests.Load(); n != i+1 {
					t.Fatalf("%d requests after %d attempts", n, i+1)
				}
				waitIdle(t, s, true)
			}
		})
	}
}

// TestManyStaleConnections lets more connections go stale than one attempt would want to try.
func TestManyStaleConnections(t *testing.T) {
	const n = 8
	together := make(chan struct{})
	var waiting, requests atomic.Int32
	address := rawServer(t, func(conn net.Conn) {
		request, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, request.Body)
		requests.Add(1)
		if waiting.Add(1) == n {
			close(together)
		}
		<-together
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	})
	s := newTestSender(loopback)
	s.timeout = 10 * time.Second
	defer s.dialer.abort()
	done := make(chan reason, n)
	for range n {
		go func() {
			_, why, _ := s.send(s.begin(testDelivery("http://" + address)))
			done <- why
		}()
	}
	for range n {
		if why := <-done; why != reasonSuccess {
			t.Fatal(why)
		}
	}
	waitIdle(t, s, true)
	if a, why, _ := s.send(s.begin(testDelivery("http://" + address))); why != reasonSuccess || requests.Load() != n+1 {
		t.Errorf("%s %s, %d requests", why, a.Response, requests.Load())
	}
}

// TestTakenRequestIsNotSentAgain uses a receiver that takes the second request of a connection and
// closes it without an answer: it may have acted upon it, so it is a failed attempt.
func TestTakenRequestIsNotSentAgain(t *testing.T) {
	var taken atomic.Int32
	address, requests := keepAliveServer(t, func(_ net.Conn, more *bufio.Reader) {
		if request, err := http.ReadRequest(more); err == nil {
			_, _ = io.Copy(io.Discard, request.Body)
			taken.Add(1)
		}
	})
	s := newTestSender(loopback)
	defer s.dialer.abort()
	if a, why, _ := s.send(s.begin(testDelivery("http://" + address))); why != reasonSuccess {
		t.Fatalf("%s %s", why, a.Response)
	}
	a, why, _ := s.send(s.begin(testDelivery("http://" + address)))
	if why != reasonNetwork || !strings.Contains(string(a.Response), "closed the connection before it answered") {
		t.Errorf("%s %s", why, a.Response)
	}
	if taken.Load() != 1 || requests.Load() != 1 {
		t.Errorf("%d and %d requests", requests.Load(), taken.Load())
	}
}

// TestConnectionsAreReused also uses a TLS receiver, whose session tickets arrive at any time.
func TestConnectionsAreReused(t *testing.T) {
	for _, version := range []uint16{0, tls.VersionTLS12, tls.VersionTLS13} {
		var connections, requests atomic.Int32
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { requests.Add(1) }))
		server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				connections.Add(1)
			}
		}
		if version == 0 {
			server.Start()
		} else {
			server.TLS = &tls.Config{MaxVersion: version}
			server.StartTLS()
		}
		s := newTestSender(loopback)
		d := testDelivery(server.URL)
		d.Endpoint.InsecureTLS = true
		for range 20 {
			if a, why, _ := s.send(s.begin(d)); why != reasonSuccess {
				t.Fatalf("%s %s", why, a.Response)
			}
		}
		if connections.Load() != 1 || requests.Load() != 20 {
			t.Errorf("TLS %x: %d connections for %d requests", version, connections.Load(), requests.Load())
		}
		server.CloseClientConnections()
		waitIdle(t, s, true)
		if a, why, _ := s.send(s.begin(d)); why != reasonSuccess || connections.Load() != 2 {
			t.Errorf("TLS %x, after the receiver closed: %s %s", version, why, a.Response)
		}
		s.dialer.abort()
		server.Close()
	}
}

// A connection is not used again when its receiver has switched to another protocol, in silence.
func TestSwitchedConnection(t *testing.T) {
	var switched atomic.Bool
	address := rawServer(t, func(conn net.Conn) {
		if switched.CompareAndSwap(false, true) {
			say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")(conn)
			_, _ = io.Copy(io.Discard, conn)
			return
		}
		say("HTTP/1.1 204 Fine\r\n\r\n")(conn)
	})
	s := newTestSender(loopback)
	s.timeout = 5 * time.Second
	defer s.dialer.abort()
	a, why, _ := s.send(s.begin(testDelivery("http://" + address)))
	if why != reasonProtocol || a.StatusCode != 101 || !strings.Contains(string(a.Response), "switched") {
		t.Errorf("%s %d %s", why, a.StatusCode, a.Response)
	}
	if a, why, _ := s.send(s.begin(testDelivery("http://" + address))); why != reasonSuccess {
		t.Errorf("the next one: %s %s", why, a.Response)
	}
}

// TestEarlyAnswer has receivers that answer before they have read a large body, and close: what
// they said counts, and is not said again.
func TestEarlyAnswer(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{certificate(t, "127.0.0.1", time.Now(), time.Now().Add(time.Hour))}}
	for _, scheme := range []string{"http", "https"} {
		for sent, want := range map[string]struct {
			code uint16
			why  reason
			text string
			rest time.Duration
		}{
			"HTTP/1.1 401 No\r\nConnection: close\r\nContent-Length: 3\r\n\r\nwho":                  {401, reasonStatus, "who", 0},
			"HTTP/1.1 410 Gone\r\nConnection: close\r\n\r\nbye":                                     {410, reasonStatus, "bye", 0},
			"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nConnection: close\r\nContent-Length: 0\r\n\r\n": {503, reasonStatus, "", 7 * time.Second},
			"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok":                   {200, reasonSuccess, "ok", 0},
			"":             {0, reasonNetwork, "closed the connection", 0},
			"HTTP/1.1 401": {0, reasonNetwork, "closed the connection", 0},
		} {
			var requests atomic.Int32
			address := rawServer(t, func(conn net.Conn) {
				if scheme == "https" {
					conn = tls.Server(conn, config)
				}
				requests.Add(1)
				readRequest(conn)
				fmt.Fprint(conn, sent)
			})
			s := newTestSender(loopback)
			s.timeout = 5 * time.Second
			d := testDelivery(scheme + "://" + address)
			d.Endpoint.InsecureTLS, d.Message.Payload = true, make([]byte, 3<<20)
			for i := range int32(10) {
				a, why, verdict := s.send(s.begin(d))
				if a.StatusCode != want.code || why != want.why || !strings.Contains(string(a.Response), want.text) || verdict.RetryAfter != want.rest {
					t.Errorf("%s %q: %d %s %q %+v", scheme, sent, a.StatusCode, why, a.Response, verdict)
				}
				if n := requests.Load(); n != i+1 {
					t.Fatalf("%s %q: %d requests after %d attempts", scheme, sent, n, i+1)
				}
			}
			s.dialer.abort()
		}
	}
}
