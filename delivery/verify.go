package delivery

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
)

// A receiver chooses the certificates that it sends, and each of them that seems to have signed
// another one costs up to 2.5 ms of CPU: a hundred, which crypto/x509 permits, a quarter of a second
// for each attempt. What public authorities issue stays far below these limits.
const (
	maxChain    = 10   // certificates
	maxRSABits  = 4096 // of a key
	maxExponent = 1<<16 + 1
)

// verifyTLS returns a configuration that verifies the certificate of a host, at a bounded cost.
func verifyTLS(host string, roots *x509.CertPool) *tls.Config {
	return &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, RootCAs: roots,
		InsecureSkipVerify: true, // since VerifyConnection does it
		VerifyConnection: func(state tls.ConnectionState) error {
			if err := verifyChain(state.PeerCertificates, host, roots); err != nil {
				return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
			}
			return nil
		}}
}

func verifyChain(chain []*x509.Certificate, host string, roots *x509.CertPool) error {
	if len(chain) > maxChain {
		return fmt.Errorf("the receiver sends %d certificates, and at most %d are accepted: it needs its own and those between it and the authority", len(chain), maxChain)
	}
	between := x509.NewCertPool()
	for i, c := range chain {
		if key, is := c.PublicKey.(*rsa.PublicKey); is && (key.N.BitLen() > maxRSABits || key.E > maxExponent) {
			return fmt.Errorf("the receiver sends a certificate with an RSA key of %d bits and the exponent %d, and at most %d bits and %d are accepted",
				key.N.BitLen(), key.E, maxRSABits, maxExponent)
		}
		if i > 0 {
			between.AddCert(c)
		}
	}
	_, err := chain[0].Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: between})
	return err
}
