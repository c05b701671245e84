package httpapi_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A reader that takes nothing, or goes away, does not hold the store, and the node can stop.
func TestBackupToSlowReader(t *testing.T) {
	a := apiStart(t)
	a.call("POST", "/app", `{"name": "n", "uid": "demo"}`, http.StatusCreated, nil)
	for range 200 {
		a.call("POST", "/app/demo/msg", `{"eventType": "a", "payload": {"p": "`+strings.Repeat("x", 60_000)+`"}}`, http.StatusAccepted, nil)
	}
	connect := func() net.Conn {
		conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, "GET /api/v1/cluster/backup HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+apiToken+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	gone := connect()
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	slow := connect()
	defer slow.Close()
	begin := time.Now()
	if err := a.node.Close(); err != nil && !strings.Contains(err.Error(), "still under way") {
		t.Error(err)
	}
	if took := time.Since(begin); took > 25*time.Second {
		t.Errorf("the node took %s to stop", took)
	}
	if _, err := io.Copy(io.Discard, slow); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Error(err)
	}
}
