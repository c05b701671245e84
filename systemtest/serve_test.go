package systemtest

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hookwheel/cli"
	"hookwheel/config/certs"
	"hookwheel/httpapi/apitest"
	"hookwheel/systemtest/process"
	"hookwheel/systemtest/wait"
)

// mustCert runs "hookwheel cert", which must succeed.
func mustCert(t *testing.T, args ...string) {
	t.Helper()
	if _, said, err := command(t, nil, append([]string{"cert"}, args...)...); err != nil {
		t.Fatalf("hookwheel cert %s: %v\n%s", strings.Join(args, " "), err, said)
	}
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

// tlsConfigFile writes the configuration of a node with TLS everywhere, whose certificates are in
// dir.
func tlsConfigFile(t *testing.T, dir string, base, node, nodes int) (path string) {
	t.Helper()
	var text strings.Builder
	fmt.Fprintf(&text, "node = \"n%d\"\ndata = %q\nstorage { min_free = 1 }\n", node, t.TempDir())
	fmt.Fprintf(&text, "api {\n listen = %q\n token = %q\n drain = \"5m\"\n tls {\n  cert = %q\n  key = %q\n }\n}\n",
		process.NodeAddress(base, node), systemToken, filepath.Join(dir, "api.pem"), filepath.Join(dir, "api-key.pem"))
	fmt.Fprintf(&text, "cluster {\n secret = \"0123456789abcdef\"\n%s\n", certs.TLSBlock(dir, fmt.Sprint("n", node), " "))
	for i := 1; i <= nodes; i++ {
		fmt.Fprintf(&text, " peer \"n%d\" { address = %q }\n", i, process.PeerAddress(base, i))
	}
	text.WriteString("}\n")
	path = filepath.Join(t.TempDir(), "hookwheel.hcl")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// Three processes with certificates that "hookwheel cert" has made, and their end by signals.
func TestServeWithTLS(t *testing.T) {
	t.Parallel()
	const nodes = 3
	dir := makeCerts(t, "n1", "n2", "n3")
	mustCert(t, "api", "--host", "127.0.0.1", "--ca", dir, "--out", dir)
	base := process.FreePorts(t, nodes)
	var processes []*process.Process
	for i := 1; i <= nodes; i++ {
		processes = append(processes, process.Start(t, "serve", "--config", tlsConfigFile(t, dir, base, i, nodes)))
	}
	c := newCaller(t, base, nodes)
	pool := x509.NewCertPool()
	pem, err := os.ReadFile(filepath.Join(dir, certs.CAFile))
	if err != nil || !pool.AppendCertsFromPEM(pem) {
		t.Fatal(err)
	}
	c.http.Transport = apitest.Transport{T: t, Next: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	for i, url := range c.nodes {
		c.nodes[i] = strings.Replace(url, "http:", "https:", 1)
	}
	status := func() bool {
		cmd := cli.New("test")
		cmd.SetOut(new(bytes.Buffer))
		cmd.SetArgs([]string{"cluster", "status", "--url", c.nodes[0], "--token", systemToken, "--ca", filepath.Join(dir, certs.CAFile)})
		return cmd.Execute() == nil
	}
	wait.For(t, "a cluster of three", status)
	c.must(t, 1, "POST", "/app", `{"name": "Demo", "uid": "demo"}`, http.StatusCreated, nil)

	post := func(node int) (reply, error) {
		return c.call(node, "POST", "/app/demo/msg", `{"eventType": "a.b", "payload": {}}`)
	}
	for _, p := range processes {
		if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	for node := 1; node <= nodes; node++ {
		wait.For(t, "a node that says that it stops", func() bool {
			r, err := c.call(node, "GET", "/health", "")
			return err == nil && r.status == http.StatusServiceUnavailable && bytes.Contains(r.body, []byte(`"status":"stopping"`))
		})
		if r, err := post(node); err != nil || r.status != http.StatusAccepted {
			t.Errorf("while n%d stops: %d %s, %v", node, r.status, r.body, err)
		}
	}
	for _, p := range processes {
		if code := p.Stop(t); code != -1 { // long before its drain is over
			t.Errorf("after the second signal it ended with exit code %d", code)
		}
	}
}

func TestServeRefusesCertificates(t *testing.T) {
	t.Parallel()
	dir := makeCerts(t, "n1", "api")
	if err := os.Rename(filepath.Join(makeCerts(t), certs.CAFile), filepath.Join(dir, certs.CAFile)); err != nil {
		t.Fatal(err)
	}
	p := process.Start(t, "serve", "--config", tlsConfigFile(t, dir, process.FreePorts(t, 1), 1, 1))
	select {
	case <-p.Ended:
	case <-time.After(process.StopLimit):
		t.Fatal("it does not end")
	}
	log, err := os.ReadFile(p.Log)
	if err != nil {
		t.Fatal(err)
	}
	want := "hookwheel: TLS between nodes: the certificate " + filepath.Join(dir, "n1.pem") + " is not vouched for by the CA in "
	if code := p.Cmd.ProcessState.ExitCode(); code != 1 || !bytes.Contains(log, []byte(want)) {
		t.Errorf("exit code %d:\n%s", code, log)
	}
}

// TestFolderInUse starts a second process in a data folder: it names the cause and the way out,
// and does not disturb the first.
func TestFolderInUse(t *testing.T) {
	t.Parallel() // serve waits ten seconds for the lock, in case the other process has just been killed
	base := process.FreePorts(t, 2)
	data := t.TempDir()
	first := process.Start(t, "dev", "--listen", process.NodeAddress(base, 1), "--data", data, "--token", systemToken)
	c := newCaller(t, base, 1)
	c.awaitHealth(t, 1)

	config := filepath.Join(t.TempDir(), "serve.hcl")
	text := fmt.Sprintf("node = %q\ndata = %q\napi {\n  listen = %q\n  token = %q\n}\n", "n1", data, process.NodeAddress(base, 2), systemToken)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		want string
		args []string
	}{
		{"another hookwheel dev runs in " + data + ": stop that one, or choose another folder with --data",
			[]string{"dev", "--listen", process.NodeAddress(base, 2), "--data", data}},
		{"another hookwheel dev runs in " + data, []string{"dev", "--nodes", "3", "--listen", process.NodeAddress(base, 2), "--data", data}},
		{"another hookwheel process is using this folder: stop that one first", []string{"serve", "--config", config}},
	} {
		out, err := process.Command(process.Context(t), test.args...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), test.want) {
			t.Errorf("%v: %v, %s; want %s", test.args, err, out, test.want)
		}
	}
	if !first.IsAlive() {
		t.Error("the first process has ended")
	}
}
