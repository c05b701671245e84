package abuse

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hookwheel/config/certs"
	"hookwheel/systemtest/wait"
)

// What strangers do on ports with TLS, and a customer's receivers that have it.
var tlsAbuses = []abuse{
	{"first messages without an end", unfinishedHellos, []int{0}},
	{"first messages and nothing more", manyHellos, []int{0}},
	{"requests without TLS", plainRequests, []int{400}},
	{"receivers with a hundred certificates", manyCertificates, []int{200, 201, 202}},
}

// anyServer is what clients have; the nodes here are no others.
var anyServer = &tls.Config{InsecureSkipVerify: true}

const apiName = "api" // of the certificate for HTTPS

// makeCertificates writes those of a single node, and of their authority.
func makeCertificates(t *testing.T, dir string) {
	t.Helper()
	made, err := certs.NewCA(time.Now(), 10)
	if err == nil {
		err = certs.WriteNew(dir, made, certs.CAFile, certs.CAKeyFile)
	}
	if err != nil {
		t.Fatal(err)
	}
	authority, err := certs.LoadCA(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	api, err := authority.IssueServer(apiName, []string{"127.0.0.1"}, time.Now(), 10)
	node, nodeErr := authority.Issue("n1", nil, time.Now(), 10)
	if err := errors.Join(err, nodeErr, certs.WriteNew(dir, api, certs.CertFile(apiName), certs.KeyFile(apiName)),
		certs.WriteNew(dir, node, certs.CertFile("n1"), certs.KeyFile("n1"))); err != nil {
		t.Fatal(err)
	}
}

// tlsBlock is that of a node's configuration for one of its certificates; only nodes have a CA.
func (w *world) tlsBlock(n *node, name string) string {
	if !w.secure {
		return ""
	}
	dir, ca := filepath.Dir(n.config), ""
	if name == n.name {
		ca = fmt.Sprintf("  ca = %q\n", filepath.Join(dir, certs.CAFile))
	}
	return fmt.Sprintf(" tls {\n%s  cert = %q\n  key = %q\n }\n", ca, filepath.Join(dir, certs.CertFile(name)), filepath.Join(dir, certs.KeyFile(name)))
}

func (w *world) url(n *node) string {
	if w.secure {
		return "https://" + n.api
	}
	return "http://" + n.api
}

// secured returns the client's side of TLS on a connection to the API, if that has it.
func (w *world) secured(conn net.Conn) net.Conn {
	if w.secure {
		return tls.Client(conn, anyServer)
	}
	return conn
}

// Of a first message of 64 KiB all but the end comes. The node must not keep it.
func unfinishedHellos(w *world) {
	const record = 15_000
	head := []byte{22, 3, 1, record >> 8, record & 0xff}
	var message []byte
	for i := range 4 {
		message = append(message, head...)
		message = append(message, make([]byte, record)...)
		if i == 0 {
			copy(message[len(head):], []byte{1, 0, 0xff, 0xf0})
		}
	}
	var open atomic.Int32
	for _, address := range []string{w.nodes[0].api, w.nodes[0].peers} {
		each(256, long(1000, 10_000), func(int) {
			conn := w.dial(address)
			if conn == nil {
				return
			}
			_ = conn.SetDeadline(time.Now().Add(2500 * time.Millisecond)) // a handshake has 3 s
			_, _ = conn.Write(message)                                    // the node may not want all of it
			if _, err := conn.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
				open.Add(1)
			}
		})
	}
	if open.Load() > 0 {
		w.t.Errorf("the node waits for more of %d messages", open.Load())
	}
}

