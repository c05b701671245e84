package tlslimit

import (
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
)

// Others choose the certificates that they send. One that seems to have signed another costs up to
// 2.5 ms to verify, and crypto/x509 tries a hundred of them. What public authorities issue stays
// far below these limits.
const (
	maxChain    = 10   // certificates
	maxRSABits  = 4096 // of a key
	maxExponent = 1<<16 + 1
)

// Verify verifies a chain of certificates as crypto/tls would, at a bounded cost. The intermediates
// of the options are those of the chain.
func Verify(chain []*x509.Certificate, options x509.VerifyOptions) error {
	if err := verify(chain, options); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: err}
	}
	return nil
}

func verify(chain []*x509.Certificate, options x509.VerifyOptions) error {
	if len(chain) > maxChain {
		return fmt.Errorf("the other side sends %d certificates, and at most %d are accepted: it needs its own and those between it and the authority", len(chain), maxChain)
	}
	options.Intermediates = x509.NewCertPool()
	keys := make(map[string]bool)
	for i, c := range chain {
		if key, is := c.PublicKey.(*rsa.PublicKey); is && (key.N.BitLen() > maxRSABits || key.E > maxExponent) {
			return fmt.Errorf("the other side sends a certificate with an RSA key of %d bits and the exponent %d, and at most %d bits and %d are accepted",
				key.N.BitLen(), key.E, maxRSABits, maxExponent)
		}
		// Of several with one key the first is enough. With them there would be many ways from one
		// to the other, and crypto/x509 would try all.
		key := string(c.RawSubjectPublicKeyInfo)
		if i > 0 && !keys[key] {
			options.Intermediates.AddCert(c)
			keys[key] = true
		}
	}
	_, err := chain[0].Verify(options)
	return err
}
