package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"hookwheel/durable"
)

const certSkew = time.Hour // certificates begin that long ago, for clocks differ

// The names of the files.
const (
	CAFile    = "ca.pem"
	CAKeyFile = "ca-key.pem"
)

func CertFile(node string) string { return node + ".pem" }
func KeyFile(node string) string  { return node + "-key.pem" }

// TLSBlock is what to write into the cluster block of a node whose files are in dir.
func TLSBlock(dir, node, indent string) string {
	return fmt.Sprintf("%[1]stls {\n%[1]s  ca   = %[2]q\n%[1]s  cert = %[3]q\n%[1]s  key  = %[4]q\n%[1]s}", indent,
		filepath.Join(dir, CAFile), filepath.Join(dir, CertFile(node)), filepath.Join(dir, KeyFile(node)))
}

// Pair is a certificate and its key, in PEM.
type Pair struct{ cert, key []byte }

// Authority signs.
type Authority struct {
	cert *x509.Certificate
	key  crypto.PrivateKey
}

func NewCA(now time.Time, days int) (Pair, error) {
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "Hookwheel CA of " + now.UTC().Format("2006-01-02")},
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true, // it signs nodes, not other CAs
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	return makeCert(template, nil, now, days)
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// Issue makes a certificate for a node and further hosts.
func (a *Authority) Issue(id string, hosts []string, now time.Time, days int) (Pair, error) {
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: id},
		DNSNames:    []string{id},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	return a.issue(template, hosts, now, days)
}

// IssueServer makes a certificate for HTTPS, which is for those hosts only, and not for a node.
func (a *Authority) IssueServer(name string, hosts []string, now time.Time, days int) (Pair, error) {
	template := &x509.Certificate{Subject: pkix.Name{CommonName: name}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	return a.issue(template, hosts, now, days)
}

func (a *Authority) issue(template *x509.Certificate, hosts []string, now time.Time, days int) (Pair, error) {
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageDigitalSignature
	for _, host := range hosts {
		ip := net.ParseIP(host)
		switch {
		case ip != nil:
			template.IPAddresses = append(template.IPAddresses, ip)
		case hostName.MatchString(strings.TrimPrefix(host, "*.")):
			template.DNSNames = append(template.DNSNames, host)
		default:
			return Pair{}, fmt.Errorf("--host %q is neither a DNS name nor an IP address: give it without scheme and port", host)
		}
	}
	return makeCert(template, a, now, days)
}

// makeCert creates a key and its certificate, which is self-signed without an authority.
func makeCert(template *x509.Certificate, a *Authority, now time.Time, days int) (Pair, error) {
	if days < 1 || days > 100*365 {
		return Pair{}, errors.New("--days must be from 1 to 36500")
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return Pair{}, err
	}
	template.NotBefore, template.NotAfter = now.Add(-certSkew), now.AddDate(0, 0, days)
	if a == nil {
		a = &Authority{template, key}
	} else if a.cert.NotAfter.Before(template.NotAfter) {
		template.NotAfter = a.cert.NotAfter
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return Pair{}, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return Pair{}, err
	}
	return Pair{
		cert: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		key:  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}, nil
}

// LoadCA reads what newCA made, or the like of it.
func LoadCA(dir string, now time.Time) (*Authority, error) {
	file, key := filepath.Join(dir, CAFile), filepath.Join(dir, CAKeyFile)
	pair, err := tls.LoadX509KeyPair(file, key)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("no CA in %s: make one with `hookwheel cert ca --out %[1]s`, or name its folder with --ca (%w)", dir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("the CA %s and its key %s: %w", file, key, err)
	}
	if !pair.Leaf.IsCA {
		return nil, fmt.Errorf("%s is the certificate of a node, not of a CA", file)
	}
	if err := validAt(pair.Leaf, file, now, howToMake("ca")); err != nil {
		return nil, err
	}
	return &Authority{pair.Leaf, pair.PrivateKey}, nil
}

// NoneExists sees to it that nothing would be overwritten.
func NoneExists(dir string, names ...string) error {
	for _, name := range names {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("%s already exists and is not overwritten: choose another folder with --out, or move it away", path)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// WriteNew writes a certificate and its key to files that must be new.
func WriteNew(dir string, made Pair, cert, key string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := NoneExists(dir, cert, key); err != nil {
		return err
	}
	return errors.Join(durable.CreateFile(filepath.Join(dir, key), made.key, 0o600),
		durable.CreateFile(filepath.Join(dir, cert), made.cert, 0o644))
}
