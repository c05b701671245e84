package certs

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hookwheel/config/certs/certstest"
	"hookwheel/systemtest/wait"
)

// countLines is how many lines of a log hold text.
func countLines(log *wait.Log, text string) (n int) {
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

func mustOpenCertificates(t *testing.T, files Files, node string) (*Certificates, *wait.Log) {
	t.Helper()
	log := new(wait.Log)
	c, err := Open(files, node, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return c, log
}

// lookAgain makes the next use check the files for changes, although less than a second has
// passed.
func (c *Certificates) lookAgain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checked = time.Time{}
}

// handshake connects two sides and returns what the client sees, and the error of each.
func handshake(t *testing.T, server, client *tls.Config) (state tls.ConnectionState, serverErr, clientErr error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	deadline := time.Now().Add(10 * time.Second)
	if err := errors.Join(a.SetDeadline(deadline), b.SetDeadline(deadline)); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		s := tls.Server(a, server)
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte{1})
		}
		done <- errors.Join(err, a.Close())
	}()
	c := tls.Client(b, client)
	clientErr = c.Handshake()
	if clientErr == nil { // with TLS 1.3 a client learns only by reading that it is refused
		_, clientErr = c.Read(make([]byte, 1))
	}
	return c.ConnectionState(), <-done, clientErr
}

// towards is a client's configuration for a server of that name.
func towards(t *testing.T, config *tls.Config, name string) *tls.Config {
	t.Helper()
	c := config.Clone()
	c.ServerName = name
	return c
}

func mustCluster(t *testing.T, c *Certificates) *tls.Config {
	t.Helper()
	config, err := c.Cluster()
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func TestCertificatesBothWays(t *testing.T) {
	dir := makeCerts(t, "n1", "n2")
	one, _ := mustOpenCertificates(t, filesOf(dir, "n1"), "n1")
	two, _ := mustOpenCertificates(t, filesOf(dir, "n2"), "n2")
	for name, pair := range map[string][2]*Certificates{"n1": {one, two}, "n2": {two, one}} {
		state, serverErr, clientErr := handshake(t, mustCluster(t, pair[0]), towards(t, mustCluster(t, pair[1]), name))
		if serverErr != nil || clientErr != nil || state.Version != tls.VersionTLS13 {
			t.Errorf("to %s: %v, %v, version %x", name, serverErr, clientErr, state.Version)
		}
	}

	strange, _ := mustOpenCertificates(t, filesOf(makeCerts(t, "n2"), "n2"), "n2")
	trusting := towards(t, mustCluster(t, strange), "n1")
	trusting.RootCAs = mustCluster(t, one).RootCAs
	if _, err, _ := handshake(t, mustCluster(t, one), trusting); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("a client with a certificate of another CA: %v", err)
	}
	if _, _, err := handshake(t, mustCluster(t, strange), towards(t, mustCluster(t, one), "n2")); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("a server with a certificate of another CA: %v", err)
	}
	nameless := towards(t, mustCluster(t, two), "n1")
	nameless.Certificates = nil
	if _, err, _ := handshake(t, mustCluster(t, one), nameless); err == nil || !strings.Contains(err.Error(), "didn't provide a certificate") {
		t.Errorf("a client without certificate: %v", err)
	}
	old := towards(t, mustCluster(t, two), "n1")
	old.MinVersion, old.MaxVersion = 0, tls.VersionTLS12
	if _, err, _ := handshake(t, mustCluster(t, one), old); err == nil {
		t.Error("TLS 1.2 was accepted")
	}
}

