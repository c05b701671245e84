package delivery

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"hookwheel/systemtest/wait"
	"hookwheel/webhook"
)

// lateReader accepts one connection, reads nothing until it is told to, and then all that the
// sender's kernel still has. Its window is small, so most of a large request waits there.
func lateReader(t *testing.T, scheme string) (url string, read chan<- struct{}, got <-chan []byte) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
	}}
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	now, all := make(chan struct{}), make(chan []byte, 1)
	own := certificate(t, "127.0.0.1", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		if scheme == "https" {
			secure := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{own}})
			if secure.Handshake() != nil {
				return
			}
			conn = secure
		}
		<-now
		_ = conn.SetReadDeadline(time.Now().Add(3 * time.Second))
		text, _ := io.ReadAll(conn)
		all <- text
	}()
	return scheme + "://" + l.Addr().String(), now, all
}

// largeDelivery is one whose payload ends in a word that nothing else holds.
func largeDelivery(url string) webhook.Delivery {
	d := testDelivery(url)
	d.Endpoint.InsecureTLS = true
	d.Message.Payload = append(bytes.Repeat([]byte("x"), 256<<10), "END"...)
	return d
}

// What an attempt that timed out left with the kernel never arrives: a message must not come to an
// endpoint after what has happened to either since.
func TestTimedOutRequestIsDiscarded(t *testing.T) {
	for _, scheme := range []string{"http", "https"} {
		url, read, got := lateReader(t, scheme)
		s := newTestSender(loopback)
		s.timeout = 2 * time.Second
		if a, why, _ := s.send(s.begin(largeDelivery(url))); why != reasonTimeout {
			t.Fatalf("%s: %s %s", scheme, why, a.Response)
		}
		close(read)
		if text := <-got; bytes.HasSuffix(text, []byte("END")) {
			t.Errorf("%s: all %d bytes arrived after the time-out", scheme, len(text))
		}
		s.dialer.abort()
	}
}

// TestRevoke revokes attempts at each point of their way.
func TestRevoke(t *testing.T) {
	gone := func(*webhook.Delivery) bool { return false }
	t.Run("before it begins", func(t *testing.T) {
		address, requests := keepAliveServer(t, nil)
		s := newTestSender(loopback)
		f := s.begin(testDelivery("http://" + address))
		f.revoke()
		if a, why, verdict := s.send(f); why != reasonRevoked || !verdict.Revoked || verdict.SenderFault {
			t.Errorf("%s %s %+v", why, a.Response, verdict)
		}
		if requests.Load() != 0 {
			t.Error("it was sent")
		}
	})
	for _, scheme := range []string{"http", "https"} {
		t.Run("in the middle of the request, "+scheme, func(t *testing.T) {
			url, read, got := lateReader(t, scheme)
			s := newTestSender(loopback)
			s.timeout = time.Minute
			d := largeDelivery(url)
			f := s.begin(d)
			done := make(chan reason)
			go func() {
				_, why, _ := s.send(f)
				done <- why
			}()
			wait.For(t, "it to come", func() bool {
				f.mu.Lock()
				defer f.mu.Unlock()
				return f.on != nil && f.on.pending()
			})
			s.revoke(d.Endpoint.ID, func(*webhook.Delivery) bool { return true })
			s.revoke(d.Endpoint.ID, gone)
			if why := <-done; why != reasonRevoked {
				t.Error(why)
			}
			close(read)
			if text := <-got; bytes.HasSuffix(text, []byte("END")) {
				t.Error("all of it arrived")
			}
		})
	}
	t.Run("while the answer is awaited", func(t *testing.T) {
		arrived, release := make(chan struct{}), make(chan struct{})
		address := rawServer(t, func(conn net.Conn) {
			readRequest(conn)
			close(arrived)
			<-release
			_, _ = io.WriteString(conn, "HTTP/1.1 204 Fine\r\n\r\n")
		})
		s := newTestSender(loopback)
		s.timeout = time.Minute
		defer s.dialer.abort()
		d := testDelivery("http://" + address)
		f := s.begin(d)
		done := make(chan reason)
		go func() {
			_, why, _ := s.send(f)
			done <- why
		}()
		<-arrived
		wait.For(t, "it to come", func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			return f.sent && !f.on.pending()
		})
		s.revoke(d.Endpoint.ID, gone)
		close(release)
		if why := <-done; why != reasonSuccess {
			t.Errorf("the answer does not count: %s", why)
		}
		if len(s.flights) != 0 {
			t.Error("an attempt that is over is still known")
		}
	})
}
