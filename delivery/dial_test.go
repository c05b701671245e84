package delivery

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// testResolver asks a name server on loopback, which answers queries for IPv4 addresses with the
// result of addresses, called with the number of the query, from 1. No addresses mean a name that
// does not exist; nil for a server that does not answer. The names in the queries are sent to
// asked, if it is given.
func testResolver(t *testing.T, addresses func(n int32) []string, asked ...chan<- string) *net.Resolver {
	var questions atomic.Int32
	server := rawServer(t, func(conn net.Conn) {
		for {
			var size uint16
			if binary.Read(conn, binary.BigEndian, &size) != nil {
				return
			}
			text := make([]byte, size)
			var question dnsmessage.Message
			if _, err := io.ReadFull(conn, text); err != nil || question.Unpack(text) != nil {
				return
			}
			answer := dnsmessage.Message{Header: dnsmessage.Header{ID: question.ID, Response: true, RecursionAvailable: true}, Questions: question.Questions}
			for _, names := range asked {
				names <- question.Questions[0].Name.String()
			}
			if q := question.Questions[0]; q.Type == dnsmessage.TypeA {
				list := addresses(questions.Add(1))
				if list == nil {
					hang(conn)
					return
				}
				if len(list) == 0 {
					answer.RCode = dnsmessage.RCodeNameError
				}
				for _, address := range list {
					answer.Answers = append(answer.Answers, dnsmessage.Resource{
						Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET}, Body: &dnsmessage.AResource{A: netip.MustParseAddr(address).As4()}})
				}
			}
			packed, err := answer.Pack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...))
		}
	})
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", server) // over TCP an answer may be long
	}}
}

func TestNames(t *testing.T) {
	_, port, _ := net.SplitHostPort(rawServer(t, say("HTTP/1.1 204 Fine\r\n\r\n")))
	many := make([]string, 30)
	for i := range many {
		many[i] = fmt.Sprintf("127.0.1.%d", i+1) // nothing listens at any of them
	}
	always := func(list ...string) func(int32) []string {
		return func(int32) []string { return append([]string{}, list...) }
	}
	tests := []struct {
		name      string
		addresses func(int32) []string
		allow     []netip.Prefix
		why       reason
		text      string
	}{
		{"one address", always("127.0.0.1"), loopback, reasonSuccess, ""},
		{"none", always(), loopback, reasonDNS, "there is no such host"},
		{"the name server is silent", func(int32) []string { return nil }, loopback, reasonTimeout, "resolving the name took too long"},
		{"private", always("127.0.0.1", "10.0.0.1"), nil, reasonBlocked, "private or reserved"},
		{"the allowed one of several", always("10.0.0.1", "169.254.169.254", "127.0.0.1"), loopback, reasonSuccess, ""},
		{"the first one refuses", always("127.0.1.1", "127.0.0.1"), loopback, reasonSuccess, ""},
		{"30 addresses", always(many...), loopback, reasonConnect, "connection refused"},
		{"the last of 31 addresses", always(append(many, "127.0.0.1")...), loopback, reasonSuccess, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newTestSender(test.allow)
			s.dialer.resolver = testResolver(t, test.addresses)
			if test.why != reasonTimeout {
				s.timeout = 10 * time.Second
			}
			defer s.dialer.abort()
			a, why, _ := s.send(s.begin(testDelivery("http://receiver.example:" + port)))
			if why != test.why || !strings.Contains(string(a.Response), test.text) {
				t.Errorf("%s %q, want %s %q", why, a.Response, test.why, test.text)
			}
		})
	}
}

// A customer can't find out which names our own network knows: a name that does not exist and one
// that leads to private addresses read the same.
func TestNamesAreNoOracle(t *testing.T) {
	var texts []string
	for _, list := range [][]string{{}, {"127.0.0.1", "10.0.0.1"}} {
		s := newTestSender(nil)
		s.dialer.resolver = testResolver(t, func(int32) []string { return list })
		a, why, verdict := s.send(s.begin(testDelivery("http://db.internal/")))
		if want := []reason{reasonDNS, reasonBlocked}[len(texts)]; why != want {
			t.Errorf("%v: %s", list, why)
		}
		texts = append(texts, fmt.Sprintf("%s %+v", a.Response, verdict))
	}
	if texts[0] != texts[1] {
		t.Errorf("%s\n%s", texts[0], texts[1])
	}
}

