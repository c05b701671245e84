package delivery

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestNoDescriptors runs TestWithoutDescriptors in a process of its own, whose limit it may lower.
func TestNoDescriptors(t *testing.T) {
	command := exec.Command(os.Args[0], "-test.run=^TestWithoutDescriptors$", "-test.v")
	command.Env = append(os.Environ(), "HOOKWHEEL_FEW_DESCRIPTORS=1")
	if text, err := command.CombinedOutput(); err != nil || !bytes.Contains(text, []byte("--- PASS")) {
		t.Errorf("%v\n%s", err, text)
	}
}

// TestWithoutDescriptors has no descriptor left, neither for a connection nor for a name server.
// Only the operator sees that, and no attempt is used up.
func TestWithoutDescriptors(t *testing.T) {
	if os.Getenv("HOOKWHEEL_FEW_DESCRIPTORS") == "" {
		t.Skip("run by TestNoDescriptors")
	}
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	said := new(bytes.Buffer)
	s := newTestSender(loopback)
	s.timeout = 10 * time.Second
	s.complaints.log = slog.New(slog.NewTextHandler(said, nil))
	if _, why, _ := s.send(s.begin(testDelivery(server.URL))); why != reasonSuccess { // this also makes the runtime open what it needs
		t.Fatal(why)
	}
	var files []*os.File
	limit := syscall.Rlimit{Cur: 64, Max: 64}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	for {
		file, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		files = append(files, file)
	}
	s.dialer.idle.take(peer{address: strings.TrimPrefix(server.URL, "http://")}) // stays open, but is not used
	for _, url := range []string{server.URL, "http://receiver.example/"} {
		for range 3 {
			a, why, verdict := s.send(s.begin(testDelivery(url)))
			if why != reasonLocal || !verdict.SenderFault || string(a.Response) != textLocal {
				t.Errorf("%s: %s %s %+v", url, why, a.Response, verdict)
			}
		}
	}
	if n := strings.Count(said.String(), "too many open files"); n != 1 {
		t.Errorf("the log says %s", said)
	}
	for _, file := range files {
		file.Close()
	}
	if a, why, _ := s.send(s.begin(testDelivery(server.URL))); why != reasonSuccess {
		t.Errorf("with descriptors again: %s %s", why, a.Response)
	}
}

// A connection that carries nothing is closed for one that is to carry something.
func TestIdleConnectionsGiveWay(t *testing.T) {
	if os.Getenv("HOOKWHEEL_FEW_DESCRIPTORS") != "" {
		t.Skip("in the other process")
	}
	address, _ := keepAliveServer(t, func(conn net.Conn, more *bufio.Reader) { _, _ = more.ReadByte() })
	s := newTestSender(loopback)
	defer s.dialer.abort()
	if a, why, _ := s.send(s.begin(testDelivery("http://" + address))); why != reasonSuccess {
		t.Fatalf("%s %s", why, a.Response)
	}
	if !s.dialer.idle.clear() || s.dialer.idle.clear() || len(s.dialer.open) != 0 {
		t.Errorf("%d connections are open", len(s.dialer.open))
	}
}

// TestClassifyLocal classifies the errors of a machine that lacks a resource, and others that look
// like them.
func TestClassifyLocal(t *testing.T) {
	connect := func(errno syscall.Errno) error {
		return &stepError{stepConnect, &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}, Err: os.NewSyscallError("connect", errno)}}
	}
	for _, test := range []struct {
		err  error
		want reason
	}{
		{connect(syscall.EMFILE), reasonLocal},
		{connect(syscall.ENFILE), reasonLocal},
		{connect(syscall.ENOBUFS), reasonLocal},
		{connect(syscall.ENOMEM), reasonLocal},
		{connect(syscall.ENETDOWN), reasonLocal},
		{connect(syscall.EADDRNOTAVAIL), reasonLocal}, // of an address to which there is a way: no port is left
		{connect(syscall.ECONNREFUSED), reasonConnect},
		{connect(syscall.EHOSTUNREACH), reasonConnect},
		{connect(syscall.EPERM), reasonBlocked},
		{&stepError{stepProxy, os.NewSyscallError("socket", syscall.EMFILE)}, reasonLocal},
		{&stepError{stepResolve, errors.Join(errNoNameServer, &net.DNSError{Err: "i/o timeout", IsTimeout: true})}, reasonLocal},
		{&stepError{stepResolve, &net.DNSError{Err: "server misbehaving", IsTemporary: true}}, reasonDNS},
	} {
		if why, text := classifyError(test.err, time.Second); why != test.want {
			t.Errorf("%v: %s %s, want %s", test.err, why, text, test.want)
		}
	}
}

// Name servers that nobody can ask are ours; one that does not answer about one name only is not.
func TestNameServerIsGone(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	for name, dial := range map[string]func(context.Context) (net.Conn, error){
		"refuses": func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", l.Addr().String())
		},
		"silent": func(ctx context.Context) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		},
	} {
		s := newTestSender(nil)
		s.dialer.resolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) }}
		a, why, verdict := s.send(s.begin(testDelivery("http://receiver.example/")))
		if why != reasonLocal || !verdict.SenderFault {
			t.Errorf("%s: %s %s", name, why, a.Response)
		}
	}
}
