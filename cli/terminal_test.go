package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// hostile is what an attacker would send to a terminal: it clears the screen, sets the title and
// the clipboard, reverses the text, and begins a control sequence in C1 and in a broken byte.
const hostile = "a\x1b[2J\x1b]0;PWNED\a\u009b31m\u202eevil\u2066\x7f\b\rz\u2028"

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"plain":        "plain",
		"Bücher 本 👩‍💻": "Bücher 本 👩‍💻",
		"\x1b[2J":      `\x1b[2J`,
		"a\tb\nc\r":    `a\tb\nc\x0d`,
		"\u009b2J":     `\u009b2J`,
		"\u202egnp":    `\u202egnp`,
		"\xff\xc0":     `\xff\xc0`,
		"\U000e0041":   `\udb40\udc41`,
		"no\u00a0wrap": "no\u00a0wrap",
	} {
		if got := printable(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add(hostile)
	f.Fuzz(func(t *testing.T, text string) {
		if safe := printable(text); strings.ContainsFunc(safe, unsafe) {
			t.Errorf("%q leaves %q", text, safe)
		}
		var before, after any
		exact, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		safe := printableJSON(exact)
		if err := json.Unmarshal(safe, &after); err != nil || json.Unmarshal(exact, &before) != nil || before != after {
			t.Errorf("%q became %s, which is %q: %v", text, safe, after, err)
		}
		if strings.ContainsFunc(string(safe), unsafe) {
			t.Errorf("%q leaves %q", text, safe)
		}
	})
}

// hostileServer responds to each request with hostile text in every field that commands show.
func hostileServer(t *testing.T, status int) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		item := map[string]any{}
		for _, name := range []string{"id", "uid", "name", "url", "msgId", "endpointId", "statusText", "response", "eventType", "description", "text", "key", "state", "detail", "code"} {
			item[name] = hostile
		}
		item["channels"], item["metadata"] = []string{hostile}, map[string]string{hostile: hostile}
		item["health"] = map[string]string{"text": hostile, "state": hostile}
		item["payload"] = map[string]string{hostile: hostile}
		text, err := json.Marshal(item)
		if err != nil {
			t.Error(err)
		}
		// encoding/json escapes what a hostile server would send as it is.
		page := fmt.Appendf(nil, `{"data":[%s],"done":true,%s`, text, text[1:])
		w.WriteHeader(status)
		w.Write(page)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// Text from others is escaped before it reaches the terminal, whichever command prints it.
func TestHostileText(t *testing.T) {
	good, bad := hostileServer(t, 200), hostileServer(t, 400)
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(502)
		io.WriteString(w, hostile+"\xff")
	}))
	defer plain.Close()
	for _, line := range []string{
		"app list", "app get a", "endpoint list a", "endpoint get a e", "endpoint secret a e", "event-type list", "message list a", "message get a m",
		"message explain a m", "attempt list a --endpoint e", "attempt get a m t", "task list", "key list", "app list --json", "attempt get a m t --json",
		"message explain a m --json", "key list --json",
	} {
		for _, url := range []string{good, bad, plain.URL} {
			var out bytes.Buffer
			root := New("test")
			root.SetOut(safeWriter{&out})
			root.SetErr(safeWriter{&out})
			root.SetArgs(append(strings.Fields(line), "--url", url, "--token", "0123456789abcdef"))
			if err := root.Execute(); err != nil {
				fmt.Fprintln(root.ErrOrStderr(), "hookwheel:", err)
			}
			if url == good && !strings.Contains(out.String(), "evil") {
				t.Errorf("%s shows nothing of it: %s", line, out.String())
			}
			for _, r := range out.String() {
				if r != '\n' && unsafe(r) {
					t.Errorf("%s prints %q", line, out.String())
					break
				}
			}
		}
	}
	event := tailEvent{id: hostile, name: "attempt", data: `{"statusText":"\u001b[2J","url":"http://x/` + "\u202e" + `","msgId":"\u009b"}`}
	for _, asJSON := range []bool{false, true} {
		var out bytes.Buffer
		if err := (&tailOptions{json: asJSON}).printer(safeWriter{&out})(event); err != nil {
			t.Fatal(err)
		}
		if text := strings.TrimSuffix(out.String(), "\n"); strings.ContainsFunc(text, unsafe) || asJSON && !json.Valid([]byte(text)) {
			t.Errorf("tail prints %q", text)
		}
	}
}

// "message send" sends a payload byte for byte.
func TestSendIsVerbatim(t *testing.T) {
	const payload = `{"id":1, "a":"<b>&\u2028é",  "n":1.0e+3, "n":2}`
	sent := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		if err != nil {
			t.Error(err)
		}
		sent <- string(body)
		w.WriteHeader(202)
		io.WriteString(w, `{"id":"msg_1"}`)
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "p.json")
	if err := os.WriteFile(file, []byte(payload), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{payload, "@" + file, "-"} {
		root := New("test")
		root.SetOut(io.Discard)
		root.SetIn(strings.NewReader(payload))
		root.SetArgs([]string{"message", "send", "acme", "x", from, "--id", "i", "--url", server.URL, "--token", "0123456789abcdef"})
		if err := root.Execute(); err != nil {
			t.Fatal(err)
		}
		if body := <-sent; body != `{"eventId":"i","eventType":"x","payload":`+payload+`}` {
			t.Errorf("%.20s was sent as %s", from, body)
		}
	}
}

// What backups have left that were killed goes with the next one, a day later.
func TestAbandonedBackupsGo(t *testing.T) {
	dir := t.TempDir()
	for name, age := range map[string]time.Duration{"1": 2 * abandonedAfter, "2": abandonedAfter / 2} {
		path := filepath.Join(dir, unfinishedBackup+name)
		at := time.Now().Add(-age)
		if err := errors.Join(os.WriteFile(path, []byte("half"), 0o600), os.Chtimes(path, at, at)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := saveBackup(strings.NewReader("no backup"), filepath.Join(dir, "x"), func(_, _ int64) {}); err == nil {
		t.Error("a file that is not a backup was saved")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 || left[0].Name() != unfinishedBackup+"2" {
		t.Errorf("left: %v, %v", left, err)
	}
}

// A backup in a folder that others can write to follows none of their links, and leaves no files
// behind when it fails.
func TestBackupInAFolderOfOthers(t *testing.T) {
	dir := t.TempDir()
	victim, path := filepath.Join(dir, "victim"), filepath.Join(dir, "x.backup")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(victim, path+".tmp"); err != nil {
		t.Fatal(err)
	}
	if _, err := saveBackup(strings.NewReader("no backup"), path, func(_, _ int64) {}); err == nil {
		t.Error("a file that is not a backup was saved")
	}
	if text, err := os.ReadFile(victim); err != nil || string(text) != "precious" {
		t.Errorf("%q, %v", text, err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("%v, %v", left, err)
	}
	file, err := os.Open(victim)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := sameFile(file, victim); err != nil {
		t.Error(err)
	}
	if err := sameFile(file, path+".tmp"); err == nil {
		t.Error("a link that replaces the file is not noticed")
	}
}