// What net says about a query that failed has the addresses of this machine and of its name
// servers.
func TestNameServersAreNotShown(t *testing.T) {
	for text, want := range map[string]string{
		"server misbehaving": "the name could not be resolved: server misbehaving",
		"read udp 10.0.0.5:33504->10.0.0.53:53: read: connection refused":          "the name could not be resolved: a name server did not answer",
		"dial udp 10.0.0.53:53: connect: network is unreachable":                   "the name could not be resolved: a name server did not answer",
		"write tcp [fd00::5]:4000->[fd00::53]:53: write: connection reset by peer": "the name could not be resolved: a name server did not answer",
	} {
		why, got := classifyError(&stepError{stepResolve, &net.DNSError{Err: text, Name: "receiver.example", Server: "10.0.0.53:53"}}, time.Second)
		if why != reasonDNS || got != want {
			t.Errorf("%s: %s %q, want %q", text, why, got, want)
		}
	}
}

// Search domains are our network's, so each question is about the name as it was given.
func TestNamesAreAbsolute(t *testing.T) {
	asked := make(chan string, 100)
	s := newTestSender(nil)
	s.dialer.resolver = testResolver(t, func(int32) []string { return []string{} }, asked)
	for _, name := range []string{"db", "db.internal"} {
		s.send(s.begin(testDelivery("http://" + name)))
	}
	close(asked)
	for name := range asked {
		if name != "db." && name != "db.internal." {
			t.Errorf("asked for %s", name)
		}
	}
}

func TestInterleave(t *testing.T) {
	for given, want := range map[string]string{
		"::1 ::2 ::3 1.1.1.1":     "::1 1.1.1.1 ::2 ::3",
		"1.1.1.1 ::1 ::2 2.2.2.2": "1.1.1.1 ::1 2.2.2.2 ::2",
		"1.1.1.1":                 "1.1.1.1",
	} {
		var list []netip.Addr
		for text := range strings.FieldsSeq(given) {
			list = append(list, netip.MustParseAddr(text))
		}
		if got := strings.Trim(fmt.Sprint(interleave(list)), "[]"); got != want {
			t.Errorf("%s: %s, want %s", given, got, want)
		}
	}
}

// An attempt has at most maxDialing addresses under way, and still gets to the last of many that
// are silent.
func TestManySilentAddresses(t *testing.T) {
	full, port := fullListener(t, "127.0.1.9")
	list := make([]string, maxDialing+4)
	for i := range list {
		list[i] = full
	}
	acceptOn(t, port)
	s := newTestSender(loopback)
	s.timeout = 30 * time.Second
	s.dialer.resolver = testResolver(t, func(int32) []string { return append(list, "127.0.0.1") })
	defer s.dialer.abort()
	if a, why, _ := s.send(s.begin(testDelivery("http://receiver.example:" + port))); why != reasonSuccess {
		t.Errorf("%s %s", why, a.Response)
	}
}

// When all extra dials are taken, an attempt tries its addresses one after the other.
func TestLonelyDials(t *testing.T) {
	full, port := fullListener(t, "127.0.1.10")
	acceptOn(t, port)
	s := newTestSender(loopback)
	s.timeout = 30 * time.Second
	s.dialer.resolver = testResolver(t, func(int32) []string { return []string{full, full, "127.0.0.1"} })
	defer s.dialer.abort()
	attempt := func() {
		t.Helper()
		before := len(s.dialer.extra)
		if a, why, _ := s.send(s.begin(testDelivery("http://receiver.example:" + port))); why != reasonSuccess {
			t.Errorf("%s %s", why, a.Response)
		}
		if after := len(s.dialer.extra); after != before {
			t.Errorf("%d extra dials were under way before, %d after", before, after)
		}
		s.dialer.idle.clear()
	}
	attempt()
	for s.dialer.takeExtra() {
	}
	attempt()
}

// TestRebinding uses a name that resolves to an allowed address first, and to a private one from
// then on: what was looked up is what is dialled, each time.
func TestRebinding(t *testing.T) {
	var arrived atomic.Int32
	_, port, _ := net.SplitHostPort(rawServer(t, func(conn net.Conn) {
		readRequest(conn)
		arrived.Add(1)
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	}))
	s := newTestSender([]netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")})
	defer s.dialer.abort()
	s.dialer.resolver = testResolver(t, func(n int32) []string {
		if n == 1 {
			return []string{"127.0.0.1"}
		}
		return []string{"127.0.0.2"}
	})
	for i, want := range []reason{reasonSuccess, reasonBlocked, reasonBlocked} {
		if a, why, _ := s.send(s.begin(testDelivery("http://receiver.example:" + port))); why != want {
			t.Errorf("look-up %d: %s %s, want %s", i+1, why, a.Response, want)
		}
	}
	if arrived.Load() != 1 {
		t.Errorf("%d requests arrived", arrived.Load())
	}
}

// fullListener does not answer: nobody accepts, and its queue is full.
func fullListener(t *testing.T, host string) (address, port string) {
	full, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { full.Close() })
	for failed := 0; failed < 3; { // until the kernel completes no more: on a busy machine, one may only be slow
		short, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
		conn, err := new(net.Dialer).DialContext(short, "tcp", full.Addr().String())
		stop()
		if failed++; err == nil {
			failed = 0
			t.Cleanup(func() { conn.Close() })
		}
	}
	_, port, _ = net.SplitHostPort(full.Addr().String())
	return host, port
}

