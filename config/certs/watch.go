// Package certs makes the certificates that nodes use, and watches those in use: they are read
// again when their files change.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	certificateCheck = time.Second         // how often the files are looked at, at most
	certificateSoon  = 30 * 24 * time.Hour // before its end a certificate is warned of
	certificateAgain = 24 * time.Hour      // between warnings
)

// howToMake ends a message about a certificate of that kind: ca, node or api.
func howToMake(kind string) string {
	return fmt.Sprintf(`"hookwheel cert %s --help" says how to make one`, kind)
}

// Files are PEM files. They are read again when they change.
type Files struct {
	CA   string // the certificates that others' must be signed by
	Cert string // the own certificate, then those between it and the CA, if any
	Key  string
}

// howToMake is about those of a node, or of HTTPS, which has no CA.
func (f Files) howToMake() string {
	if f.CA == "" {
		return howToMake("api")
	}
	return howToMake("node")
}

// Certificates are a certificate, its key and perhaps a CA, read again whenever their files
// change. New ones that are of no use leave the old in force.
type Certificates struct {
	files Files
	node  string // whose certificate it must be; empty without a CA
	log   *slog.Logger

	mu      sync.Mutex
	checked time.Time
	stamp   string // of the files as they were read last
	warned  time.Time
	inForce *loadedCertificates
}

// loadedCertificates is what the files held at one time.
type loadedCertificates struct {
	own    tls.Certificate
	end    time.Time
	config *tls.Config // for both sides of a connection between nodes
}

// Open reads the files; what is wrong with them is an error now, and later only a warning.
func Open(files Files, node string, log *slog.Logger) (*Certificates, error) {
	c := &Certificates{files: files, node: node, log: log, checked: time.Now(), stamp: files.stamp()}
	var err error
	if c.inForce, err = files.load(node, time.Now()); err != nil {
		return nil, err
	}
	c.warn(time.Now())
	return c, nil
}

// Cluster is for connections between nodes.
func (c *Certificates) Cluster() (*tls.Config, error) { return c.current().config, nil }

// API is for a listener.
func (c *Certificates) API() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &c.current().own, nil },
	}
}

// Gauge returns a metric that shows when the certificate expires. Reading it also checks the files
// for changes.
func (c *Certificates) Gauge(use string) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "hookwheel_certificate_expiry_timestamp_seconds",
		Help:        "When the certificate in use ends, in seconds since 1970.",
		ConstLabels: prometheus.Labels{"use": use},
	}, func() float64 { return float64(c.current().end.Unix()) })
}

// current is what is in force, after a look at the files.
func (c *Certificates) current() *loadedCertificates {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.checked) >= certificateCheck {
		c.checked = now
		c.renew(now)
		c.warn(now)
	}
	return c.inForce
}

// renew reads the files if they have changed.
func (c *Certificates) renew(now time.Time) {
	stamp := c.files.stamp() // before reading: a change meanwhile is seen the next time
	if stamp == c.stamp {
		return
	}
	c.stamp = stamp
	loaded, err := c.files.load(c.node, now)
	if err != nil {
		c.log.Warn("the new certificate can't be used, the old one stays in force: "+err.Error(), "ends", c.inForce.end)
		return
	}
	c.inForce, c.warned = loaded, time.Time{}
	c.log.Info("a new certificate is in force", "file", c.files.Cert, "ends", loaded.end)
}

// warn logs, once a day, that a certificate expires soon.
func (c *Certificates) warn(now time.Time) {
	left := c.inForce.end.Sub(now)
	if left > certificateSoon || now.Sub(c.warned) < certificateAgain {
		return
	}
	c.warned = now
	if left <= 0 {
		c.log.Error("the certificate has ended, connections are refused: replace its file; "+c.files.howToMake(), "file", c.files.Cert, "ended", c.inForce.end)
		return
	}
	c.log.Warn(c.endsSoon(left), "file", c.files.Cert, "ends", c.inForce.end)
}

func (c *Certificates) endsSoon(left time.Duration) string {
	return fmt.Sprintf("the certificate ends in %d days: replace its file before that; %s", int(left.Hours()/24), c.files.howToMake())
}

// Warning says that the certificate ends soon, or is empty.
func (c *Certificates) Warning() string {
	if left := time.Until(c.current().end); left <= certificateSoon {
		return c.endsSoon(left)
	}
	return ""
}

