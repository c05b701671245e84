package delivery

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode"

	"hookwheel/systemtest/wait"
	"hookwheel/webhook"
)

// checkLeaks fails if goroutines or open files are left when the test and its clean-ups are over;
// call it first.
func checkLeaks(t *testing.T) {
	t.Helper()
	files := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("no /proc:", err)
		}
		return len(list)
	}
	if conn, err := net.Listen("tcp", "127.0.0.1:0"); err == nil {
		conn.Close() // the poller has files of its own, from the first use on
	}
	goroutinesBefore, filesBefore := runtime.NumGoroutine(), files()
	t.Cleanup(func() {
		err := wait.Until(wait.Patience, "goroutines and files end", func() bool {
			return runtime.NumGoroutine() <= goroutinesBefore && files() <= filesBefore
		})
		if err != nil {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%v: %d goroutines before, %d after; %d files before, %d after\n%s", err, goroutinesBefore, runtime.NumGoroutine(),
				filesBefore, files(), stacks[:runtime.Stack(stacks, true)])
		}
	})
}

// certificate is one that its own key has signed.
func certificate(t *testing.T, name string, from, to time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: from, NotAfter: to, IsCA: true, BasicConstraintsValid: true}
	if ip := net.ParseIP(name); ip != nil {
		template.DNSNames, template.IPAddresses = nil, []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// secureServer answers 204 over TLS.
func secureServer(t *testing.T, config *tls.Config) string {
	return rawServer(t, func(conn net.Conn) {
		secure := tls.Server(conn, config)
		say("HTTP/1.1 204 Fine\r\n\r\n")(secure)
	})
}

func TestCertificates(t *testing.T) {
	checkLeaks(t)
	now := time.Now()
	good := certificate(t, "127.0.0.1", now.Add(-time.Hour), now.Add(time.Hour))
	roots := x509.NewCertPool()
	roots.AddCert(good.Leaf)
	with := func(c tls.Certificate) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{c}} }
	old := with(good)
	old.MaxVersion = tls.VersionTLS11
	old.MinVersion = tls.VersionTLS10
	plain := rawServer(t, say("HTTP/1.1 204 Fine\r\n\r\n"))
	tests := []struct {
		name     string
		address  string
		insecure bool
		why      reason
		text     string
	}{
		{"verified", secureServer(t, with(good)), false, reasonSuccess, ""},
		{"expired", secureServer(t, with(certificate(t, "127.0.0.1", now.Add(-2*time.Hour), now.Add(-time.Hour)))), false, reasonTLS, "has expired"},
		{"another name", secureServer(t, with(certificate(t, "other.example", now.Add(-time.Hour), now.Add(time.Hour)))), false, reasonTLS, "for another name"},
		{"self-signed", secureServer(t, with(certificate(t, "127.0.0.1", now.Add(-time.Hour), now.Add(time.Hour)))), false, reasonTLS, "self-signed"},
		{"not verified", secureServer(t, with(certificate(t, "other.example", now.Add(-2*time.Hour), now.Add(-time.Hour)))), true, reasonSuccess, ""},
		{"TLS 1.1", secureServer(t, old), false, reasonTLS, "protocol version"},
		{"no TLS", plain, false, reasonTLS, "does not speak TLS"},
		{"closes in the handshake", rawServer(t, readRequest), false, reasonTLS, "closed the connection"},
		{"silent in the handshake", rawServer(t, hang), false, reasonTimeout, "the TLS handshake took too long"},
	}
	s := newTestSender(loopback)
	s.timeout, s.dialer.idle.patience = 5*time.Second, shortIdle
	s.dialer.roots = roots // no abort: connections must end by themselves
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := testDelivery("https://" + test.address)
			d.Endpoint.InsecureTLS = test.insecure
			if test.why == reasonTimeout {
				s.timeout = senderTimeout
			}
			a, why, _ := s.send(s.begin(d))
			if why != test.why || !strings.Contains(string(a.Response), test.text) {
				t.Errorf("%s %q, want %s %q", why, a.Response, test.why, test.text)
			}
		})
	}
}