// badCert is signed by the CA in dir, but not as issue would.
func badCert(t *testing.T, dir string, begin time.Time, change func(*x509.Certificate)) Pair {
	t.Helper()
	ca, err := LoadCA(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "n1"}, DNSNames: []string{"n1"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	change(template)
	made, err := makeCert(template, ca, begin, 1)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestCertificatesErrors(t *testing.T) {
	good := certstest.ReadFolder(t, makeCerts(t, "n1", "n2"))
	other := certstest.ReadFolder(t, makeCerts(t, "n1"))
	source := t.TempDir()
	certstest.WriteFiles(t, source, good)
	same := func(*x509.Certificate) {}
	ended := badCert(t, source, time.Now().AddDate(0, 0, -2), same)
	early := badCert(t, source, time.Now().AddDate(0, 0, 2), same)
	server := badCert(t, source, time.Now(), func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] })
	nameless := badCert(t, source, time.Now(), func(c *x509.Certificate) { c.DNSNames = nil })
	for name, test := range map[string]struct {
		files  map[string]string // instead of the good ones; an empty one is removed
		want   []string
		forAPI bool // is wrong for the API too
	}{
		"no certificate":     {map[string]string{"n1.pem": ""}, []string{"the certificate: open", "n1.pem", "no such file"}, true},
		"no key":             {map[string]string{"n1-key.pem": ""}, []string{"the key: open", "n1-key.pem"}, true},
		"no CA":              {map[string]string{"ca.pem": ""}, []string{"the certificate: open", "ca.pem"}, false},
		"not PEM":            {map[string]string{"n1.pem": "hello"}, []string{"n1.pem holds no certificate", "PEM", "hookwheel cert node --help"}, true},
		"a key for a cert":   {map[string]string{"n1.pem": good["n1-key.pem"]}, []string{"n1.pem holds no certificate"}, true},
		"damaged":            {map[string]string{"n1.pem": "-----BEGIN CERTIFICATE-----\nMTIzNA==\n-----END CERTIFICATE-----\n"}, []string{"n1.pem holds a damaged certificate"}, true},
		"key of another":     {map[string]string{"n1-key.pem": good["n2-key.pem"]}, []string{"n1-key.pem can't be used with", "n1.pem", "does not match"}, true},
		"a cert for a key":   {map[string]string{"n1-key.pem": good["n1.pem"]}, []string{"n1-key.pem can't be used with"}, true},
		"ended":              {made("n1", ended), []string{"n1.pem has ended at", "replace it", "hookwheel cert node --help"}, true},
		"not yet":            {made("n1", early), []string{"n1.pem begins only at", "set the clock"}, true},
		"of another CA":      {map[string]string{"ca.pem": other["ca.pem"]}, []string{"n1.pem is not vouched for by the CA in", "ca.pem", "unknown authority"}, false},
		"of another node":    {map[string]string{"n1.pem": good["n2.pem"], "n1-key.pem": good["n2-key.pem"]}, []string{"n1.pem is for n2, not for this node", `"n1"`}, false},
		"of nobody":          {made("n1", nameless), []string{"is for no name at all"}, false},
		"only for servers":   {made("n1", server), []string{"must be for servers and for clients"}, false},
		"CA that is nothing": {map[string]string{"ca.pem": "\n"}, []string{"ca.pem holds no certificate", "hookwheel cert ca --help"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			certstest.WriteFiles(t, dir, good)
			for file, text := range test.files {
				if text == "" {
					if err := os.Remove(filepath.Join(dir, file)); err != nil {
						t.Fatal(err)
					}
					continue
				}
				certstest.WriteFiles(t, dir, map[string]string{file: text})
			}
			checkLoadError(t, filesOf(dir, "n1"), "n1", test.want)
			forAPI := Files{Cert: filepath.Join(dir, "n1.pem"), Key: filepath.Join(dir, "n1-key.pem")}
			if test.forAPI {
				checkLoadError(t, forAPI, "", strings.Split(strings.ReplaceAll(strings.Join(test.want, "|"), "cert node", "cert api"), "|"))
			} else if _, err := Open(forAPI, "", slog.New(slog.DiscardHandler)); err != nil {
				t.Errorf("for the API: %v", err)
			}
		})
	}
}

func made(node string, m Pair) map[string]string {
	return map[string]string{CertFile(node): string(m.cert), KeyFile(node): string(m.key)}
}

func checkLoadError(t *testing.T, files Files, node string, want []string) {
	t.Helper()
	_, err := Open(files, node, slog.New(slog.DiscardHandler))
	if err == nil {
		t.Error("it was accepted")
		return
	}
	for _, phrase := range want {
		if !strings.Contains(err.Error(), phrase) {
			t.Errorf("%v\nlacks %s", err, phrase)
		}
	}
}

