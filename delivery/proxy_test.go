package delivery

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"hookwheel/webhook"
)

// tunnels are the targets that a proxy was asked for.
type tunnels struct {
	mu   sync.Mutex
	list []string
}

func (p *tunnels) add(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = append(p.list, target)
}

// join carries bytes both ways until one side ends; whatever the target is called, it is that on
// loopback with its port.
func (p *tunnels) join(conn net.Conn, target string) {
	p.add(target)
	_, port, _ := net.SplitHostPort(target)
	to, err := net.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		return
	}
	go func() {
		_, _ = io.Copy(to, conn)
		to.Close()
	}()
	_, _ = io.Copy(conn, to)
	conn.Close()
}

// ServeHTTP is a proxy for CONNECT that wants "me" and "p@ss".
func (p *tunnels) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	login := http.Request{Header: http.Header{"Authorization": r.Header["Proxy-Authorization"]}}
	if user, password, _ := login.BasicAuth(); user != "me" || password != "p@ss" {
		w.WriteHeader(http.StatusProxyAuthRequired)
		return
	}
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	fmt.Fprint(conn, "HTTP/1.1 200 Connection established\r\n\r\n")
	p.join(conn, r.Host)
}

// socks is a proxy after RFC 1928 that wants the same user.
func (p *tunnels) socks(conn net.Conn) {
	read := func(n byte) []byte {
		text := make([]byte, n)
		_, _ = io.ReadFull(conn, text)
		return text
	}
	read(read(2)[1])
	_, _ = conn.Write([]byte{5, 2})
	user := read(read(2)[1])
	if password := read(read(1)[0]); string(user) != "me" || string(password) != "p@ss" {
		_, _ = conn.Write([]byte{1, 1})
		return
	}
	_, _ = conn.Write([]byte{1, 0})
	host := ""
	switch read(4)[3] {
	case 1:
		host = netip.AddrFrom4([4]byte(read(4))).String()
	case 3:
		host = string(read(read(1)[0]))
	}
	port := binary.BigEndian.Uint16(read(2))
	_, _ = conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	p.join(conn, fmt.Sprintf("%s:%d", host, port))
}