// The errors of crypto/x509 repeat what a certificate holds, which may be as long as a certificate
// is. An attempt with more than MaxResponse bytes could not be recorded.
func TestCertificatesWithLongTexts(t *testing.T) {
	now := time.Now()
	long := strings.Repeat("a\x1b[31m", 10_000)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	authority := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: long}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{"receiver.example"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour)}
	sign := func(template, parent *x509.Certificate) []byte {
		der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	for name, c := range map[string]tls.Certificate{
		"name":      certificate(t, long+".example", now.Add(-time.Hour), now.Add(time.Hour)),
		"authority": {Certificate: [][]byte{sign(leaf, authority), sign(authority, authority)}, PrivateKey: key},
	} {
		t.Run(name, func(t *testing.T) {
			_, port, _ := net.SplitHostPort(secureServer(t, &tls.Config{Certificates: []tls.Certificate{c}}))
			s := newTestSender(loopback)
			defer s.dialer.abort()
			s.dialer.resolver = testResolver(t, func(int32) []string { return []string{"127.0.0.1"} })
			// Such an authority is quoted if it is known, but can't have signed the certificate.
			s.dialer.roots = x509.NewCertPool()
			other := certificate(t, "x", now.Add(-time.Hour), now.Add(time.Hour)).PrivateKey.(*ecdsa.PrivateKey)
			der, err := x509.CreateCertificate(rand.Reader, authority, authority, &other.PublicKey, other)
			if err != nil {
				t.Fatal(err)
			}
			known, err := x509.ParseCertificate(der)
			if err != nil {
				t.Fatal(err)
			}
			s.dialer.roots.AddCert(known)
			a, why, verdict := s.send(s.begin(testDelivery("https://receiver.example:" + port)))
			if why != reasonTLS || len(a.Response) > maxErrorText || strings.ContainsFunc(string(a.Response), unicode.IsControl) {
				t.Errorf("%s, %d bytes: %.300q", why, len(a.Response), a.Response)
			}
			if len(verdict.Text) > maxErrorText {
				t.Errorf("the verdict has %d bytes", len(verdict.Text))
			}
		})
	}
}

// A connection whose certificate was not verified is never used by an endpoint that wants it
// verified.
func TestLenientConnectionsAreApart(t *testing.T) {
	now := time.Now()
	config := &tls.Config{Certificates: []tls.Certificate{certificate(t, "127.0.0.1", now.Add(-time.Hour), now.Add(time.Hour))}}
	address := rawServer(t, func(conn net.Conn) {
		secure := tls.Server(conn, config)
		for range 2 {
			say("HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n\r\n")(secure)
		}
	})
	s := newTestSender(loopback)
	s.timeout = 5 * time.Second
	defer s.dialer.abort()
	d := testDelivery("https://" + address)
	d.Endpoint.InsecureTLS = true
	if a, why, _ := s.send(s.begin(d)); why != reasonSuccess {
		t.Fatalf("%s %s", why, a.Response)
	}
	if a, why, _ := s.send(s.begin(testDelivery("https://" + address))); why != reasonTLS {
		t.Errorf("%s %s", why, a.Response)
	}
}

// endless sends start, and then text endlessly, either slowly or as fast as it is read.
func endless(start, text string, pause time.Duration) func(net.Conn) {
	return func(conn net.Conn) {
		readRequest(conn)
		fmt.Fprint(conn, start)
		for {
			if _, err := fmt.Fprint(conn, text); err != nil {
				return
			}
			time.Sleep(pause)
		}
	}
}

