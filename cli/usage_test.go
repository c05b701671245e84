package cli

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// run runs a command line.
func run(t *testing.T, args ...string) (stdout string, err error) {
	t.Helper()
	var out bytes.Buffer
	root := New("v1.2.3")
	root.SetOut(&out)
	root.SetErr(io.Discard)
	root.SetArgs(args)
	err = root.ExecuteContext(t.Context())
	return out.String(), err
}

// eachCommand calls f for cmd and all commands below it.
func eachCommand(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, child := range cmd.Commands() {
		eachCommand(child, f)
	}
}

// Every help fits into 80 columns and has examples, which are command lines that exist.
func TestHelp(t *testing.T) {
	root := New("v1.2.3")
	eachCommand(root, func(cmd *cobra.Command) {
		path := strings.Fields(cmd.CommandPath())[1:]
		help, err := run(t, append(path, "--help")...)
		if err != nil {
			t.Errorf("%v --help: %v", path, err)
		}
		for line := range strings.Lines(help) {
			line = strings.TrimRight(line, "\n")
			if utf8.RuneCountInString(line) > 80 && !slices.Contains(path, "completion") {
				t.Errorf("%v --help has a line of %d columns: %s", path, utf8.RuneCountInString(line), line)
			}
			if strings.HasSuffix(line, " ") {
				t.Errorf("%v --help has a space at the end of %q", path, line)
			}
		}
		if len(path) > 0 && path[0] == "completion" { // of cobra
			return
		}
		if cmd.Short == "" || cmd.Example == "" {
			t.Errorf("%v has no short description or no example", path)
		}
		for _, example := range commandLines(cmd.Example) {
			checkCommandLine(t, example)
		}
	})
}

var substitution = regexp.MustCompile(`\$\([^)]*\)`)

// commandLines returns the commands in a text, as words, that run hookwheel.
func commandLines(text string) (lines [][]string) {
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.Lines(text) {
		line = substitution.ReplaceAllString(line, "substituted")
		for _, part := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune("|;&", r) }) {
			if words := shellWords(part); len(words) > 0 && strings.TrimPrefix(words[0], "./") == "hookwheel" {
				lines = append(lines, words[1:])
			}
		}
	}
	return lines
}

