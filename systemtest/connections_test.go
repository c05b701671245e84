package systemtest

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"hookwheel/systemtest/process"
	"hookwheel/systemtest/wait"
)

// occupy opens connections, sends the text on each, and keeps them open.
func occupy(t *testing.T, address string, number int, text string) {
	for range number {
		c, err := net.DialTimeout("tcp", address, 10*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := io.WriteString(c, text); err != nil && !strings.Contains(err.Error(), "reset") {
			t.Fatal(err)
		}
	}
}

// Neither strangers nor a customer can lock anybody out by opening all connections that a node
// may have.
func TestConnectionsOccupied(t *testing.T) {
	t.Parallel()
	address := process.NodeAddress(process.FreePorts(t, 1), 1)
	dev := process.Command(process.Context(t), "dev", "--data", t.TempDir(), "--listen", address, "--token", systemToken)
	cmd := exec.CommandContext(process.Context(t), "sh", append([]string{"-c", `ulimit -n 1612; exec "$@"`, "sh"}, dev.Args...)...)
	cmd.Env = dev.Env
	process.StartCommand(t, cmd)
	call := func(client *http.Client, method, path, body string) (status int, text []byte, err error) {
		request, err := http.NewRequest(method, "http://"+address+"/api/v1"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+systemToken)
		response, err := client.Do(request)
		if err != nil {
			return 0, nil, err
		}
		defer response.Body.Close()
		text, err = io.ReadAll(response.Body)
		return response.StatusCode, text, err
	}
	kept := &http.Client{Timeout: callLimit, Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
	fresh := &http.Client{Timeout: callLimit, Transport: &http.Transport{DisableKeepAlives: true}}
	wait.For(t, "the node serves", func() bool {
		status, _, err := call(kept, "POST", "/app", `{"name": "Acme", "uid": "acme"}`)
		return err == nil && status == http.StatusCreated
	})
	var access struct{ Token string }
	if _, text, err := call(kept, "POST", "/auth/app-portal-access/acme", "{}"); err != nil || json.Unmarshal(text, &access) != nil {
		t.Fatalf("%v %s", err, text)
	}
	for _, c := range []struct{ name, text string }{
		{"silent", ""},
		{"half a header", "GET /api/v1/app HTTP/1.1\r\nX-"},
		{"a customer's", "GET /api/v1/app/acme HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + access.Token + "\r\n\r\n"},
	} {
		occupy(t, address, 500, c.text)
		for range 20 {
			if status, _, err := call(fresh, "GET", "/app", ""); err != nil || status != http.StatusOK {
				t.Errorf("%s: a new connection: %d, %v", c.name, status, err)
			}
			if status, _, err := call(kept, "GET", "/app", ""); err != nil || status != http.StatusOK {
				t.Errorf("%s: one that has been open: %d, %v", c.name, status, err)
			}
		}
	}
}