// proxied returns a sender that goes through a proxy. The addresses of 203.0.113.0/24 represent the
// Internet.
func proxied(t *testing.T, proxy string, noProxy ...string) *Sender {
	t.Helper()
	through, err := url.Parse(proxy)
	if err != nil {
		t.Fatal(err)
	}
	s := newSender(&Config{Timeout: 2 * time.Second, Workers: 8, Allow: parsePrefixes("203.0.113.0/24", "127.0.0.1/32"), Keyring: new(webhook.Keyring),
		UserAgent: "Hookwheel/test", Proxy: through, NoProxy: noProxy, Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(s.dialer.abort)
	s.dialer.resolver = testResolver(t, func(int32) []string { return []string{"10.0.0.1", "203.0.113.7"} })
	return s
}

func TestProxies(t *testing.T) {
	secure := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer secure.Close()
	_, plainPort, _ := net.SplitHostPort(rawServer(t, say("HTTP/1.1 204 Fine\r\n\r\n")))
	_, securePort, _ := net.SplitHostPort(strings.TrimPrefix(secure.URL, "https://"))
	for _, scheme := range []string{"http", "https", "socks5", "socks5h"} {
		t.Run(scheme, func(t *testing.T) {
			p := new(tunnels)
			server := httptest.NewUnstartedServer(p)
			defer server.Close()
			address := server.Listener.Addr().String()
			switch scheme {
			case "http":
				server.Start()
			case "https":
				server.StartTLS()
			default:
				address = rawServer(t, p.socks)
			}
			s := proxied(t, scheme+"://me:p%40ss@"+address, "direct.example")
			if scheme == "https" {
				s.dialer.roots = x509.NewCertPool()
				s.dialer.roots.AddCert(server.Certificate())
			}
			target := "203.0.113.7"
			if scheme == "socks5h" {
				target = "receiver.example"
			}
			for _, test := range []struct {
				url    string
				why    reason
				tunnel string
			}{
				{"http://receiver.example:" + plainPort, reasonSuccess, target + ":" + plainPort},
				{"https://receiver.example:" + securePort, reasonSuccess, target + ":" + securePort},
				{"http://203.0.113.9:" + plainPort, reasonSuccess, "203.0.113.9:" + plainPort},
				{"http://10.0.0.1:" + plainPort, reasonBlocked, ""},
				{"http://127.0.0.1:" + plainPort, reasonSuccess, ""}, // loopback is never reached through a proxy
			} {
				p.list = nil
				d := testDelivery(test.url)
				d.Endpoint.InsecureTLS = true
				a, why, _ := s.send(s.begin(d))
				p.mu.Lock()
				if got := strings.Join(p.list, " "); why != test.why || got != test.tunnel {
					t.Errorf("%s: %s %s by way of %q, want %s by way of %q", test.url, why, a.Response, got, test.why, test.tunnel)
				}
				p.mu.Unlock()
			}
		})
	}
}

func TestBadProxies(t *testing.T) {
	checkLeaks(t)
	login := httptest.NewServer(new(tunnels))
	defer login.Close()
	closed := rawServer(t, func(net.Conn) {})
	refused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused.Close()
	secure := secureServer(t, &tls.Config{Certificates: []tls.Certificate{certificate(t, "127.0.0.1", time.Now(), time.Now().Add(time.Hour))}})
	elsewhere := secureServer(t, &tls.Config{Certificates: []tls.Certificate{certificate(t, "127.7.0.3", time.Now(), time.Now().Add(time.Hour))}})
	refuses := rawServer(t, func(conn net.Conn) {
		readRequest(conn)
		_, _ = conn.Write([]byte{5, 0})
		readRequest(conn)
		_, _ = conn.Write([]byte{5, 4, 0, 1, 0, 0, 0, 0, 0, 0})
	})
	const failed, late = "sender's operator", "connecting through the proxy took too long"
	for proxy, want := range map[string]struct {
		why  reason
		text string // that customers read
		log  string // that the operator reads
	}{
		login.URL:                             {reasonProxy, failed, "a different user or password"},
		"http://" + refused.Addr().String():   {reasonProxy, failed, "connection refused"},
		"http://" + closed:                    {reasonConnect, "the proxy through which requests are sent closed", ""},
		"socks5://" + closed:                  {reasonConnect, "the proxy through which requests are sent closed", ""},
		"https://" + secure:                   {reasonProxy, failed, "certificate"},
		"https://" + elsewhere:                {reasonProxy, failed, "127.7.0.3"},
		"http://" + rawServer(t, hang):        {reasonTimeout, late, ""},
		"socks5://" + rawServer(t, hang):      {reasonTimeout, late, ""},
		"https://" + rawServer(t, hang):       {reasonTimeout, late, ""},
		"http://" + rawServer(t, say("SSH!")): {reasonProxy, failed, "malformed"},
		"http://" + rawServer(t, endless("HTTP/1.1 200 OK\r\n", "X: y\r\n", 0)): {reasonProxy, failed, "malformed"},
		"http://" + rawServer(t, say("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK")): {reasonProxy, failed, "it sent data after its response"},
		"http://" + rawServer(t, say("HTTP/1.1 502 No\r\n\r\n")):                {reasonConnect, "answered 502 Bad Gateway", ""},
		"socks5://" + refuses: {reasonConnect, "answered: host unreachable", ""},
	} {
		s := proxied(t, proxy)
		if want.why == reasonTimeout {
			s.timeout = senderTimeout / 2
		}
		s.dialer.idle.patience = shortIdle
		said := new(bytes.Buffer)
		s.complaints.log = slog.New(slog.NewTextHandler(said, nil))
		a, why, verdict := s.send(s.begin(testDelivery("http://203.0.113.7")))
		if why != want.why || !strings.Contains(string(a.Response), want.text) || verdict.SenderFault != (why == reasonProxy) {
			t.Errorf("%s: %s %s, %v, want %s %s", proxy, why, a.Response, verdict.SenderFault, want.why, want.text)
		}
		if !strings.Contains(said.String(), want.log) || (said.Len() > 0) != verdict.SenderFault {
			t.Errorf("%s: the log says %q, want %q", proxy, said, want.log)
		}
		through, _ := url.Parse(proxy)
		if strings.Contains(string(a.Response), through.Hostname()) || strings.Contains(string(a.Response), "127.7.0.3") {
			t.Errorf("the customer is told where the proxy is: %s", a.Response)
		}
	}
}