// Each message of some hundred bytes wants a signature. Those who use the node from elsewhere must
// not wait for them.
func manyHellos(w *world) {
	hello := firstMessage(w.t)
	over := make(chan struct{})
	time.AfterFunc(turnLength, func() { close(over) })
	n := w.nodes[0]
	dialer := net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	each(201, 201, func(i int) {
		for {
			select {
			case <-over:
				return
			default:
			}
			if i == 0 { // from elsewhere, each time with a handshake
				begin := time.Now()
				if status := w.raw(0, callLimit, []byte("GET /api/v1/health/ping HTTP/1.1\r\nHost: a\r\n\r\n")); status != http.StatusNoContent || time.Since(begin) > worstPost {
					w.t.Errorf("another client gets %d after %s", status, time.Since(begin))
				}
				time.Sleep(10 * time.Millisecond)
				continue
			}
			conn, err := dialer.Dial("tcp", []string{n.api, n.peers}[i%2])
			if err != nil {
				w.count(0)
				continue
			}
			_ = conn.SetDeadline(time.Now().Add(turnLength))
			_, _ = conn.Write(hello)
			_, _ = conn.Read(make([]byte, 1))
			_ = conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}
	})
}

// A request without TLS is told so. Its token may be read on the way, and must not be in the log.
func plainRequests(w *world) {
	each(16, long(200, 2000), func(i int) {
		conn := w.dial(w.nodes[0].api)
		if conn == nil {
			return
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(callLimit))
		fmt.Fprintf(conn, "POST /api/v1/app HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\n\r\n%s", rootToken, strings.Repeat("x", i*500))
		w.count(readStatus(conn))
	})
}

// firstMessage is that of a client of TLS.
func firstMessage(t *testing.T) []byte {
	t.Helper()
	here, there := net.Pipe()
	defer there.Close()
	go func() {
		_ = tls.Client(here, anyServer).Handshake()
		here.Close()
	}()
	message := make([]byte, 5)
	_, err := io.ReadFull(there, message)
	message = append(message, make([]byte, binary.BigEndian.Uint16(message[3:]))...)
	if _, rest := io.ReadFull(there, message[5:]); err != nil || rest != nil {
		t.Fatal(err, rest)
	}
	return message
}

// Each of the certificates may have signed that of the receiver, and has a key that takes long to
// verify a signature.
func manyCertificates(w *world) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	own := tls.Certificate{PrivateKey: key}
	for i := range 101 {
		template := &x509.Certificate{SerialNumber: big.NewInt(int64(i)), Subject: pkix.Name{CommonName: "X"}, DNSNames: []string{fmt.Sprint("x", i)},
			NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, SignatureAlgorithm: x509.ECDSAWithSHA256}
		var public any = &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(int64(2*i+1)), 8191, 1), E: 1<<31 - 1}
		if i == 0 {
			public = &key.PublicKey
		}
		text, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
		if err != nil {
			w.t.Fatal(err)
		}
		own.Certificate = append(own.Certificate, text)
	}
	receiver := httptest.NewUnstartedServer(http.NotFoundHandler())
	receiver.TLS = &tls.Config{Certificates: []tls.Certificate{own}}
	receiver.Config.ErrorLog = log.New(io.Discard, "", 0) // the node's alerts
	receiver.StartTLS()
	defer receiver.Close()
	c := w.customer()
	defer w.leave(c)
	w.endpoints(c, 64, receiver.URL)
	var id string
	for range long(10, 100) {
		id = w.send(c, 100)
	}
	wait.For(w.t, "it was attempted", func() bool {
		r := w.attack(c.portal, "GET", c.path("/attempt/msg/%s", id), "")
		return strings.Contains(string(r.body), "101 certificates")
	})
}

// neverRead has clients ask for more than they read, with a valid token and without one. The node
// that they ask must end well all the same.
func (w *world) neverRead() {
	for _, token := range []string{"", rootToken} {
		request := "GET /docs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + token + "\r\n\r\n"
		for range 8 {
			conn := w.dial(w.nodes[0].api)
			if conn == nil {
				w.t.Fatal("the node can't be reached")
			}
			_ = conn.SetDeadline(time.Now().Add(time.Second))
			_, _ = w.secured(conn).Write([]byte(strings.Repeat(request, 500))) // until the node no longer reads
		}
	}
}
