package tlslimit

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"
)

func newKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// certificate makes one whose issuer has the name X and that key.
func certificate(t *testing.T, name string, public crypto.PublicKey, issuer *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "X"}, DNSNames: []string{name},
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	text, err := x509.CreateCertificate(rand.Reader, template, template, public, issuer)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Certificates beyond the limits are refused before any of them is verified.
func TestCertificatesAreBounded(t *testing.T) {
	key := newKey(t, elliptic.P256())
	own := certificate(t, "localhost", &key.PublicKey, key)
	large := certificate(t, "X", &rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 8191, 1), E: 1<<31 - 1}, key)
	for want, chain := range map[string][]*x509.Certificate{
		"101 certificates": append([]*x509.Certificate{own}, make([]*x509.Certificate, 100)...),
		"8192 bits":        {own, large},
	} {
		err := Verify(chain, x509.VerifyOptions{DNSName: "localhost", Roots: x509.NewCertPool()})
		var failed *tls.CertificateVerificationError
		if !errors.As(err, &failed) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// A few certificates that have all signed one another make many ways, and crypto/x509 would give up
// only after a hundred signatures.
func TestWaysAreBounded(t *testing.T) {
	key := newKey(t, elliptic.P521())
	var chain []*x509.Certificate
	for i := range maxChain {
		chain = append(chain, certificate(t, fmt.Sprint("x", i), &key.PublicKey, key))
	}
	if err := Verify(chain, x509.VerifyOptions{Roots: x509.NewCertPool()}); err == nil || strings.Contains(err.Error(), "limit reached") {
		t.Errorf("got %v", err)
	}
}

// Certificates between that of a server and its authority are found among others.
func TestUsualChainsAreAccepted(t *testing.T) {
	authority, between := newKey(t, elliptic.P384()), newKey(t, elliptic.P384())
	roots := x509.NewCertPool()
	roots.AddCert(certificate(t, "authority", &authority.PublicKey, authority))
	inner := certificate(t, "between", &between.PublicKey, authority)
	own := certificate(t, "localhost", &newKey(t, elliptic.P256()).PublicKey, between)
	other := newKey(t, elliptic.P256())
	chain := []*x509.Certificate{own, certificate(t, "other", &other.PublicKey, other), inner, inner}
	if err := Verify(chain, x509.VerifyOptions{DNSName: "localhost", Roots: roots}); err != nil {
		t.Error(err)
	}
	if err := Verify(chain, x509.VerifyOptions{DNSName: "elsewhere", Roots: roots}); err == nil {
		t.Error("another name is accepted")
	}
	if err := Verify(chain[:2], x509.VerifyOptions{DNSName: "localhost", Roots: roots}); err == nil {
		t.Error("it is accepted without the one between")
	}
}
