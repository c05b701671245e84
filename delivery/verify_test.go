package delivery

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"hookwheel/webhook"
)

// A receiver that sends a hundred certificates of large keys has none of them verified.
func TestManyCertificatesAreNotVerified(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "X"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true}
	certificate := func(public any) *x509.Certificate {
		t.Helper()
		text, err := x509.CreateCertificate(rand.Reader, &template, &template, public, key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(text)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	large := certificate(&rsa.PublicKey{N: new(big.Int).SetBit(big.NewInt(1), 8191, 1), E: 1<<31 - 1})
	for want, chain := range map[string][]*x509.Certificate{
		"101 certificates": append([]*x509.Certificate{certificate(&key.PublicKey)}, make([]*x509.Certificate, 100)...),
		"8192 bits":        {certificate(&key.PublicKey), large},
	} {
		if err := verifyChain(chain, "localhost", x509.NewCertPool()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	receiver := httptest.NewUnstartedServer(http.NotFoundHandler())
	receiver.StartTLS()
	defer receiver.Close()
	own := receiver.TLS.Certificates[0]
	for range 100 {
		own.Certificate = append(own.Certificate, large.Raw)
	}
	receiver.TLS.Certificates[0] = own
	d := newDialer(&Config{Allow: loopback, Workers: 1})
	defer d.abort()
	_, err = d.dial(t.Context(), peer{address: strings.TrimPrefix(receiver.URL, "https://"), secure: true}, new(webhook.Trace))
	if err == nil || !strings.Contains(err.Error(), "101 certificates") {
		t.Errorf("got %v", err)
	}
}
