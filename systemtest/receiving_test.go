package systemtest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hookwheel/systemtest/process"
	"hookwheel/webhook"
)

// snippet is a language of docs/receiving.md. Its program consists of the function on the page and
// of what is here. Its arguments are the secret, ID, timestamp, signatures and the file with the
// body of one case after the other; it prints true or false for each.
type snippet struct {
	language string
	file     string
	build    []string // nothing: it needs none
	command  []string
	main     string // goes behind the function, or into main.go
}

var snippets = []snippet{
	{language: "python", file: "main.py", command: []string{"python3", "main.py"}, main: `
import sys
for i in range(1, len(sys.argv), 5):
    print("true" if verify(*sys.argv[i:i + 4], open(sys.argv[i + 4], "rb").read()) else "false")
`},
	{language: "javascript", file: "main.js", command: []string{"node", "main.js"}, main: `
for (let i = 2; i < process.argv.length; i += 5) {
  console.log(verify(...process.argv.slice(i, i + 4), require("node:fs").readFileSync(process.argv[i + 4])));
}
`},
	{language: "go", file: "verify.go", command: []string{"go", "run", "main.go", "verify.go"}, main: `package main

import (
	"fmt"
	"os"
)

func main() {
	for a := os.Args[1:]; len(a) > 0; a = a[5:] {
		body, err := os.ReadFile(a[4])
		fmt.Println(err == nil && verify(a[0], a[1], a[2], a[3], body))
	}
}
`},
	{language: "ruby", file: "main.rb", command: []string{"ruby", "main.rb"}, main: `
ARGV.each_slice(5) { |*rest, file| puts verify(*rest, File.binread(file)) }
`},
	{language: "php", file: "main.php", command: []string{"php", "main.php"}, main: `
foreach (array_chunk(array_slice($argv, 1), 5) as $a) {
    echo verify($a[0], $a[1], $a[2], $a[3], file_get_contents($a[4])) ? "true\n" : "false\n";
}
`},
	{language: "java", file: "Webhooks.java", command: []string{"java", "Webhooks.java"}, main: `
    public static void main(String[] args) throws Exception {
        for (int i = 0; i < args.length; i += 5) {
            byte[] body = java.nio.file.Files.readAllBytes(java.nio.file.Path.of(args[i + 4]));
            System.out.println(verify(args[i], args[i + 1], args[i + 2], args[i + 3], body));
        }
    }
}
`},
	{language: "elixir", file: "main.exs", command: []string{"elixir", "main.exs"}, main: `
for [secret, id, timestamp, signatures, file] <- Enum.chunk_every(System.argv(), 5) do
  IO.puts(Webhooks.verify(secret, id, timestamp, signatures, File.read!(file)))
end
`},
	{language: "perl", file: "main.pl", command: []string{"perl", "-w", "main.pl"}, main: `
while (my ($secret, $id, $timestamp, $signatures, $file) = splice @ARGV, 0, 5) {
    open my $in, "<:raw", $file or die $!;
    my $body = do { local $/; <$in> } // "";
    print verify($secret, $id, $timestamp, $signatures, $body) ? "true\n" : "false\n";
}
`},
	{language: "c", file: "main.c", build: []string{"gcc", "-Wall", "-Werror", "-o", "main", "main.c", "-lcrypto"}, command: []string{"./main"}, main: `
int main(int argc, char **argv) {
    static unsigned char body[1 << 16];
    for (int i = 1; i + 4 < argc; i += 5) {
        FILE *in = fopen(argv[i + 4], "rb");
        size_t size = fread(body, 1, sizeof body, in);
        fclose(in);
        puts(verify(argv[i], argv[i + 1], argv[i + 2], argv[i + 3], body, size) ? "true" : "false");
    }
}
`},
	{language: "bash", file: "main.sh", command: []string{"bash", "main.sh"}, main: `
while (($# > 0)); do
  if verify "$1" "$2" "$3" "$4" < "$5"; then echo true; else echo false; fi
  shift 5
done
`},
}

