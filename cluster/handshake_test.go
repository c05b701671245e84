package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"

	"io"
	"math/big"
	"net"

	"sync/atomic"
	"testing"
	"time"
)

// authority signs the certificates of a test's nodes.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	serial      atomic.Int64
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA of a test"}, IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	var err error
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	must(t, err)
	a.certificate, err = x509.ParseCertificate(der)
	must(t, err)
	return a
}

// issue makes what a node with that name shows to others, all of whom trust this authority.
func (a *authority) issue(t *testing.T, name string) *tls.Config {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1 + a.serial.Add(1)), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	must(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, RootCAs: pool, ClientCAs: pool,
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13}
}

// certify makes a node present a certificate for a name.
func (m *member) certify(t *testing.T, a *authority, name string) {
	config := a.issue(t, name)
	m.config.TLS = func() (*tls.Config, error) { return config, nil }
}

// A cluster over mutual TLS does what one without does; certificates can be replaced while it runs.
func TestMutualTLS(t *testing.T) {
	ca := newAuthority(t)
	members := newMembers(t, 3)
	for _, m := range members {
		var shown atomic.Pointer[tls.Config]
		var asked atomic.Int32
		shown.Store(ca.issue(t, m.config.ID))
		m.config.TLS = func() (*tls.Config, error) {
			if asked.Add(1)%5 == 0 {
				shown.Store(ca.issue(t, m.config.ID))
			}
			return shown.Load(), nil
		}
		m.start(t)
	}
	leader, others := readyLeader(t, members)
	bodies := proposeMany(t, members, 12, 20)
	wantOnce(t, leader.machine, bodies)
	others[0].loseDisk(t)
	others[0].start(t)
	hasVote(t, members, others[0].config.ID)
	wantSame(t, members)
	wantOnce(t, others[0].machine, bodies)
}

// A node with a wrong certificate gets in nowhere, and is told why.
func TestWrongCertificate(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	tests := map[string]struct {
		spoil func(t *testing.T, m *member)
		want  string
	}{
		"of another node":      {func(t *testing.T, m *member) { m.certify(t, ca, "n9") }, "certificate of node n2 is for n9"},
		"of another authority": {func(t *testing.T, m *member) { m.certify(t, other, "n2") }, "TLS: "},
		"none at all":          {func(t *testing.T, m *member) { m.config.TLS = nil }, "peer \"n1\""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			members := newMembers(t, 2)
			members[0].certify(t, ca, "n1")
			test.spoil(t, members[1])
			members[0].start(t)
			members[1].start(t)
			members[1].waits(t, test.want)
			members[0].waits(t, `peer "n2"`)
		})
	}
}

// What listens may be anything.
func TestGreetStranger(t *testing.T) {
	members := newMembers(t, 2)
	stranger, err := net.Listen("tcp", members[1].config.Address)
	must(t, err)
	defer stranger.Close()
	go func() {
		for {
			conn, err := stranger.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
			conn.Close()
		}
	}()
	members[0].start(t)
	members[0].waits(t, "not a Hookwheel node")
}
