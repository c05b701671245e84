package systemtest

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

// goFiles is a template for go list: every Go file of a package.
const goFiles = `{{$dir := .Dir}}{{range .GoFiles}}{{$dir}}/{{.}} {{end}}{{range .IgnoredGoFiles}}{{$dir}}/{{.}} {{end}}` +
	`{{range .TestGoFiles}}{{$dir}}/{{.}} {{end}}{{range .XTestGoFiles}}{{$dir}}/{{.}} {{end}}`

// TestLint runs the tools that find faults and dead code without running it. A finding is mended;
// if that is impossible, it is silenced where it is, with a comment that gives the reason.
func TestLint(t *testing.T) {
	files, err := exec.Command("go", "list", "-f", goFiles, "hookwheel/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	tools := map[string][]string{
		"gofmt": append([]string{"gofmt", "-l"}, strings.Fields(string(files))...),
		"vet":   {"go", "vet", "hookwheel/..."},
		// The tests' own libraries would take it three times as long.
		"staticcheck": {"go", "tool", "staticcheck", "-tests=false", "hookwheel/..."},
		"deadcode":    {"go", "tool", "deadcode", "-test", "hookwheel/..."},
	}
	for name, command := range tools {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command(command[0], command[1:]...)
			var stderr bytes.Buffer // also names the modules that go downloads
			cmd.Stderr = &stderr
			if out, err := cmd.Output(); err != nil || len(out) > 0 {
				t.Errorf("%s: %v\n%s%s", strings.Join(command[:2], " "), err, out, stderr.String())
			}
		})
	}
}