// The functions in docs/receiving.md accept what Hookwheel signs, and nothing else.
func TestReceiving(t *testing.T) {
	page := readPage(t, "../docs/receiving.md")
	for _, s := range snippets {
		t.Run(s.language, func(t *testing.T) {
			t.Parallel()
			for _, program := range []string{s.command[0], append(s.build, "")[0]} {
				if program == "" || strings.HasPrefix(program, ".") {
					continue
				}
				if _, err := exec.LookPath(program); err != nil {
					skipOutsideCI(t, program)
				}
			}
			i := slices.IndexFunc(page.blocks, func(b block) bool { return b.language == s.language })
			if i < 0 {
				t.Fatal("docs/receiving.md has no such block")
			}
			s.verifyAll(t, s.write(t, page.blocks[i].text))
		})
	}
	for _, b := range page.blocks {
		if b.testedBy == "TestReceiving" && !slices.ContainsFunc(snippets, func(s snippet) bool { return s.language == b.language }) {
			t.Errorf("the block of %s is not tested", b.language)
		}
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

// request is a request that a receiver verifies.
type request struct {
	name       string
	secret     webhook.Secret
	timestamp  string
	signatures string
	body       []byte
	want       bool
}

const receivedID = "msg_3DJnq4qkm9VRuRYEmUB6bxZ3Zc5"

// receivedRequests returns requests with signatures of ours, and others.
func receivedRequests() []request {
	current, previous := webhook.Secret("0123456789abcdefghijklmn"), webhook.Secret(strings.Repeat("previous", 8)+"!") // 65 bytes, with padding in base64
	body := []byte("{\"name\": \"Ünal\u2028\", \"pad\":\t\"\\u00e9\"}\r\n")
	now := time.Now().Unix()
	at := func(seconds int64) string { return strconv.FormatInt(seconds, 10) }
	sign := func(with webhook.Secret, timestamp int64, body []byte) string {
		return string(with.AppendSignature(nil, receivedID, timestamp, body))
	}
	real := sign(current, now, body)
	rotated := real + " " + sign(previous, now, body)
	valid := func(name string, secret webhook.Secret, timestamp int64, signatures string, body []byte) request {
		return request{name, secret, at(timestamp), signatures, body, true}
	}
	invalid := func(name, timestamp, signatures string) request {
		return request{name, current, timestamp, signatures, body, false}
	}
	return []request{
		valid("a real one", current, now, real, body),
		valid("a little late", current, now-200, sign(current, now-200, body), body),
		valid("rotated, with the new secret", current, now, rotated, body),
		valid("rotated, with the old secret", previous, now, rotated, body),
		valid("the last of several versions", current, now, "v1a,AAAA v2,BBBB v1,CCCC "+real, body),
		valid("without a body", current, now, sign(current, now, nil), nil),
		valid("any bytes", current, now, sign(current, now, []byte("\x00\xff\xfe\r\n\x80")), []byte("\x00\xff\xfe\r\n\x80")),
		invalid("of another secret", at(now), sign(previous, now, body)),
		{"another body", current, at(now), real, append(body[:len(body):len(body)], ' '), false},
		{"another ending", current, at(now), real, bytes.TrimSuffix(body, []byte("\r\n")), false},
		invalid("old", at(now-600), sign(current, now-600, body)),
		invalid("of the future", at(now+600), sign(current, now+600, body)),
		invalid("another time", at(now-1), real),
		invalid("no time", "yesterday", real),
		invalid("an empty time", "", real),
		invalid("a huge time", "99999999999999999999999", real),
		invalid("a negative time", "-1", sign(current, -1, body)),
		invalid("no signature", at(now), ""),
		invalid("blanks", at(now), "  "),
		invalid("another version", at(now), strings.Replace(real, "v1,", "v1a,", 1)),
		invalid("without a version", at(now), strings.TrimPrefix(real, "v1,")),
		invalid("cut off", at(now), real[:len(real)-1]),
		invalid("longer", at(now), real+"A"),
		invalid("not base64, not ASCII", at(now), "v1,ü*? ü"),
	}
}

// verifyAll runs the program once, for all requests.
func (s snippet) verifyAll(t *testing.T, dir string) {
	run := func(command ...string) string {
		cmd := exec.CommandContext(process.Context(t), command[0], command[1:]...)
		var stderr bytes.Buffer
		cmd.Dir, cmd.Stderr = dir, &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %v\n%s%s", command[0], err, out, stderr.String())
		}
		return string(out)
	}
	if s.build != nil {
		run(s.build...)
	}
	requests, args := receivedRequests(), slices.Clone(s.command)
	for i, r := range requests {
		file := "body-" + strconv.Itoa(i)
		if err := os.WriteFile(filepath.Join(dir, file), r.body, 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, r.secret.Text(), receivedID, r.timestamp, r.signatures, file)
	}
	results := strings.Fields(run(args...))
	if len(results) != len(requests) {
		t.Fatalf("%d results for %d requests: %v", len(results), len(requests), results)
	}
	for i, r := range requests {
		if results[i] != strconv.FormatBool(r.want) {
			t.Errorf("%s: %s, want %t", r.name, results[i], r.want)
		}
	}
}
