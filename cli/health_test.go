package cli

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestHealth asks a server that responds as a node does, found by its URL and by a configuration
// whose address has no host.
func TestHealth(t *testing.T) {
	status, body := http.StatusOK, `{"status": "ok", "node": "n1", "state": "leader"}`
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/health" {
			t.Errorf("it asks for %s", r.URL)
		}
		w.WriteHeader(status)
		io.WriteString(w, body)
	}))
	defer server.Close()
	t.Setenv("HOOKWHEEL_API_TOKEN", "0123456789abcdef")
	t.Setenv("HOOKWHEEL_API_LISTEN", server.URL[strings.LastIndex(server.URL, ":"):])
	for _, args := range [][]string{{"health"}, {"health", "--url", server.URL}} {
		if out, err := run(t, args...); err != nil || out != "node n1, leader: ok\n" {
			t.Errorf("%v: %q, %v", args, out, err)
		}
	}
	status, body = http.StatusServiceUnavailable, `{"status": "no leader", "node": "n1"}`
	if _, err := run(t, "health"); err == nil || err.Error() != "node n1 can't serve: no leader" || exitCode(err) != exitFailed {
		t.Errorf("without a leader: %v", err)
	}
	status, body = http.StatusOK, "<html>"
	if _, err := run(t, "health"); err == nil || !strings.Contains(err.Error(), "not as a node does") {
		t.Errorf("from something else: %v", err)
	}
	server.Close()
	if _, err := run(t, "health"); err == nil || exitCode(err) != exitNoConnection {
		t.Errorf("from nothing: %v", err)
	}
	t.Setenv("HOOKWHEEL_API_TOKEN", "short")
	if _, err := run(t, "health"); err == nil || !strings.Contains(err.Error(), "HOOKWHEEL_API_TOKEN") {
		t.Errorf("with a wrong configuration: %v", err)
	}
}

// The node's certificate is for the names that clients use, not for the address that it has here.
func TestHealthTLS(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `{"status": "ok", "node": "n1", "state": "follower"}`)
	}))
	defer server.Close()
	t.Setenv("HOOKWHEEL_API_TOKEN", "0123456789abcdef")
	t.Setenv("HOOKWHEEL_API_LISTEN", strings.TrimPrefix(server.URL, "https://"))
	t.Setenv("HOOKWHEEL_API_TLS_CERT", "api.pem")
	t.Setenv("HOOKWHEEL_API_TLS_KEY", "api-key.pem")
	if out, err := run(t, "health"); err != nil || out != "node n1, follower: ok\n" {
		t.Errorf("%q, %v", out, err)
	}
}
