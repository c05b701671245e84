package httpapi_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hookwheel/cli"
	"hookwheel/config"
	"hookwheel/config/certs"
	"hookwheel/systemtest/wait"
)

// startWithTLS returns an API with HTTPS, the folder of its certificate and its CA, and what runs
// "hookwheel cert".
func startWithTLS(t *testing.T) (a *api, dir string, cert func(args ...string)) {
	t.Helper()
	cert = func(args ...string) {
		t.Helper()
		cmd := cli.New("test")
		cmd.SetOut(io.Discard)
		cmd.SetArgs(append([]string{"cert"}, args...))
		if err := cmd.Execute(); err != nil {
			t.Fatal(err)
		}
	}
	dir = filepath.Join(t.TempDir(), "certs")
	cert("ca", "--out", dir)
	cert("api", "--host", "127.0.0.1", "--ca", dir, "--out", dir)
	return apiStart(t, func(c *config.Config) {
		c.API.TLS = certs.Files{Cert: filepath.Join(dir, "api.pem"), Key: filepath.Join(dir, "api-key.pem")}
	}), dir, cert
}

// The API speaks TLS, and new connections get the new certificate while others go on.
func TestAPIWithTLS(t *testing.T) {
	a, dir, cert := startWithTLS(t)
	pool := x509.NewCertPool()
	pem, err := os.ReadFile(filepath.Join(dir, certs.CAFile))
	if err != nil || !pool.AppendCertsFromPEM(pem) {
		t.Fatal(err)
	}
	url := "https://" + a.node.Addr() + "/api/v1/health"
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	get := func(transport *http.Transport) string {
		t.Helper()
		response, err := (&http.Client{Transport: transport}).Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			t.Error(err)
		}
		return response.TLS.PeerCertificates[0].SerialNumber.String()
	}
	first := get(transport)

	renewed := t.TempDir()
	cert("api", "--host", "127.0.0.1", "--ca", dir, "--out", renewed)
	for _, file := range []string{"api-key.pem", "api.pem"} {
		if err := os.Rename(filepath.Join(renewed, file), filepath.Join(dir, file)); err != nil {
			t.Fatal(err)
		}
	}
	fresh := func() string {
		own := transport.Clone()
		defer own.CloseIdleConnections()
		return get(own)
	}
	wait.For(t, "a new certificate on new connections", func() bool { return fresh() != first })
	if get(transport) != first {
		t.Error("the old connection was not kept")
	}

	if _, err := http.Get(url); err == nil {
		t.Error("a client that does not know the CA accepts the certificate")
	}
}

// A body in small chunks is accepted as without TLS, which makes each of its bytes many.
func TestSmallChunksWithTLS(t *testing.T) {
	a, _, _ := startWithTLS(t)
	conn, err := tls.Dial("tcp", a.node.Addr(), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	write := func(text string) {
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
	}
	write("POST /api/v1/app HTTP/1.1\r\n" + rawAuthorization + "Transfer-Encoding: chunked\r\n\r\n")
	const chunk = 5
	body := `{"name":"a","uid":"a"}` + strings.Repeat(" ", 40_000)
	for ; body != ""; body = body[min(chunk, len(body)):] {
		part := body[:min(chunk, len(body))]
		write(fmt.Sprintf("%x\r\n", len(part)))
		write(part)
		write("\r\n")
	}
	write("0\r\n\r\n")
	if response, reply := a.readResponse(bufio.NewReader(conn)); response.StatusCode != 201 {
		t.Errorf("%s %s", response.Status, reply)
	}
}

// Plain HTTP on the port of HTTPS is told so, whatever is sent.
func TestPlainHTTPOnTLS(t *testing.T) {
	a, _, _ := startWithTLS(t)
	a.url = "http://" + a.node.Addr()
	for _, text := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "DELETE /api/v1/app/a HTTP/1.1\r\n" + rawAuthorization + "\r\n",
		"POST /api/v1/app HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + strings.Repeat(" ", 100_000)} {
		response, body := a.exchange(text)
		if response.StatusCode != 400 || !strings.Contains(body, "HTTPS") || !json.Valid([]byte(body)) {
			t.Errorf("%.20q: %s %s", text, response.Status, body)
		}
	}
}
