package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// batchNode takes batches, refuses messages without an event type, and is unavailable the first
// time.
type batchNode struct {
	t        *testing.T
	keys     []string
	messages []string
}

func (n *batchNode) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil || request.URL.Path != "/api/v1/app/acme/msg/batch" {
		n.t.Error(request.URL, err)
	}
	n.keys = append(n.keys, request.Header.Get("Idempotency-Key"))
	if len(n.keys) == 1 {
		w.WriteHeader(503)
		io.WriteString(w, `{"code":"unavailable","detail":"no leader"}`)
		return
	}
	var list []json.RawMessage
	if err := json.Unmarshal(body, &list); err != nil || len(list) > batchMessages {
		n.t.Error(len(list), err)
	}
	var results []string
	for i, m := range list {
		n.messages = append(n.messages, string(m))
		result := fmt.Sprintf(`{"id":"msg_%d"}`, len(n.messages))
		if !bytes.Contains(m, []byte("eventType")) {
			result = fmt.Sprintf(`{"errors":[{"loc":["body","[%d]","eventType"],"msg":"is missing","type":"value_error"}]}`, i)
		}
		results = append(results, result)
	}
	w.WriteHeader(202)
	io.WriteString(w, "["+strings.Join(results, ",")+"]")
}

func TestSendBatch(t *testing.T) {
	var items []string
	for i := range 2500 {
		items = append(items, fmt.Sprintf(`{ "eventType":"a","payload":{"n":%d.0} }`, i))
	}
	items[1200] = `{"payload":{}}`
	for name, text := range map[string]string{"lines": strings.Join(items, "\n"), "array": " [" + strings.Join(items, " ,\n") + "]\n"} {
		node := &batchNode{t: t}
		server := httptest.NewServer(node)
		defer server.Close()
		file := filepath.Join(t.TempDir(), "batch")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		root := New("test")
		root.SetOut(&out)
		root.SetErr(&errs)
		root.SetArgs([]string{"message", "send", "acme", "--batch", file, "--key", "k", "--json", "--url", server.URL, "--token", "0123456789abcdef"})
		err := root.Execute()
		if err == nil || exitCode(err) != exitFailed || !strings.Contains(err.Error(), "1 of 2500 messages were refused") {
			t.Errorf("%s: %v", name, err)
		}
		if got := fmt.Sprint(node.keys); got != "[k-0 k-0 k-1000 k-2000]" {
			t.Errorf("%s: keys %s", name, got)
		}
		if strings.Join(node.messages, "\n") != strings.Join(items, "\n") {
			t.Errorf("%s: other messages were sent", name)
		}
		if want := "message 1201: eventType: is missing\n2499 accepted, 1 refused\n"; !strings.HasPrefix(errs.String(), want) {
			t.Errorf("%s: stderr %q", name, errs.String())
		}
		if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); len(lines) != 2500 || lines[2499] != `{"id":"msg_2500"}` {
			t.Errorf("%s: stdout has %d lines", name, len(lines))
		}
	}
}

// What is not JSON is not sent, and the error says where it is.
func TestSendBatchOfNoJSON(t *testing.T) {
	for text, want := range map[string]string{
		"{}\n{]":  "message 2: invalid character",
		"[{},{}":  "the array does not end",
		"[{}] {}": "something follows the array",
		"{}\n{":   "message 2: unexpected EOF",
	} {
		node := &batchNode{t: t, keys: []string{""}}
		server := httptest.NewServer(node)
		root := New("test")
		root.SetOut(io.Discard)
		root.SetErr(io.Discard)
		root.SetIn(strings.NewReader(text))
		root.SetArgs([]string{"message", "send", "acme", "--batch", "-", "--url", server.URL, "--token", "0123456789abcdef"})
		if err := root.Execute(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		server.Close()
	}
}
