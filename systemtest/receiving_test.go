package systemtest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"hookwheel/systemtest/process"
	"hookwheel/webhook"
)

// snippet is a language of docs/receiving.md. Its program consists of the function on the page
// and of what is here. It gets the secret, ID, timestamp and signatures as arguments and the body
// on standard input, and prints true or false.
type snippet struct {
	language string
	file     string
	command  []string
	main     string // goes behind the function, or into main.go
}

var snippets = []snippet{
	{"python", "main.py", []string{"python3", "main.py"}, `
import sys
print("true" if verify(*sys.argv[1:5], sys.stdin.buffer.read()) else "false")
`},
	{"javascript", "main.js", []string{"node", "main.js"}, `
console.log(verify(...process.argv.slice(2, 6), require("node:fs").readFileSync(0)));
`},
	{"go", "verify.go", []string{"go", "run", "main.go", "verify.go"}, `package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	body, err := io.ReadAll(os.Stdin)
	fmt.Println(err == nil && verify(os.Args[1], os.Args[2], os.Args[3], os.Args[4], body))
}
`},
	{"ruby", "main.rb", []string{"ruby", "main.rb"}, `
puts verify(*ARGV[0, 4], STDIN.binmode.read)
`},
	{"php", "main.php", []string{"php", "main.php"}, `
echo verify($argv[1], $argv[2], $argv[3], $argv[4], file_get_contents("php://stdin")) ? "true" : "false";
`},
	{"java", "Webhooks.java", []string{"java", "Webhooks.java"}, `
    public static void main(String[] args) throws Exception {
        System.out.println(verify(args[0], args[1], args[2], args[3], System.in.readAllBytes()));
    }
}
`},
}

// The functions in docs/receiving.md accept what Hookwheel signs, and nothing else.
func TestReceiving(t *testing.T) {
	page, err := os.ReadFile("../docs/receiving.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range snippets {
		t.Run(s.language, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(s.command[0]); err != nil {
				skipOutsideCI(t, s.command[0])
			}
			block := regexp.MustCompile("(?ms)^```" + s.language + "\n(.*?)^```$").FindSubmatch(page)
			if block == nil {
				t.Fatal("docs/receiving.md has no such block")
			}
			s.verifyAll(t, s.write(t, string(block[1])))
		})
	}
}

// write writes the program into a folder of its own.
func (s snippet) write(t *testing.T, function string) (dir string) {
	files := map[string]string{s.file: function + s.main}
	switch s.language {
	case "go":
		files = map[string]string{s.file: function, "main.go": s.main}
	case "java": // main goes into the class
		files[s.file] = strings.TrimSuffix(function, "}\n") + s.main
	}
	dir = t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func (s snippet) verifyAll(t *testing.T, dir string) {
	secret, other := webhook.Secret("0123456789abcdefghijklmn"), webhook.Secret("another secret that is long")
	const id = "msg_3DJnq4qkm9VRuRYEmUB6bxZ3Zc5"
	body := []byte("{\"name\": \"Ünal\u2028\", \"pad\":\t\"\\u00e9\"}\r\n")
	now := time.Now().Unix()
	sign := func(with webhook.Secret, timestamp int64, body []byte) string {
		return string(with.AppendSignature(nil, id, timestamp, body))
	}
	for _, c := range []struct {
		name       string
		timestamp  string
		signatures string
		body       []byte
		want       string
	}{
		{"a real one", strconv.FormatInt(now, 10), sign(secret, now, body), body, "true"},
		{"the second of two", strconv.FormatInt(now, 10), sign(other, now, body) + " " + sign(secret, now, body), body, "true"},
		{"forged", strconv.FormatInt(now, 10), sign(other, now, body), body, "false"},
		{"another body", strconv.FormatInt(now, 10), sign(secret, now, body), append(body, ' '), "false"},
		{"old", strconv.FormatInt(now-600, 10), sign(secret, now-600, body), body, "false"},
		{"no time", "yesterday", sign(secret, now, body), body, "false"},
		{"no signature", strconv.FormatInt(now, 10), "", body, "false"},
	} {
		args := append(s.command[1:len(s.command):len(s.command)], secret.Text(), id, c.timestamp, c.signatures)
		cmd := exec.CommandContext(process.Context(t), s.command[0], args...)
		cmd.Dir, cmd.Stdin = dir, bytes.NewReader(c.body)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if got := strings.TrimSpace(string(out)); err != nil || got != c.want {
			t.Errorf("%s: %q, %v, want %s\n%s", c.name, got, err, c.want, stderr.String())
		}
	}
}
