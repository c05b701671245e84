package httpapi_test

import (
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"hookwheel/config"
	"hookwheel/systemtest/wait"
)

// requestWith makes a request with further headers, and returns the request ID of its response.
func (a *api) requestWith(method, path, token string, header ...string) string {
	a.t.Helper()
	request, err := http.NewRequest(method, a.url+path, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, _ := a.do(request)
	return response.Header.Get("X-Request-Id")
}

func TestRequestID(t *testing.T) {
	a := apiStart(t)
	for sent, accepted := range map[string]bool{"0f8fad5b-d9cb-469f-a165-70867728950e": true, "A_b.9": true, strings.Repeat("a", 64): true,
		strings.Repeat("a", 65): false, "a b": false, "ä": false, `"`: false, apiToken: false, "x" + apiToken: false, apiToken[2:9]: false} {
		got := a.requestWith("GET", "/api/v1/app", apiToken, "X-Request-Id", sent)
		if (got == sent) != accepted || got == "" {
			t.Errorf("the request ID %q becomes %q", sent, got)
		}
	}
	if got := a.requestWith("GET", "/api/v1/app", apiToken, "svix-req-id", "815"); got != "815" {
		t.Errorf("the ID of a Svix SDK becomes %q", got)
	}
	first, second := a.requestWith("GET", "/nowhere", "wrong"), a.requestWith("GET", "/api/v1/app", "wrong")
	if first == "" || second == "" || first == second {
		t.Errorf("new IDs are %q and %q", first, second)
	}
	if unread := a.rawHeader("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"); unread.Header.Get("X-Request-Id") == "" {
		t.Errorf("a request that is malformed gets no ID: %v", unread)
	}
}

// A secret that a client puts into the wrong header is not repeated in the response, nor logged.
// Nobody learns from a response what is part of a secret.
func TestRequestIDIsNoSecret(t *testing.T) {
	var log wait.Log
	secret := rand.Text()
	a := apiStartLogging(t, slog.New(slog.NewJSONHandler(&log, nil)), func(c *config.Config) { c.API.AccessLog, c.API.JWTSecret = true, secret })
	for _, path := range []string{"/api/v1/app", "/nowhere"} {
		for _, authorization := range []string{"", apiToken, "Basic " + apiToken, "Bearer wrong-token"} {
			for _, header := range []string{"X-Request-Id", "Svix-Req-Id"} {
				for id, accepted := range map[string]bool{apiToken: false, secret: false, apiToken[2:9]: true, secret[:9]: true} {
					request, err := http.NewRequest("GET", a.url+path, nil)
					if err != nil {
						t.Fatal(err)
					}
					request.Header.Set("Authorization", authorization)
					request.Header.Set(header, id)
					if response, _ := a.do(request); (response.Header.Get("X-Request-Id") == id) != accepted {
						t.Errorf("%s with %q: the ID %q becomes %q", path, authorization, id, response.Header.Get("X-Request-Id"))
					}
				}
			}
		}
	}
	if err := a.node.Close(); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), secret[:9]) {
		t.Error("nothing was logged")
	}
	for _, s := range []string{apiToken, secret} {
		if strings.Contains(log.String(), s) {
			t.Errorf("the log has %s", s)
		}
	}
}

func TestAccessLog(t *testing.T) {
	var log wait.Log
	a := apiStartLogging(t, slog.New(slog.NewJSONHandler(&log, nil)), func(c *config.Config) { c.API.AccessLog = true })
	a.call("POST", "/app", `{"name":"Acme","uid":"acme-of-the-test"}`, 201, nil)
	key := a.newKey(`{"name":"reader-of-the-test","role":"reader"}`)
	a.requestWith("GET", "/api/v1/app/acme-of-the-test?secret=in-the-query", key.Token, "X-Request-Id", "one")
	a.requestWith("DELETE", "/api/v1/app/acme-of-the-test", key.Token, "X-Request-Id", "two")
	a.requestWith("GET", "/api/v1/app/acme-of-the-test", "wrong-token", "X-Request-Id", "three")
	a.requestWith("GET", "/nowhere/acme-of-the-test", apiToken, "X-Request-Id", "four")
	a.requestWith("GET", "/api/v1/key", apiToken, "X-Request-Id", "five")
	type line struct {
		Msg, Method, Route, RequestID, Caller, Role, Key string
		Status, Bytes                                    int
		Milliseconds                                     float64
	}
	found := make(map[string]line)
	wait.For(t, "all requests are logged", func() bool { // a response may be read before its line is written
		for text := range strings.Lines(log.String()) {
			var l line
			if json.Unmarshal([]byte(text), &l) == nil && l.Msg == "request" {
				found[l.RequestID] = l
			}
		}
		return found["five"].Status != 0
	})
	for id, want := range map[string]line{
		"one":   {Method: "GET", Route: "/api/v1/app/{app}", Status: 200, Caller: "key", Role: "reader", Key: key.ID},
		"two":   {Method: "DELETE", Route: "/api/v1/app/{app}", Status: 403, Caller: "key", Role: "reader", Key: key.ID},
		"three": {Method: "GET", Route: "/api/v1/app/{app}", Status: 401},
		"four":  {Method: "GET", Status: 404},
		"five":  {Method: "GET", Route: "/api/v1/key", Status: 200, Caller: "configuration", Role: "admin"},
	} {
		got := found[id]
		if got.Bytes == 0 || got.Milliseconds <= 0 {
			t.Errorf("%s: %d bytes in %v ms", id, got.Bytes, got.Milliseconds)
		}
		want.Msg, want.RequestID, want.Bytes, want.Milliseconds = "request", id, got.Bytes, got.Milliseconds
		if got != want {
			t.Errorf("%s is logged as %+v, want %+v", id, got, want)
		}
	}
	for _, private := range []string{"of-the-test", "in-the-query", "wrong-token", key.Token, apiToken} {
		if strings.Contains(log.String(), private) {
			t.Errorf("the log has %s", private)
		}
	}
}
