package httpapi_test

import (
	"bytes"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"testing"
	"time"

	"hookwheel/config"
	"hookwheel/systemtest/wait"
)

// Each security event is counted and logged.
func TestAudit(t *testing.T) {
	var log wait.Log
	a := apiStartLogging(t, slog.New(slog.NewJSONHandler(&log, nil)), func(c *config.Config) { c.Portal.Listen = "127.0.0.1:0" })
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"http://127.0.0.1:9/","uid":"e"}`, 201, nil)
	key := a.newKey(`{"name":"shop","role":"reader"}`)
	a.call("DELETE", "/key/"+key.ID, "", 204, nil)
	a.call("POST", "/auth/app-portal-access/acme", "", 200, nil)
	a.call("POST", "/auth/app/acme/expire-all", "", 204, nil)
	a.call("GET", "/app/acme/endpoint/e/secret", "", 200, nil)
	a.raw("GET", "/api/v1/cluster/backup", "Bearer "+apiToken, nil)
	a.call("DELETE", "/app/acme", "", 204, nil)
	for range 50 {
		a.raw("GET", "/api/v1/app", "Bearer wrong", nil)
	}
	a.at(a.node.PortalAddr()).raw("GET", "/api/v1/app/acme", "Bearer "+apiToken, nil) // which customers do not have
	_, metrics := a.raw("GET", "/metrics", "", nil)
	for event, count := range map[string]string{"token_refused": "51", "key_created": "2", "key_revoked": "1", "tokens_expired": "2", "secret_read": "1", "backup_read": "1"} {
		if line := `hookwheel_security_events_total{event="` + event + `"} ` + count + "\n"; !strings.Contains(string(metrics), line) {
			t.Errorf("the metrics lack %s", line)
		}
		if !strings.Contains(log.String(), `"event":"`+event+`"`) {
			t.Errorf("the log lacks %s", event)
		}
	}
	if lines := strings.Count(log.String(), "token_refused"); lines > 20 {
		t.Errorf("50 refused tokens have %d lines", lines)
	}
	for _, name := range []string{"acme", "shop", "app_", "ep_"} {
		if strings.Contains(string(metrics), name) {
			t.Errorf("the metrics, which need no token, have %q", name)
		}
	}
}

// tokenAsID matches a request whose ID contains "$", the placeholder of the token.
var tokenAsID = regexp.MustCompile(`(?i)req(uest)?-id:[^\n]*\$`)

// FuzzLog sends any bytes with a token in them to a node that logs all it can: the token does not
// get into the log, unless the client has it log a token as the ID of a request that it does not
// present as its token.
func FuzzLog(f *testing.F) {
	const token = "s3cret-0f-an-0perator"
	var log wait.Log
	node := apiStartLogging(f, slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), func(c *config.Config) { c.API.AccessLog = true })
	const bearer = "Host: x\r\nAuthorization: Bearer $\r\n"
	for _, seed := range []string{
		"GET /api/v1/app HTTP/1.1\r\n" + bearer + "\r\n",
		"GET /api/v1/app HTTP/1.1\r\n" + bearer + "X-Request-Id: $\r\n\r\n",
		"GET /api/v1/app HTTP/1.1\r\n" + bearer + "Svix-Req-Id: a-$-b\r\n\r\n",
		"GET /api/v1/app/$ HTTP/1.1\r\nHost: x\r\nX-Request-Id: $ $\r\nAuthorization: Bearer " + apiToken + "\r\n\r\n",
		"POST /api/v1/app HTTP/1.1\r\n" + bearer + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n{\"a\":",
		"POST /api/v1/app HTTP/1.1\r\n" + bearer + "Content-Length: $\r\n\r\n",
		"POST /api/v1/app HTTP/1.1\r\n" + bearer + "Transfer-Encoding: chunked\r\n\r\n$\r\n$",
		"POST /api/v1/app HTTP/1.1\r\n" + bearer + "Transfer-Encoding: $\r\n\r\n",
		"POST /api/v1/app HTTP/1.1\r\n" + bearer + "Content-Type: multipart/form-data; boundary=$\r\nContent-Length: 10\r\n\r\n0123456789",
		"GET /api/v1/$ HTTP/1.1\r\n" + bearer + "\r\n", "GET /$?key=$ HTTP/9.$\r\n\r\n", "$ / HTTP/1.1\r\n\r\n", "GET / $\r\n\r\n", "$", "\r\n$\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: $\r\nHost: $\r\n$: $\r\n\r\n", "GET / HTTP/1.1\r\n $: x\r\nA\x00$: b\r\n\r\n", "GET http://$@$/ HTTP/1.1\r\n\r\n",
		"CONNECT $:1 HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nX: " + strings.Repeat("$", 3000) + "\r\n\r\n",
		"DELETE /api/v1/cluster/members/$ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + apiToken + "\r\n\r\n",
		"POST /api/v1/app/$/msg HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + apiToken + "\r\nContent-Length: 1\r\n\r\n{",
		"GET /api/v1/tail?app=$&from=$ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + apiToken + "\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, request []byte) {
		if tokenAsID.Match(request) && !bytes.Contains(request, []byte(bearer)) {
			t.Skip()
		}
		a := &api{t, node.url, node.node}
		conn := a.dialRaw()
		if err := conn.SetDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		_, _ = conn.Write(bytes.ReplaceAll(request, []byte("$"), []byte(token))) // a node may end the connection early
		_, _ = io.Copy(io.Discard, conn)
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(log.String()) {
			if strings.Contains(line, token) || strings.Contains(line, apiToken) {
				t.Fatalf("%q, or a request before it, has a token logged: %s", request, line)
			}
		}
	})
}