// stamp changes when one of the files does.
func (f Files) stamp() string {
	var text strings.Builder
	for _, file := range []string{f.CA, f.Cert, f.Key} {
		if info, err := os.Stat(file); err == nil {
			fmt.Fprint(&text, info.ModTime().UnixNano(), " ", info.Size())
		}
		text.WriteByte('|')
	}
	return text.String()
}

// load reads the files and checks all that would otherwise show itself only when another refuses
// the certificate.
func (f Files) load(node string, now time.Time) (*loadedCertificates, error) {
	chain, certPEM, err := readCertificates(f.Cert, f.howToMake())
	if err != nil {
		return nil, err
	}
	keyPEM, err := os.ReadFile(f.Key)
	if err != nil {
		return nil, fmt.Errorf("the key: %w", err)
	}
	own, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil { // the certificate is readable, so it is about the key
		return nil, fmt.Errorf("the key %s can't be used with the certificate %s: name the key that the certificate was made with (%w)", f.Key, f.Cert, err)
	}
	if err := validAt(chain[0], f.Cert, now, f.howToMake()); err != nil {
		return nil, err
	}
	loaded := &loadedCertificates{own: own, end: chain[0].NotAfter}
	if node == "" {
		return loaded, nil
	}
	roots, err := f.verify(chain, node, now)
	if err != nil {
		return nil, err
	}
	loaded.config = &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Certificates:           []tls.Certificate{own},
		RootCAs:                roots,
		ClientCAs:              roots,
		ClientAuth:             tls.RequireAndVerifyClientCert,
		SessionTicketsDisabled: true, // connections last, and a ticket must not outlive a certificate
	}
	return loaded, nil
}

// verify checks a node's certificate as the other nodes will, and returns the CAs.
func (f Files) verify(chain []*x509.Certificate, node string, now time.Time) (*x509.CertPool, error) {
	list, _, err := readCertificates(f.CA, howToMake("ca"))
	if err != nil {
		return nil, err
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, ca := range list {
		roots.AddCert(ca)
	}
	for _, certificate := range chain[1:] {
		between.AddCert(certificate)
	}
	if !slices.Contains(chain[0].DNSNames, node) {
		return nil, fmt.Errorf("the certificate %s is for %s, not for this node: it needs the DNS name %q; %s", f.Cert,
			strings.Join(namesIn(chain[0]), ", "), node, f.howToMake())
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} { // a node is both
		_, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
		var invalid x509.CertificateInvalidError
		switch {
		case errors.As(err, &invalid) && invalid.Reason == x509.IncompatibleUsage:
			return nil, fmt.Errorf("the certificate %s must be for servers and for clients (extended key usage); %s", f.Cert, f.howToMake())
		case err != nil:
			return nil, fmt.Errorf("the certificate %s is not vouched for by the CA in %s: all nodes need certificates of one CA, and its certificate (%w)",
				f.Cert, f.CA, err)
		}
	}
	return roots, nil
}

func namesIn(c *x509.Certificate) []string {
	names := c.DNSNames
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return []string{"no name at all"}
	}
	return names
}

func validAt(c *x509.Certificate, file string, now time.Time, howToMake string) error {
	if now.After(c.NotAfter) {
		return fmt.Errorf("the certificate %s has ended at %s: replace it; %s", file, c.NotAfter.Format(time.RFC3339), howToMake)
	}
	if now.Before(c.NotBefore) {
		return fmt.Errorf("the certificate %s begins only at %s, and the clock of this machine says %s: set the clock, or replace the certificate",
			file, c.NotBefore.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return nil
}

// readCertificates reads a PEM file with at least one certificate.
func readCertificates(file, howToMake string) (list []*x509.Certificate, text []byte, err error) {
	text, err = os.ReadFile(file)
	if err != nil {
		return nil, nil, fmt.Errorf("the certificate: %w", err)
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, nil, fmt.Errorf("%s holds a damaged certificate: %w", file, err)
		}
		list = append(list, certificate)
	}
	if len(list) == 0 {
		return nil, nil, fmt.Errorf("%s holds no certificate: it must be a PEM file; %s", file, howToMake)
	}
	return list, text, nil
}
