package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Go asks the kernel for the time where no library or wrapper can step in. So a node whose clock is
// to jump is built with another package time, which adds as many seconds to Now as a file says (go
// help build, -overlay). The product knows nothing of it. Timers don't follow: they run on the
// monotonic clock, which does not jump.

// clockVariable names that file to a process.
const clockVariable = "HOOKWHEEL_CLOCK"

// clockOverlay makes what -overlay takes, for a main package in the folder main, with what others
// add to it.
func clockOverlay(dir, main string, more ...func(replace map[string]string, dir, main string) error) (path string, err error) {
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	root := filepath.Join(strings.TrimSpace(string(goroot)), "src", "time")
	text, err := os.ReadFile(filepath.Join(root, "time.go"))
	if err != nil {
		return "", err
	}
	const reading = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	if strings.Count(string(text), reading) != 1 {
		return "", fmt.Errorf("time.Now in %s does not begin as expected: adapt the overlay", root)
	}
	patched := filepath.Join(dir, "time.go")
	if err := os.WriteFile(patched, []byte(strings.Replace(string(text), reading, reading+"\tsec += shift.Load()\n", 1)), 0o600); err != nil {
		return "", err
	}
	here, err := filepath.Abs(filepath.Join("testdata", "clock"))
	if err != nil {
		return "", err
	}
	replace := map[string]string{
		filepath.Join(root, "time.go"):         patched,
		filepath.Join(root, "shift.go"):        filepath.Join(here, "shift.go.txt"),
		filepath.Join(main, "clock_follow.go"): filepath.Join(here, "follow.go.txt"),
	}
	for _, add := range more {
		if err := add(replace, dir, main); err != nil {
			return "", err
		}
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, overlay, 0o600)
}

// now is what time it is for nodes whose clocks are right.
func (c *cluster) now() time.Time {
	return time.Now().Add(time.Duration(c.passed.Load()) * time.Second)
}

// setClocks sets by how many seconds each node's clock is wrong, if it can be.
func (c *cluster) setClocks(seconds func(node int) int) (err error) {
	for i, n := range c.nodes {
		if n.clock != "" {
			err = errors.Join(err, os.WriteFile(n.clock, []byte(strconv.Itoa(int(c.passed.Load())+seconds(i))), 0o600))
		}
	}
	return err
}

// TestClockOverlay: a program that is built like that follows the file.
func TestClockOverlay(t *testing.T) {
	dir := t.TempDir()
	const program = "package main\n\nimport (\n\t\"os\"\n\t\"time\"\n)\n\nfunc main() { os.Stdout.WriteString(time.Now().Format(time.RFC3339)) }\n"
	for name, text := range map[string]string{"main.go": program, "go.mod": "module shifted\n", "clock": "-7200"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	overlay, err := clockOverlay(t.TempDir(), dir)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "run", "-overlay", overlay, ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), clockVariable+"="+filepath.Join(dir, "clock"))
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go run: %v\n%s", err, complaint.String())
	}
	told, err := time.Parse(time.RFC3339, string(out))
	if err != nil {
		t.Fatal(err)
	}
	if off := time.Since(told); off < 2*time.Hour || off > 2*time.Hour+time.Minute {
		t.Errorf("the clock is %s late, not two hours", off)
	}
}
