package cli

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hookwheel/config"
	"hookwheel/config/certs"
	"hookwheel/config/certs/certstest"
)

// runCert runs "hookwheel cert" with these arguments.
func runCert(args ...string) (out string, err error) {
	cmd := New("test")
	var text bytes.Buffer
	cmd.SetOut(&text)
	cmd.SetErr(&text)
	cmd.SetArgs(append([]string{"cert"}, args...))
	err = cmd.Execute()
	return text.String(), err
}

// mustCert is runCert that must succeed.
func mustCert(t *testing.T, args ...string) string {
	t.Helper()
	out, err := runCert(args...)
	if err != nil {
		t.Fatalf("hookwheel cert %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// makeCerts makes a CA and certificates for nodes, in a folder of their own.
func makeCerts(t *testing.T, nodes ...string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "certs")
	mustCert(t, "ca", "--out", dir)
	if len(nodes) > 0 {
		mustCert(t, append([]string{"node", "--ca", dir, "--out", dir}, nodes...)...)
	}
	return dir
}

func filesOf(dir, node string) certs.Files {
	return certs.Files{CA: filepath.Join(dir, certs.CAFile), Cert: filepath.Join(dir, certs.CertFile(node)), Key: filepath.Join(dir, certs.KeyFile(node))}
}

func mustReadCertificate(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	list, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestCert(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "certs")
	out := mustCert(t, "ca", "--out", dir, "--days", "10")
	if !strings.Contains(out, filepath.Join(dir, certs.CAFile)) || !strings.Contains(out, "hookwheel cert node n1 n2 n3 --ca "+dir) {
		t.Errorf("ca prints\n%s", out)
	}
	out = mustCert(t, "node", "n1", "n2", "--ca", dir, "--out", dir, "--days", "5", "--host", "a.example.com", "--host", "::1", "--host", "10.0.0.1")
	for _, want := range []string{filepath.Join(dir, "n1.pem"), filepath.Join(dir, "n2-key.pem"), certs.TLSBlock(dir, "n1", "  ")} {
		if !strings.Contains(out, want) {
			t.Errorf("node prints\n%s\nwithout %s", out, want)
		}
	}
	for _, name := range []string{certs.CAKeyFile, certs.KeyFile("n1"), certs.KeyFile("n2")} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	ca, node := mustReadCertificate(t, filepath.Join(dir, certs.CAFile)), mustReadCertificate(t, filepath.Join(dir, "n1.pem"))
	if _, ok := node.PublicKey.(*ecdsa.PublicKey); !ok || !ca.IsCA || node.IsCA {
		t.Errorf("the key is a %T, CA: %v, %v", node.PublicKey, ca.IsCA, node.IsCA)
	}
	if got := fmt.Sprint(node.DNSNames, node.IPAddresses); got != "[n1 a.example.com] [::1 10.0.0.1]" {
		t.Errorf("it is for %v", got)
	}
	if left := time.Until(node.NotAfter); left > 5*24*time.Hour || left < 4*24*time.Hour {
		t.Errorf("it ends in %s", left)
	}
	mustCert(t, "node", "n3", "--ca", dir, "--out", dir)
	if end := mustReadCertificate(t, filepath.Join(dir, "n3.pem")).NotAfter; !end.Equal(ca.NotAfter) {
		t.Errorf("it ends at %s, its CA at %s", end, ca.NotAfter)
	}
	for _, id := range []string{"n1", "n2", "n3"} {
		if _, err := certs.Open(filesOf(dir, id), id, slog.New(slog.DiscardHandler)); err != nil {
			t.Error(err)
		}
	}
	source := "node = \"n1\"\napi { token = \"0123456789abcdef\" }\ncluster {\n peer \"n1\" { address = \"10.0.0.1:1\" }\n" + certs.TLSBlock(dir, "n1", " ") + "\n}"
	file := filepath.Join(t.TempDir(), "hookwheel.hcl")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := config.Load(file); err != nil || got.Cluster.TLS != filesOf(dir, "n1") {
		t.Errorf("the block that it prints is read as %+v, %v", got.Cluster.TLS, err)
	}
}

func TestCertErrors(t *testing.T) {
	dir := makeCerts(t, "n1")
	before := certstest.ReadFolder(t, dir)
	swapped := filepath.Join(t.TempDir(), "swapped")
	certstest.WriteFiles(t, swapped, map[string]string{certs.CAFile: before["n1.pem"], certs.CAKeyFile: before["n1-key.pem"]})
	mixed := filepath.Join(t.TempDir(), "mixed")
	certstest.WriteFiles(t, mixed, map[string]string{certs.CAFile: before["ca.pem"], certs.CAKeyFile: before["n1-key.pem"]})
	old := filepath.Join(t.TempDir(), "old")
	ended, err := certs.NewCA(time.Now().AddDate(0, 0, -3), 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := certs.WriteNew(old, ended, certs.CAFile, certs.CAKeyFile); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ args, want string }{
		{"ca --out " + dir, "ca.pem already exists and is not overwritten"},
		{"ca --out " + dir + "/n1.pem", "not a directory"},
		{"ca --days 0 --out " + dir + "/x", "--days must be from 1 to 36500"},
		{"node --ca " + dir, "requires at least 1 arg"},
		{"node n2 n1 --ca " + dir + " --out " + dir, "n1.pem already exists"},
		{"node N1 --ca " + dir + " --out " + dir, `"N1" can't be the id of a node: it must have 1 to 64`},
		{"node n2 n2 --ca " + dir + " --out " + dir, "n2 is given twice"},
		{"node ca --ca " + dir + " --out " + dir, "can't be called ca"},
		{"node n2 --days -1 --ca " + dir + " --out " + dir, "--days must be"},
		{"node n2 --host https://x --ca " + dir + " --out " + dir, "give it without scheme and port"},
		{"node n2 --ca " + dir + "/none --out " + dir, "make one with `hookwheel cert ca --out " + dir + "/none`"},
		{"node n2 --ca " + swapped + " --out " + dir, "is the certificate of a node, not of a CA"},
		{"node n2 --ca " + mixed + " --out " + dir, "private key does not match"},
		{"node n2 --ca " + old + " --out " + dir, "has ended at"},
	} {
		if _, err := runCert(strings.Fields(test.args)...); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("hookwheel cert %s: %v\nwanted %s", test.args, err, test.want)
		}
	}
	if after := certstest.ReadFolder(t, dir); len(after) != len(before) || after["n1.pem"] != before["n1.pem"] || after["ca-key.pem"] != before["ca-key.pem"] {
		t.Error("what failed has changed files")
	}
}