// shellWords splits a simple command, up to a redirection.
func shellWords(line string) (words []string) {
	var word strings.Builder
	var quote rune
	begun := false
	for _, r := range strings.TrimSpace(line) + " " {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, begun = r, true
		case r == ' ':
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		case r == '<' || r == '>':
			return words
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	return words
}

// checkCommandLine checks that a command exists, and has the flags and the number of arguments
// that it is given.
func checkCommandLine(t *testing.T, words []string) {
	t.Helper()
	root := New("v1.2.3")
	eachCommand(root, func(cmd *cobra.Command) {
		if cmd.Runnable() && (!cmd.HasSubCommands() || cmd.Name() == "backup") {
			cmd.RunE = func(*cobra.Command, []string) error { return nil }
		}
	})
	root.SetOut(io.Discard)
	root.SetErr(io.Discard)
	root.SetArgs(words)
	if cmd, _, err := root.Find(words); err == nil && cmd.Name() == "bench" {
		return // which has both, and would run
	}
	if err := root.Execute(); err != nil {
		t.Errorf("hookwheel %s: %v", strings.Join(words, " "), err)
	}
}

func TestUsageErrors(t *testing.T) {
	for line, want := range map[string]string{
		"nope":                        `unknown command "nope" for "hookwheel"`,
		"ap":                          `did you mean app?`,
		"app nope":                    `unknown command "nope" for "hookwheel app"`,
		"app lst":                     `did you mean get or list?`,
		"app lst --what":              `did you mean get or list?`,
		"endpoint statz acme billing": `unknown command "statz" for "hookwheel endpoint"`,
		"bench izolation":             `did you mean isolation?`,
		"help nope":                   `unknown command "nope"`,
		"help app nope":               `unknown command "nope" for "hookwheel app"`,
		"completion bsh":              `did you mean bash`,
		"app list --jsn":              `unknown flag: --jsn: did you mean --json?`,
		"app list -z":                 `unknown shorthand flag`,
		"app get":                     `accepts 1 arg(s), received 0`,
		"app list extra":              `accepts 0 arg(s), received 1`,
		"app list --limit many":       `invalid argument "many"`,
		"key create x":                `--role is required`,
		"restore x":                   `at least one of the flags`,
		"restore --data d":            `name a BACKUP`,
		"restore --data d --from x":   `--from must be s3://bucket/prefix`,
		"restore --data d --from s3://acme-backups x": `BACKUP and --from can't be combined`,
		"backup nope":                                `unknown command "nope" for "hookwheel backup"`,
		"backup --to x":                              `must be "s3://bucket/prefix" or "file:///folder"`,
		"backup --to s3://x --output y":              `none of the others can be`,
		"backup list":                                `no location of backups is set`,
		"listen --hang --drip":                       `none of the others can be`,
		"listen --status 99":                         `--status must be from 200 to 599`,
		"attempt list acme --endpoint e --message m": `--endpoint and --message can't be used together`,
		"attempt list a --status odd":                `must be canceled, failed, pending, sending or success`,
		"attempt list a --since odd":                 `must be a time such as 1h`,
		"tail --status odd":                          `must be canceled, failed or success`,
		"dev --nodes 2":                              `--nodes must be 1, 3, 5 or 7`,
		"dev --listen nowhere":                       `expected host:port`,
		"message send acme x []":                     `must be a JSON object`,
		"app get . --token 0123":                     `"." can't be an id or a uid`,
		"app list --token x --url a://b":             `expected the URL of a node`,
		"verify":                                     `no secret: use --secret`,
	} {
		t.Setenv("WEBHOOK_SECRET", "")
		_, err := run(t, strings.Fields(line)...)
		if err == nil || !strings.Contains(err.Error(), want) || exitCode(err) != exitUsage {
			t.Errorf("hookwheel %s: %v, want %q", line, err, want)
		}
	}
}

// A command without its subcommand shows its help; so does a request for it.
func TestHelpIsShown(t *testing.T) {
	for _, line := range []string{"", "app", "help app", "app --help", "help"} {
		if out, err := run(t, strings.Fields(line)...); err != nil || !strings.Contains(out, "Usage:\n") {
			t.Errorf("hookwheel %s: %v\n%s", line, err, out)
		}
	}
}

func TestExitCodes(t *testing.T) {
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusConflict)
		io.WriteString(w, `{"code": "conflict", "detail": "there is one"}`)
	}))
	defer refusing.Close()
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	defer silent.Close()
	for url, want := range map[string]int{refusing.URL: exitFailed, silent.URL: exitNoConnection, closedPort(t): exitNoConnection} {
		for _, line := range []string{"app list", "app create x", "tail", "cluster status"} {
			_, err := run(t, append(strings.Fields(line), "--token", "x", "--url", url)...)
			if err == nil || exitCode(err) != want {
				t.Errorf("hookwheel %s: %v, want exit code %d", line, err, want)
			}
		}
	}
	for _, line := range []string{"bench", "bench flood"} {
		if _, err := run(t, append(strings.Fields(line), "--token", "x", "--url", closedPort(t))...); err == nil || exitCode(err) != exitNoConnection {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// closedPort returns the URL of a port at which nothing listens.
func closedPort(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(nil)
	server.Close()
	return server.URL
}

func TestVersion(t *testing.T) {
	for _, line := range []string{"version", "--version"} {
		out, err := run(t, line)
		if err != nil || !strings.HasPrefix(out, "hookwheel v1.2.3\n") || !strings.Contains(out, "built with go1.") {
			t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
	for _, test := range []struct {
		build   build
		module  string
		version string
	}{
		{build{}, "v1.4.0", "v1.4.0"},
		{build{revision: "abc"}, "v1.4.1-0.20261128204749-e9b01fbb8c47", "dev-abc"},
		{build{revision: "abc", modified: true}, "(devel)", "dev-abc-modified"},
		{build{}, "(devel)", "dev"},
		{build{}, "", "dev"},
	} {
		if got := test.build.fromModule(test.module); got != test.version {
			t.Errorf("%+v of module version %q: %s, want %s", test.build, test.module, got, test.version)
		}
	}
}

// What go build records of a git checkout is shown, unless a release was linked with a version.
func TestVersionOfCheckout(t *testing.T) {
	for _, test := range []struct{ linked, modified, want string }{
		{"", "false", "hookwheel dev-34f701a6c7a0\nrevision  34f701a6c7a0\n"},
		{"", "true", "hookwheel dev-34f701a6c7a0-modified\nrevision  34f701a6c7a0 (modified)\n"},
		{"v1.5.0", "false", "hookwheel v1.5.0\nrevision  34f701a6c7a0\n"},
	} {
		info := &debug.BuildInfo{Main: debug.Module{Path: "hookwheel", Version: "(devel)"}, Settings: []debug.BuildSetting{
			{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: "34f701a6c7a0d8cb0a2d1c5f3e9b8a7766554433"}, {Key: "vcs.modified", Value: test.modified}}}
		if got := buildOf(test.linked, info).String(); !strings.HasPrefix(got, test.want+"built with go1.") {
			t.Errorf("linked %q, modified %s:\n%s", test.linked, test.modified, got)
		}
	}
}

func TestTimes(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"1h":                        now.Add(-time.Hour),
		"3d":                        now.AddDate(0, 0, -3),
		"1d12h":                     now.Add(-36 * time.Hour),
		"2026-01-31":                time.Date(2026, 1, 31, 0, 0, 0, 0, time.Local),
		"2026-01-31T12:00:00+02:00": time.Date(2026, 1, 31, 10, 0, 0, 0, time.UTC),
		"2026-01-31T12:00:00.5Z":    time.Date(2026, 1, 31, 12, 0, 0, 5e8, time.UTC),
		"":                          {}, "yesterday": {}, "-1h": {}, "1h30": {}, "2026-02-30": {}, "99999999d": {},
	} {
		got, err := new(timeFlag).parse(text, now)
		if (err != nil) != want.IsZero() || !got.Equal(want) {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	if got, err := (&timeFlag{future: true}).parse("10m", now); err != nil || !got.Equal(now.Add(10*time.Minute)) {
		t.Errorf("in 10 minutes: %v, %v", got, err)
	}
	from := timeFlag{other: isWord("now")}
	if err := from.Set("now"); err != nil || from.text != "now" {
		t.Errorf("now: %q, %v", from.text, err)
	}
	if err := from.Set("2026-01-31T12:00:00+02:00"); err != nil || from.text != "2026-01-31T10:00:00Z" {
		t.Errorf("a time: %q, %v", from.text, err)
	}
}

// Mistakes in flags are found before anything is sent.
func TestFlagErrorKeepsOthers(t *testing.T) {
	if err := flagError(New(""), pflag.ErrHelp); !errors.Is(err, pflag.ErrHelp) {
		t.Error(err)
	}
}
