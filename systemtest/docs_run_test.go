package systemtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hookwheel/systemtest/process"
)

const (
	pageLimit = 4 * time.Minute // for all blocks of a page, with the race detector
	pageNodes = 5               // ports of nodes that a page may use
)

// quickStart is the page whose blocks TestQuickStart pastes into shells.
const quickStart = "../docs/quick-start.md"

// TestDocs runs the blocks of each page, as the comment of page says.
func TestDocs(t *testing.T) {
	for _, p := range documentation(t) {
		if p.path == quickStart || strings.HasPrefix(p.path, "../docs/reference/") {
			continue
		}
		t.Run(filepath.Base(p.path), func(t *testing.T) {
			t.Parallel()
			if steps := p.steps(t); len(steps) > 0 {
				p.run(t, steps)
			}
		})
	}
}

// step is a part of the script of a page.
type step struct {
	line    int    // in the page
	script  string // of bash
	shown   string // what it should print
	compare bool   // with shown
}

// steps returns what a page runs.
func (p *page) steps(t *testing.T) (steps []step) {
	for _, b := range p.blocks {
		if b.before != "" {
			steps = append(steps, step{line: b.line, script: b.before})
		}
		if b.notRun != "" {
			continue
		}
		switch b.language {
		case "sh":
			steps = append(steps, step{line: b.line, script: b.text})
		case "console":
			steps = append(steps, consoleSteps(t, b)...)
		case "hcl":
			steps = append(steps, step{line: b.line, script: writeFile(b.fileName(), b.text) + checkFile + b.fileName() + "\n"})
		case "javascript", "python":
			steps = append(steps, programStep(t, b))
		}
	}
	return steps
}

// checkFile checks a configuration; what a part of one may lack comes from the environment.
const checkFile = "HOOKWHEEL_DATA=$PWD/var/unused HOOKWHEEL_API_TOKEN=$HOOKWHEEL_TOKEN hookwheel config check "

var fileComment = regexp.MustCompile(`^# ([\w./-]+\.hcl)\n`)

// fileName returns the name of the file that a block begins with, or else one of its own.
func (b *block) fileName() string {
	if match := fileComment.FindStringSubmatch(b.text); match != nil {
		return match[1]
	}
	return fmt.Sprintf("block-%d.hcl", b.line)
}

func writeFile(name, text string) string {
	return "cat > " + name + " <<'END OF FILE'\n" + text + "END OF FILE\n"
}

// consoleSteps makes a step of each command behind "$ ", which may go on in lines behind "\".
func consoleSteps(t *testing.T, b block) (steps []step) {
	var current *step
	for i, line := range strings.SplitAfter(b.text, "\n") {
		typed, isTyped := strings.CutPrefix(line, "$ ")
		switch {
		case isTyped:
			steps = append(steps, step{line: b.line + 1 + i, script: typed})
			current = &steps[len(steps)-1]
		case current == nil:
			t.Fatalf("line %d: a block of console must begin with \"$ \"", b.line+1)
		case current.shown == "" && strings.HasSuffix(current.script, "\\\n"):
			current.script += line
		default:
			current.shown += line
			current.compare = current.compare || strings.TrimSpace(line) != ""
		}
	}
	return steps
}

// programStep runs a program of another language, with the packages that .ci/run installs in sdk.
func programStep(t *testing.T, b block) step {
	modules, err := filepath.Abs("../httpapi/sdk")
	if err != nil {
		t.Fatal(err)
	}
	name, run := fmt.Sprintf("block-%d.js", b.line), "NODE_PATH="+modules+"/node_modules node "
	if b.language == "python" {
		name, run = fmt.Sprintf("block-%d.py", b.line), modules+"/venv/bin/python "
	}
	if _, err := os.Stat(modules + "/venv/bin/python"); err != nil {
		skipOutsideCI(t, "python with svix in httpapi/sdk/venv")
	}
	if _, err := os.Stat(modules + "/node_modules"); err != nil {
		skipOutsideCI(t, "node with svix in sdk/node_modules")
	}
	return step{line: b.line, script: writeFile(name, b.text) + run + name + "\n"}
}

// sandbox is where the blocks of a page run.
type sandbox struct {
	dir   string
	ports *strings.Replacer
	env   []string
}

// run runs the steps of a page in one shell, and compares what they print with what is shown.
func (p *page) run(t *testing.T, steps []step) {
	box := newSandbox(t)
	if !p.noNode {
		box.startNode(t)
	}
	var script strings.Builder
	script.WriteString(`curl() { command curl --silent --show-error $curl "$@"; }
trap 'echo "FAILED with $?: $BASH_COMMAND" >&2; exit 1' ERR
`)
	for i, s := range steps {
		name := filepath.Join(box.dir, ".steps", strconv.Itoa(i))
		if err := os.WriteFile(name, []byte(box.ports.Replace(s.script)), 0o600); err != nil {
			t.Fatal(err)
		}
		options, ignored := "--fail-with-body", ""
		if s.compare { // an error may be what is shown
			options, ignored = "", " || true"
		}
		fmt.Fprintf(&script, "curl=%s; . %s > %s.out 2>&1%s\necho > %s.done\n", options, name, name, ignored, name)
	}
	ctx, cancel := context.WithTimeout(process.Context(t), pageLimit)
	defer cancel()
	err := box.bash(t, ctx, script.String())
	for i, s := range steps {
		name := filepath.Join(box.dir, ".steps", strconv.Itoa(i))
		out, readErr := os.ReadFile(name + ".out")
		if readErr != nil {
			t.Fatal(readErr)
		}
		if _, statErr := os.Stat(name + ".done"); statErr != nil {
			t.Fatalf("%s:%d: %v, %v\n%s\n%s", p.path, s.line, err, ctx.Err(), s.script, out)
		}
		if s.compare && !isShown(box.ports.Replace(s.shown), string(out)) {
			t.Errorf("%s:%d: %sprints\n%s\nbut the page shows\n%s", p.path, s.line, s.script, out, s.shown)
		}
	}
}