func TestBadReceivers(t *testing.T) {
	checkLeaks(t)
	const ok, slow = "HTTP/1.1 200 OK\r\n", senderTimeout / 20
	block := strings.Repeat("x", 1<<16)
	tests := []struct {
		name string
		talk func(net.Conn)
		code uint16
		why  reason
		text string
	}{
		{"header without end", endless(ok, "X-More: "+strings.Repeat("y", 100)+"\r\n", 0), 0, reasonProtocol, "longer than 32 KiB, or never end"},
		{"one header line without end", endless(ok+"X-More: ", block, 0), 0, reasonProtocol, "longer than 32 KiB, or never end"},
		{"header that drips", endless(ok, "X-More: y\r\n", slow), 0, reasonTimeout, "no answer within"},
		{"status line that drips", endless("", "H", slow), 0, reasonTimeout, "no answer within"},
		{"100 Continue without end", endless("", "HTTP/1.1 100 Continue\r\n\r\n", 0), 0, reasonProtocol, "too many interim answers"},
		{"body of 1 GB", endless(ok+"Content-Length: 1000000000\r\n\r\n", block, 0), 200, reasonSuccess, "xxx"},
		{"body of 1 GB of 500", endless("HTTP/1.1 500 No\r\nContent-Length: 1000000000\r\n\r\n", block, 0), 500, reasonStatus, "xxx"},
		{"body without end", endless(ok+"\r\n", block, 0), 200, reasonSuccess, "xxx"},
		{"chunks without end", endless(ok+"Transfer-Encoding: chunked\r\n\r\n", "10\r\n0123456789abcdef\r\n", 0), 200, reasonSuccess, "0123456789abcdef"},
		{"one chunk without end", endless(ok+"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n", block, 0), 200, reasonSuccess, "xxx"},
		{"chunk size without end", endless(ok+"Transfer-Encoding: chunked\r\n\r\n1;", block, 0), 200, reasonSuccess, ""},
		{"trailer without end", endless(ok+"Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", "X-More: y\r\n", 0), 200, reasonSuccess, "x"},
		{"body that drips", endless(ok+"Content-Length: 1000000\r\n\r\n", "x", slow), 200, reasonSuccess, "x"},
		{"body of 500 that drips", endless("HTTP/1.1 500 No\r\n\r\n", "x", slow), 500, reasonStatus, "x"},
		{"garbage", endless("", "\x00\xff\x01garbage", 0), 0, reasonProtocol, "longer than 32 KiB"},
		{"garbage line", say("SSH-2.0-OpenSSH_9.6\r\n"), 0, reasonProtocol, "does not begin with a status line"},
		{"large garbage", say(strings.Repeat("garbage ", 300) + "\r\n"), 0, reasonProtocol, "does not begin with a status line"},
		{"no header", say(ok + strings.Repeat("garbage ", 300) + "\r\n\r\n"), 0, reasonProtocol, "not valid HTTP"},
		{"trailer without end and no body", endless(ok+"Transfer-Encoding: chunked\r\n\r\n0\r\n", "X-More: y\r\n", 0), 200, reasonSuccess, ""},
		{"bad chunk", say(ok + "Transfer-Encoding: chunked\r\n\r\nzz\r\n"), 200, reasonSuccess, "the announced body did not"},
		{"HTTP/2", say("\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80"), 0, reasonNetwork, "in the middle"},
		{"status 0", say("HTTP/1.1 0 What\r\nContent-Length: 0\r\n\r\n"), 0, reasonProtocol, "status line"},
		{"status 000", say("HTTP/1.1 000 What\r\nContent-Length: 0\r\n\r\n"), 0, reasonProtocol, "less than 100"},
		{"status 000 after 100", say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 000\r\nContent-Length: 0\r\n\r\n"), 0, reasonProtocol, "less than 100"},
		{"status 099", say("HTTP/1.1 099 What\r\nContent-Length: 0\r\n\r\n"), 0, reasonProtocol, "less than 100"},
		{"status 99", say("HTTP/1.1 99 What\r\nContent-Length: 0\r\n\r\n"), 0, reasonProtocol, "status line"},
		{"status 1000", say("HTTP/1.1 1000 What\r\nContent-Length: 0\r\n\r\n"), 0, reasonProtocol, "status line"},
		{"status 99999", say("HTTP/1.1 99999 What\r\nContent-Length: 0\r\n\r\n"), 0, reasonProtocol, "status line"},
		{"two lengths", say(ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"), 0, reasonProtocol, "more than one Content-Length"},
		{"unknown encoding", say(ok + "Transfer-Encoding: gzip\r\n\r\nab"), 0, reasonProtocol, "something else than chunked"},
		{"length below 0", say(ok + "Content-Length: -1\r\n\r\nab"), 0, reasonProtocol, "not valid HTTP"},
		{"resets", func(conn net.Conn) { readRequest(conn); _ = conn.(*net.TCPConn).SetLinger(0) }, 0, reasonNetwork, "closed the connection before it answered"},
		{"reads nothing", func(net.Conn) { time.Sleep(2 * senderTimeout) }, 0, reasonTimeout, "no answer within"},
	}
	s := newTestSender(loopback) // no abort: connections must end by themselves
	s.dialer.idle.patience = shortIdle
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			start := time.Now()
			a, why, _ := s.send(s.begin(testDelivery("http://" + rawServer(t, test.talk))))
			if a.StatusCode != test.code || why != test.why || !strings.Contains(string(a.Response), test.text) || len(a.Response) > webhook.MaxResponse {
				t.Errorf("%d %s %.200q, want %d %s %.200q", a.StatusCode, why, a.Response, test.code, test.why, test.text)
			}
			if a.StatusCode == 0 && (len(a.Response) > 120 || strings.Contains(string(a.Response), "fasthttp")) {
				t.Errorf("the customer reads %s", a.Response)
			}
			if a.Trace.Received > 2*maxAnswer {
				t.Errorf("it read %d bytes", a.Trace.Received)
			}
			if time.Since(start) > 20*senderTimeout {
				t.Errorf("it took %s", time.Since(start))
			}
		})
	}
}