// A certificate that another CA between vouches for is good if it brings that along.
func TestCertificatesChain(t *testing.T) {
	now := time.Now()
	rootCert, err := makeCert(&x509.Certificate{Subject: pkix.Name{CommonName: "root"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, now, 9)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	certstest.WriteFiles(t, dir, map[string]string{CAFile: string(rootCert.cert), CAKeyFile: string(rootCert.key)})
	between := badCert(t, dir, now, func(c *x509.Certificate) {
		*c = x509.Certificate{Subject: pkix.Name{CommonName: "between"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	})
	inner := t.TempDir()
	certstest.WriteFiles(t, inner, map[string]string{CAFile: string(between.cert), CAKeyFile: string(between.key)})
	leaf := badCert(t, inner, now, func(*x509.Certificate) {})
	certstest.WriteFiles(t, dir, map[string]string{"n1.pem": string(leaf.cert) + string(between.cert), "n1-key.pem": string(leaf.key)})
	if _, err := filesOf(dir, "n1").load("n1", now); err != nil {
		t.Error(err)
	}
	certstest.WriteFiles(t, dir, map[string]string{"n1.pem": string(leaf.cert)})
	if _, err := filesOf(dir, "n1").load("n1", now); err == nil {
		t.Error("without the CA between it was accepted")
	}
}

func TestCertificatesAreReadAgain(t *testing.T) {
	dir := makeCerts(t, "n1", "n2")
	c, log := mustOpenCertificates(t, filesOf(dir, "n1"), "n1")
	other, _ := mustOpenCertificates(t, filesOf(dir, "n2"), "n2")
	seen := func() string {
		t.Helper()
		state, serverErr, clientErr := handshake(t, mustCluster(t, c), towards(t, mustCluster(t, other), "n1"))
		if serverErr != nil || clientErr != nil {
			t.Fatal(serverErr, clientErr)
		}
		return state.PeerCertificates[0].SerialNumber.String()
	}
	first := seen()
	renewed := t.TempDir()
	mustIssue(t, dir, renewed, 397, "n1")
	files := certstest.ReadFolder(t, renewed)

	certstest.WriteFiles(t, dir, map[string]string{"n1.pem": files["n1.pem"]}) // the key is still the old one
	c.checked = time.Now()
	if c.current(); countLines(log, "old one stays in force") != 0 {
		t.Error("the files were looked at twice in a second")
	}
	for range 3 {
		if c.lookAgain(); seen() != first {
			t.Error("half a change is in force")
		}
	}
	if n := countLines(log, "the new certificate can't be used, the old one stays in force: the key"); n != 1 {
		t.Errorf("it was warned of %d times", n)
	}
	certstest.WriteFiles(t, dir, map[string]string{"n1-key.pem": files["n1-key.pem"]})
	if c.lookAgain(); seen() == first || countLines(log, "a new certificate is in force") != 1 {
		t.Error("the new certificate is not in force")
	}
	if err := os.Remove(filepath.Join(dir, "n1.pem")); err != nil {
		t.Fatal(err)
	}
	if c.lookAgain(); seen() == first || countLines(log, "no such file") != 1 {
		t.Error("without its file the certificate is gone")
	}
}

func TestCertificatesWarn(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	mustMakeCA(t, dir)
	mustIssue(t, dir, dir, 31, "n1")
	c, log := mustOpenCertificates(t, filesOf(dir, "n1"), "n1")
	if countLines(log, "") != 0 {
		t.Error("it warns 31 days before the end")
	}
	at := func(day time.Duration) { c.warn(time.Now().Add(day*24*time.Hour + time.Minute)) }
	at(2)
	at(2)
	if countLines(log, "the certificate ends in 28 days") != 1 {
		t.Errorf("29 days before the end: %s", log)
	}
	at(4)
	if countLines(log, "the certificate ends in 26 days") != 1 {
		t.Errorf("27 days before the end: %s", log)
	}
	at(32)
	if countLines(log, "level=ERROR") != 1 || countLines(log, "has ended") != 1 {
		t.Errorf("after the end: %s", log)
	}
	want := float64(mustReadCertificate(t, filepath.Join(dir, "n1.pem")).NotAfter.Unix())
	registry := prometheus.NewRegistry()
	registry.MustRegister(c.Gauge("cluster"))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if got := families[0].Metric[0].GetGauge().GetValue(); got != want {
		t.Errorf("the gauge says %v, want %v", got, want)
	}
}

// mustMakeCA makes a CA in dir.
func mustMakeCA(t *testing.T, dir string) {
	t.Helper()
	made, err := NewCA(time.Now(), 3650)
	if err != nil {
		t.Fatal(err)
	}
	if err := WriteNew(dir, made, CAFile, CAKeyFile); err != nil {
		t.Fatal(err)
	}
}

// mustIssue makes certificates for nodes, signed by the CA in ca.
func mustIssue(t *testing.T, ca, out string, days int, nodes ...string) {
	t.Helper()
	authority, err := LoadCA(ca, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range nodes {
		made, err := authority.Issue(node, nil, time.Now(), days)
		if err != nil {
			t.Fatal(err)
		}
		if err := WriteNew(out, made, CertFile(node), KeyFile(node)); err != nil {
			t.Fatal(err)
		}
	}
}

// makeCerts makes a CA and certificates for nodes, in a folder of their own.
func makeCerts(t *testing.T, nodes ...string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "certs")
	mustMakeCA(t, dir)
	mustIssue(t, dir, dir, 397, nodes...)
	return dir
}

func filesOf(dir, node string) Files {
	return Files{CA: filepath.Join(dir, CAFile), Cert: filepath.Join(dir, CertFile(node)), Key: filepath.Join(dir, KeyFile(node))}
}

func mustReadCertificate(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	list, _, err := readCertificates(file, "")
	if err != nil {
		t.Fatal(err)
	}
	return list[0]
}