// newSandbox makes a folder with hookwheel, the example configuration and the license, and maps
// the addresses and folders of the documentation to those that are free here.
func newSandbox(t *testing.T) *sandbox {
	dir := t.TempDir()
	for _, folder := range []string{"bin", ".steps", "etc", "var"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	base := process.FreePorts(t, pageNodes)
	pairs := []string{"/etc/hookwheel", dir + "/etc", "/var/lib/hookwheel", dir + "/var/data", "127.0.0.1:9000", process.NodeAddress(base, pageNodes),
		"10.0.0.1:9090", process.PeerAddress(base, pageNodes), "--events 20000", "--events 200", "profile?seconds=5", "profile?seconds=1"}
	for i := range pageNodes - 1 {
		api, peer := strconv.Itoa(8071+i), strconv.Itoa(9071+i)
		host := "10.0.0." + strconv.Itoa(i+1)
		pairs = append(pairs,
			host+":8071", process.NodeAddress(base, i+1), host+":9071", process.PeerAddress(base, i+1),
			"127.0.0.1:"+api, process.NodeAddress(base, i+1), "127.0.0.1:"+peer, process.PeerAddress(base, i+1))
	}
	box := &sandbox{dir: dir, ports: strings.NewReplacer(pairs...)}
	hookwheel := process.Command(t.Context())
	example, err := os.ReadFile("../config.example.hcl")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"config.example.hcl": box.ports.Replace(string(example)),
		"bin/hookwheel":      "#!/bin/sh\n" + `case "$1" in listen) shift; set -- listen --listen 127.0.0.1:9000 "$@" ;; esac` + "\nexec " + hookwheel.Path + ` "$@"` + "\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(box.ports.Replace(text)), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	box.env = append(hookwheel.Env, "PATH="+dir+"/bin:"+os.Getenv("PATH"), "HOME="+dir, "TMPDIR="+dir, "HOOKWHEEL_TOKEN="+systemToken,
		"HOOKWHEEL_URL=http://"+process.NodeAddress(base, 1))
	return box
}

// startNode starts the node that pages find, with the objects that their examples use.
func (b *sandbox) startNode(t *testing.T) {
	listen := b.ports.Replace("127.0.0.1:8071")
	process.Start(t, "dev", "--listen", listen, "--data", filepath.Join(b.dir, "var/node"), "--token", systemToken)
	index := readPage(t, "../docs/README.md")
	err := b.bash(t, process.Context(t), "exec > "+b.dir+"/.steps/start 2>&1\n"+
		"until hookwheel cluster status; do sleep 0.1; done\nset -e\n"+b.ports.Replace(index.blocks[1].text))
	if err != nil {
		out, _ := os.ReadFile(b.dir + "/.steps/start")
		t.Fatalf("%v\n%s", err, out)
	}
}

// bash runs a script, and ends what it has left running.
func (b *sandbox) bash(t *testing.T, ctx context.Context, script string) error {
	t.Helper()
	file := filepath.Join(b.dir, ".steps", "script")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, "bash", "--norc", "--noprofile", file)
	cmd.Dir, cmd.Env = b.dir, b.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // none is left, as a rule
	if err != nil {
		return fmt.Errorf("%w: %s", err, out.Bytes())
	}
	return nil
}

var (
	blanks  = regexp.MustCompile(`[ \t]+`)
	objects = regexp.MustCompile(`\b(app|ep|msg|atmpt|key|task|qtask|resend|sess)_[0-9A-Za-z]{20,}`)
	times   = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?Z?`)
)

// isShown reports whether a page shows what was printed: as JSON, if it is that, or as lines.
func isShown(shown, printed string) bool {
	shown, printed = general(shown), general(printed)
	var want, got any
	if json.Unmarshal([]byte(shown), &want) == nil && json.Unmarshal([]byte(printed), &got) == nil {
		return isShownJSON(want, got)
	}
	var pattern strings.Builder
	pattern.WriteString("^")
	for line := range strings.Lines(shown) {
		if line == "…\n" {
			pattern.WriteString(`(.*\n)*?`)
			continue
		}
		pattern.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", ".*"))
	}
	pattern.WriteString("$")
	return regexp.MustCompile(pattern.String()).MatchString(printed)
}

// general leaves out what differs from run to run, and blanks that align columns.
func general(text string) string {
	text = objects.ReplaceAllString(text, "${1}_ID")
	text = times.ReplaceAllString(text, "TIME")
	var lines strings.Builder
	for line := range strings.Lines(strings.TrimSpace(text) + "\n") {
		lines.WriteString(strings.TrimSpace(blanks.ReplaceAllString(line, " ")) + "\n")
	}
	return lines.String()
}

// isShownJSON reports whether two values are the same, but for what is "…".
func isShownJSON(want, got any) bool {
	switch want := want.(type) {
	case string:
		if got, ok := got.(string); ok && strings.Contains(want, "…") {
			pattern := strings.ReplaceAll(regexp.QuoteMeta(want), "…", ".*")
			return regexp.MustCompile("(?s)^" + pattern + "$").MatchString(got)
		}
		return want == "…" || want == got
	case []any:
		got, ok := got.([]any)
		return ok && slices.EqualFunc(want, got, isShownJSON)
	case map[string]any:
		got, ok := got.(map[string]any)
		for name := range want {
			ok = ok && isShownJSON(want[name], got[name])
		}
		return ok && len(want) == len(got)
	default:
		return reflect.DeepEqual(want, got)
	}
}