// answerOn accepts requests on a port of 127.0.0.1, and answers them with success.
func acceptOn(t *testing.T, port string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			say("HTTP/1.1 204 Fine\r\nConnection: close\r\n\r\n")(conn)
			conn.Close()
		}
	}()
}

// TestSilentAddress uses a first address that does not respond: the second one is tried before the
// time is over.
func TestSilentAddress(t *testing.T) {
	_, port := fullListener(t, "127.0.1.9")
	acceptOn(t, port)
	s := newTestSender(loopback)
	s.timeout = 5 * time.Second
	s.dialer.resolver = testResolver(t, func(int32) []string { return []string{"127.0.1.9", "127.0.0.1"} })
	defer s.dialer.abort()
	if a, why, _ := s.send(s.begin(testDelivery("http://receiver.example:" + port))); why != reasonSuccess {
		t.Errorf("%s %s", why, a.Response)
	}
}

func TestAbortEndsDialling(t *testing.T) {
	s := newTestSender(loopback)
	s.timeout = time.Minute
	asked := make(chan struct{}, 2)
	s.dialer.resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		asked <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.send(s.begin(testDelivery("http://receiver.example")))
	}()
	<-asked
	s.dialer.abort()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("an attempt goes on dialling")
	}
}

// TestIdleConnectionsAreBounded leaves open what was used last.
func TestIdleConnectionsAreBounded(t *testing.T) {
	s := newTestSender(loopback)
	s.timeout = 10 * time.Second
	s.dialer.idle.limit = 2
	defer s.dialer.abort()
	var addresses []string
	var counts []*atomic.Int32
	for range 3 {
		connections := new(atomic.Int32)
		address := rawServer(t, func(conn net.Conn) {
			connections.Add(1)
			for range 2 {
				say("HTTP/1.1 200 Fine\r\nContent-Length: 0\r\n\r\n")(conn)
			}
		})
		addresses, counts = append(addresses, address), append(counts, connections)
	}
	for _, i := range []int{0, 1, 2, 2, 1, 0} {
		if a, why, _ := s.send(s.begin(testDelivery("http://" + addresses[i]))); why != reasonSuccess {
			t.Fatalf("%s %s", why, a.Response)
		}
	}
	if got := fmt.Sprint(counts[0].Load(), counts[1].Load(), counts[2].Load()); got != "2 1 1" || s.dialer.idle.count != 2 {
		t.Errorf("connections: %s; %d are idle", got, s.dialer.idle.count)
	}
}

// A TLS receiver is told a name, without the final dot, but no address (RFC 6066, section 3).
func TestServerName(t *testing.T) {
	names := make(chan string, 1)
	own := certificate(t, "receiver.example", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	address := secureServer(t, &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		names <- hello.ServerName
		return &own, nil
	}})
	_, port, _ := net.SplitHostPort(address)
	for host, want := range map[string]string{"receiver.example": "receiver.example", "Receiver.Example.": "receiver.example", "127.1": ""} {
		s := newTestSender(loopback) // of its own, so that no idle connection is used again
		s.timeout = 10 * time.Second
		s.dialer.resolver = testResolver(t, func(int32) []string { return []string{"127.0.0.1"} })
		s.dialer.roots = x509.NewCertPool()
		s.dialer.roots.AddCert(own.Leaf)
		a, why, _ := s.send(s.begin(testDelivery("https://" + host + ":" + port)))
		s.dialer.abort()
		select {
		case got := <-names:
			if got != want || (why == reasonSuccess) != (want != "") {
				t.Errorf("%s: the receiver is told %q, %s", host, got, why)
			}
		default:
			t.Errorf("%s: the receiver is told nothing: %s %s", host, why, a.Response)
		}
	}
}
