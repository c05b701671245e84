package cli

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// A name that can't be in a path is refused before anything is sent: a proxy might turn the path
// into another one.
func TestClientRefusesDotSegments(t *testing.T) {
	c := client{urls: []string{"http://127.0.0.1:1"}, token: "none"}
	for _, name := range []string{"", ".", ".."} {
		for _, path := range []string{apiPath("/app/%s", name), apiPath("/app/acme/endpoint/%s", name), apiPath("/app/%s/endpoint/e", name), apiPath("/app/%s", name) + "?limit=1"} {
			err := c.call(context.Background(), "DELETE", path, nil, nil)
			if want := `"` + name + `" can't be an id or a uid`; err == nil || err.Error() != want {
				t.Errorf("%s: %v, want %s", path, err, want)
			}
		}
	}
	if err := checkPath(apiPath("/app/%s/endpoint/%s", "a/../b", "...")); err != nil {
		t.Error(err)
	}
}

// A node that can't be reached is passed over, and not asked again. A change that a node may have
// executed is sent to another one only with the idempotency key that it had before.
func TestClientTriesTheNextNode(t *testing.T) {
	var served atomic.Int32
	keys := make(chan string, 100)
	good := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		served.Add(1)
		keys <- request.Header.Get("Idempotency-Key")
		if body, err := io.ReadAll(request.Body); err != nil || request.Method == "POST" && string(body) != `{"a":1}` {
			t.Errorf("the body is %s, %v", body, err)
		}
		io.WriteString(w, `{}`)
	}))
	defer good.Close()
	dying := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, request *http.Request) {
		keys <- request.Header.Get("Idempotency-Key")
		panic(http.ErrAbortHandler)
	}))
	defer dying.Close()
	address := strings.TrimPrefix(good.URL, "http://")

	c := client{urls: []string{closedPort(t), address}, token: "x"}
	for range 2 {
		if err := c.call(t.Context(), "POST", "/app", map[string]any{"a": 1}, nil); err != nil {
			t.Error(err)
		}
	}
	c = client{urls: []string{dying.URL, good.URL}, token: "x"}
	if err := c.call(t.Context(), "GET", "/app", nil, nil); err != nil {
		t.Error(err)
	}
	for len(keys) > 0 {
		<-keys
	}
	c = client{urls: []string{dying.URL, good.URL}, token: "x"}
	if err := c.call(t.Context(), "POST", "/app", map[string]any{"a": 1}, nil); err != nil {
		t.Error(err)
	}
	if first, second := <-keys, <-keys; first != second || len(first) < 20 {
		t.Errorf("idempotency keys %q and %q", first, second)
	}
	before := served.Load()
	for _, method := range []string{"PATCH", "DELETE"} {
		c = client{urls: []string{dying.URL, good.URL}, token: "x"}
		if err := c.call(t.Context(), method, "/app/a", nil, nil); err == nil || served.Load() != before {
			t.Errorf("%s was sent to a second node: %v", method, err)
		}
	}
	c = client{urls: []string{closedPort(t), closedPort(t)}, token: "x"}
	if err := c.call(t.Context(), "GET", "/app", nil, nil); err == nil || strings.Count(err.Error(), "no response from") != 2 {
		t.Errorf("both nodes are down: %v", err)
	}
}

func TestCompletion(t *testing.T) {
	var mu sync.Mutex
	asked := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		mu.Lock()
		asked[request.URL.Path] = true
		mu.Unlock()
		switch request.URL.Path {
		case "/api/v1/app":
			io.WriteString(w, `{"data": [{"id": "app_1", "uid": "acme", "name": "Acme\u001b[2J"}, {"id": "app_2", "name": "B"}, {"id":"x;rm","name":""}], "done": true}`)
		case "/api/v1/app/acme/endpoint":
			io.WriteString(w, `{"data": [{"id": "ep_1", "uid": "billing", "url": "http://x/"}], "done": true}`)
		case "/api/v1/app/flags/endpoint": // a customer chose it
			io.WriteString(w, `{"data": [{"id": "ep_2", "uid": "--token", "url": "b"}], "done": true}`)
		case "/api/v1/event-type":
			io.WriteString(w, `{"data": [{"name": "invoice.paid"}, {"name": "user.made"}], "done": true}`)
		default:
			w.WriteHeader(404)
		}
	}))
	defer server.Close()
	for line, want := range map[string]string{
		"app get|":                           "acme\tAcme\\x1b[2J\napp_2\tB\n",
		"app get|ap":                         "app_1\tAcme\\x1b[2J\napp_2\tB\n",
		"endpoint get acme|":                 "billing\thttp://x/\n",
		"endpoint get acme billing|":         "",
		"endpoint delete flags|":             "ep_2\tb\n",
		"message send acme|inv":              "invoice.paid\n",
		"attempt list acme --endpoint|":      "billing\thttp://x/\n",
		"tail --app acme --endpoint|":        "billing\thttp://x/\n",
		"tail --app|ac":                      "acme\tAcme\\x1b[2J\n",
		"endpoint create acme --event-type|": "invoice.paid\nuser.made\n",
		"endpoint list gone --limit 3|":      "",
		"endpoint get gone|":                 "", // the server does not know it
	} {
		words, prefix, _ := strings.Cut(line, "|")
		args := append([]string{"__complete"}, strings.Fields(words)...)
		args = append(args, "--url", server.URL, "--token", "x", prefix)
		if flag := strings.Fields(words)[len(strings.Fields(words))-1]; strings.HasPrefix(flag, "--") { // stays before its value
			args = append([]string{"__complete"}, strings.Fields(words)[:len(strings.Fields(words))-1]...)
			args = append(args, "--url", server.URL, "--token", "x", flag, prefix)
		}
		out, err := run(t, args...)
		got, _, _ := strings.Cut(out, ":") // then a number, for the shell
		if strings.Contains(want, ":") {
			got = out[:strings.LastIndex(out, ":")]
		}
		if err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", line, got, err, want)
		}
	}
	if out, err := run(t, "__complete", "app", "get", "--url", closedPort(t), "--token", "x", ""); err != nil || !strings.HasPrefix(out, ":") {
		t.Errorf("without a server: %q, %v", out, err)
	}
}

// Colors are for terminals whose users want them.
func TestColors(t *testing.T) {
	if hasColors(io.Discard) {
		t.Error("what is not a terminal gets colors")
	}
}