// TestEveryOffset uses a receiver that closes the connection after each number of bytes of a good
// answer, in the plain and the rude way. Once the headers are complete the status counts; before
// that the attempt got no response.
func TestEveryOffset(t *testing.T) {
	checkLeaks(t)
	s := newTestSender(loopback) // no abort: connections must end by themselves
	s.timeout, s.dialer.idle.patience = 5*time.Second, shortIdle
	for _, body := range []string{"Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"} {
		for _, status := range []uint16{200, 500} {
			response := fmt.Sprintf("HTTP/1.1 %d What\r\nX-A: b\r\n%s", status, body)
			headers := strings.Index(response, "\r\n\r\n") + 4
			for n := range len(response) + 1 {
				for _, rude := range []bool{false, true} {
					a, why, _ := s.send(s.begin(testDelivery("http://" + rawServer(t, func(conn net.Conn) {
						say(response[:n])(conn)
						if rude {
							_ = conn.(*net.TCPConn).SetLinger(0)
						}
					}))))
					checkOffset(t, a, why, n < headers, rude, status)
					if t.Failed() {
						t.Fatalf("%q, rude %v", response[:n], rude)
					}
				}
			}
		}
	}
}

// checkOffset knows that after a reset what has arrived may be lost.
func checkOffset(t *testing.T, a webhook.Attempt, why reason, cut, rude bool, status uint16) {
	t.Helper()
	lost := a.StatusCode == 0 && why == reasonNetwork && strings.Contains(string(a.Response), "the receiver closed the connection")
	complete := a.StatusCode == status && why == classifyStatus(int(status)) && len(a.Response) < 200
	if cut && !lost || !cut && !complete && !(rude && lost) {
		t.Errorf("%d %s %q", a.StatusCode, why, a.Response)
	}
}
