package systemtest

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"hookwheel/systemtest/process"
)

// pasteLimit is for all blocks of the quick start in one shell, with the race detector.
const pasteLimit = 4 * time.Minute

// The blocks of the quick start can be pasted into a new shell, in their order.
func TestQuickStart(t *testing.T) {
	shells := map[string][]string{
		"bash": {"bash", "--norc", "--noprofile", "-i"},
		"zsh":  {"zsh", "-f", "-i"},
	}
	for name, shell := range shells {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(name); err != nil {
				skipOutsideCI(t, name)
			}
			paste(t, shell)
		})
	}
}

// skipOutsideCI skips a test for want of a program, which .ci/run installs.
func skipOutsideCI(t *testing.T, program string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is missing", program)
	}
	t.Skipf("%s is missing; .ci/run installs it", program)
}

// paste runs the blocks of the quick start in an interactive shell, one line after the other, in a
// folder with the files that they use and with ports that are free. A command that fails, and a
// response of the API with an error, fail the test.
func paste(t *testing.T, shell []string) {
	dir := t.TempDir()
	ports := pastedPorts(t)
	example, err := os.ReadFile("../config.example.hcl")
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"config.example.hcl": ports.Replace(string(example)),
		"hookwheel.sh": ports.Replace(`#!/bin/sh
case "$1" in
dev) shift; set -- dev --listen 127.0.0.1:8071 "$@" ;;
listen) shift; set -- listen --listen 127.0.0.1:9000 "$@" ;;
esac
exec "$HOOKWHEEL_TEST_BINARY" "$@"
`),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(process.Context(t), pasteLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, shell[0], shell[1:]...)
	hookwheel := process.Command(ctx)
	cmd.Dir, cmd.Env = dir, append(hookwheel.Env, "HOOKWHEEL_TEST_BINARY="+hookwheel.Path, "PS1=$ ", "PS2=> ")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Stdin = strings.NewReader(script(t, ports))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	text := out.String()
	if err != nil || failures.MatchString(text) || !strings.Contains(text, "all blocks pasted") {
		t.Errorf("%v: %v, %q\n%s", shell, err, failures.FindString(text), text)
	}
	for _, want := range []string{`"eventId":"inv-1"`, "msg_", "verified", "delivered"} {
		if !strings.Contains(text, want) {
			t.Errorf("%v does not print %q:\n%s", shell, want, text)
		}
	}
}

// failures matches what shells print when a command fails, or can't even be run.
var failures = regexp.MustCompile("FAILED.*|.*(no matches found|not found: |parse error|syntax error|bad pattern).*")

// script returns what is typed into the shell: all blocks, and what makes failures visible. "go
// build" links to this test's binary, which is hookwheel, too.
func script(t *testing.T, ports *strings.Replacer) string {
	page := readPage(t, quickStart)
	var text strings.Builder
	text.WriteString(`curl() { command curl --fail-with-body "$@" && echo; }
go() { [ "$*" = "build ." ] && ln -s hookwheel.sh hookwheel; }
[ -z "$ZSH_VERSION" ] || TRAPZERR() { echo "FAI""LED with $?"; }
[ -z "$BASH_VERSION" ] || trap 'echo "FAI""LED with $?: $BASH_COMMAND"' ERR
`)
	for _, block := range page.blocks {
		if block.language == "sh" {
			text.WriteString(block.text)
		}
	}
	text.WriteString("wait; echo all 'blocks' pasted; exit 0\n")
	fewer := strings.NewReplacer("--events 20000", "--events 200")
	return fewer.Replace(ports.Replace(text.String()))
}

// pastedPorts replaces the ports of the quick start, and of the example configuration, with free
// ones.
func pastedPorts(t *testing.T) *strings.Replacer {
	dev, real := process.FreePorts(t, 4), process.FreePorts(t, 4) // multiples of ten
	for real == dev {
		real = process.FreePorts(t, 4)
	}
	pairs := []string{"127.0.0.1:9000", process.NodeAddress(dev, 4), "808$n", strconv.Itoa(real/10) + "$n"}
	pair := func(from, to int) { pairs = append(pairs, strconv.Itoa(from), strconv.Itoa(to)) }
	for i := range 3 {
		pair(8071+i, dev+i)
		pair(8081+i, real+1+i)
		pair(9081+i, real+1001+i)
	}
	return strings.NewReplacer(pairs...)
}
