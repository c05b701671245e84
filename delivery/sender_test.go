package delivery

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hookwheel/webhook"
)

const (
	senderTimeout = 300 * time.Millisecond
	shortIdle     = 50 * time.Millisecond // so that connections end before a test does
)

var testKeys = []webhook.Key{{Sealed: new(webhook.Keyring).Seal([]byte(make(webhook.Secret, 24).Text()), nil)}}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

func newTestSender(allow []netip.Prefix) *Sender {
	return newSender(&Config{Timeout: senderTimeout, Workers: 8, Allow: allow, UserAgent: "Hookwheel/test", Keyring: new(webhook.Keyring),
		Logger: slog.New(slog.DiscardHandler)})
}

// sendTo makes a single attempt.
func sendTo(url string, allow []netip.Prefix) (webhook.Attempt, reason) {
	s := newTestSender(allow)
	s.dialer.idle.patience = shortIdle
	defer s.dialer.abort()
	a, why, _ := s.send(s.begin(webhook.Delivery{
		Message:  &webhook.Message{ID: webhook.NewID(1_790_000_000_000, 1, 0), Payload: []byte(`{"a": 1}`)},
		Endpoint: &webhook.Endpoint{URL: url, Keys: testKeys}, Number: 1}))
	return a, why
}

// rawServer answers each connection with talk.
func rawServer(t testing.TB, talk func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				talk(conn)
			}()
		}
	}()
	return l.Addr().String()
}

// readRequest takes the request off the connection.
func readRequest(conn net.Conn) {
	buffer := make([]byte, 4096)
	_, _ = conn.Read(buffer)
}

// say answers with text once the request is there.
func say(text string) func(net.Conn) {
	return func(conn net.Conn) {
		readRequest(conn)
		fmt.Fprint(conn, text)
	}
}

// hang says nothing until the sender hangs up.
func hang(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

func drip(conn net.Conn) {
	readRequest(conn)
	fmt.Fprint(conn, "HTTP/1.1 500 No\r\nContent-Length: 1000\r\n\r\n")
	for range 100 {
		if _, err := fmt.Fprint(conn, "x"); err != nil {
			return
		}
		time.Sleep(senderTimeout / 10)
	}
}

// TestReceivers tries every kind of receiver; each attempt ends with a reason and a text that a
// customer understands.
func TestReceivers(t *testing.T) {
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	closed := rawServer(t, nil)
	_, port, _ := net.SplitHostPort(closed)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := l.Addr().String()
	large := strings.Repeat("y", 30_000)
	tests := []struct {
		name  string
		url   string
		allow []netip.Prefix
		code  uint16
		why   reason
		text  string // in the response
	}{
		{"ok", "http://" + rawServer(t, say("HTTP/1.1 204 Fine\r\n\r\n")), loopback, 204, reasonSuccess, ""},
		{"not 2xx", "http://" + rawServer(t, say("HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\nsad!")), loopback, 500, reasonStatus, "sad!"},
		{"redirect", "http://" + rawServer(t, say("HTTP/1.1 302 There\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n")), loopback, 302, reasonStatus, ""},
		{"chunked", "http://" + rawServer(t, say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")), loopback, 200, reasonSuccess, "abc"},
		{"large answer", "http://" + rawServer(t, say("HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n"+large)), loopback, 200, reasonSuccess, large[:webhook.MaxResponse]},
		{"large header", "http://" + rawServer(t, say("HTTP/1.1 200 OK\r\nX: "+strings.Repeat("z", 40_000)+"\r\n\r\n")), loopback, 0, reasonProtocol, "longer than 32 KiB"},
		{"hangs", "http://" + rawServer(t, hang), loopback, 0, reasonTimeout, "no answer within 300ms"},
		{"drips", "http://" + rawServer(t, drip), loopback, 500, reasonStatus, "x"},
		{"closes", "http://" + rawServer(t, readRequest), loopback, 0, reasonNetwork, "closed the connection"},
		{"garbage", "http://" + rawServer(t, say("SSH-2.0-OpenSSH\r\n\r\n")), loopback, 0, reasonProtocol, "not HTTP"},
		{"refused", "http://" + refused, loopback, 0, reasonConnect, "connection refused"},
		{"no such name", "http://receiver.invalid/", loopback, 0, reasonDNS, textNowhere},
		{"certificate", secure.URL, loopback, 0, reasonTLS, "certificate"},
		{"TLS to a peer that is silent", "https://" + rawServer(t, hang), loopback, 0, reasonTimeout, "no answer within"},
		{"private", "http://127.0.0.1:" + port, nil, 0, reasonBlocked, "private or reserved"},
		{"private by name", "http://localhost:" + port, nil, 0, reasonBlocked, "private or reserved"},
		{"private, mapped", "http://[::ffff:127.0.0.1]:" + port, nil, 0, reasonBlocked, "private or reserved"},
	}
	l.Close() // only once the others listen, as they might get its port
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			start := time.Now()
			a, why := sendTo(test.url, test.allow)
			if a.StatusCode != test.code || why != test.why || !strings.Contains(string(a.Response), test.text) || len(a.Response) > webhook.MaxResponse {
				t.Errorf("%d %s %.100q, want %d %s %.100q", a.StatusCode, why, a.Response, test.code, test.why, test.text)
			}
			if (a.Status == webhook.StatusSuccess) != (test.why == reasonSuccess) {
				t.Errorf("status %s", a.Status)
			}
			if time.Since(start) > 20*senderTimeout {
				t.Errorf("it took %s", time.Since(start))
			}
		})
	}
}
