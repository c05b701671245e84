package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// machine is a folder in which the scripts of the packages run, with a systemctl that keeps whether
// the service is enabled and active.
type machine struct{ root string }

const fakeSystemctl = `#!/bin/sh
[ "$1" != --quiet ] || shift
case "$1" in
enable) touch enabled ;;
disable) rm -f enabled ;;
is-enabled) test -e enabled ;;
start) touch active ;;
stop) rm -f active ;;
try-restart) [ ! -e active ] || { echo restarted; ! test -e broken; } ;;
esac
`

func newMachine(t *testing.T) machine {
	t.Helper()
	m := machine{t.TempDir()}
	for _, folder := range []string{"bin", "etc/hookwheel", "run/systemd/system", "var/lib/hookwheel"} {
		if err := os.MkdirAll(filepath.Join(m.root, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"bin/systemctl": fakeSystemctl, "bin/getent": "#!/bin/sh\n", "bin/chgrp": "#!/bin/sh\ntest -e \"$2\"\n", "etc/hookwheel/hookwheel.hcl": ""} {
		if err := os.WriteFile(filepath.Join(m.root, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// run runs a script with arguments, and returns what it prints and the state of the service.
func (m machine) run(t *testing.T, script []byte, args ...string) (out, state string) {
	t.Helper()
	text := string(script)
	for _, folder := range []string{"/etc/hookwheel", "/var/lib/hookwheel", "/run/systemd"} {
		text = strings.ReplaceAll(text, folder, m.root+folder)
	}
	cmd := exec.Command("sh", append([]string{"-c", text, "script"}, args...)...)
	cmd.Dir = m.root
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(m.root, "bin")+":"+os.Getenv("PATH"))
	printed, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, printed)
	}
	for _, name := range []string{"enabled", "active"} {
		if _, err := os.Stat(filepath.Join(m.root, name)); err == nil {
			state += name + " "
		}
	}
	return string(printed), state
}

// TestScripts runs the scripts with the arguments that dpkg and rpm give them, in their order.
func TestScripts(t *testing.T) {
	type step struct {
		script []byte
		args   string
		state  string // of the service, after it
	}
	const running = "enabled active "
	for name, steps := range map[string][]step{
		"dpkg: install, upgrade": {{afterInstall, "configure ", running}, {beforeRemove, "upgrade 2", running}, {afterRemove, "upgrade 2", running},
			{afterInstall, "configure 1", running}},
		"dpkg: remove, install again": {{afterInstall, "configure ", running}, {beforeRemove, "remove", ""}, {afterRemove, "remove", ""},
			{afterInstall, "configure 1", running}, {beforeRemove, "remove", ""}, {afterRemove, "remove", ""}, {afterRemove, "purge", ""},
			{afterInstall, "configure ", running}},
		"dpkg: a removal that fails": {{afterInstall, "configure ", running}, {beforeRemove, "remove", ""}, {afterInstall, "abort-remove", running}},
		"rpm: install, upgrade, remove": {{afterInstall, "1", ""}, {afterInstall, "2", ""}, {beforeRemove, "1", ""}, {afterRemove, "1", ""},
			{beforeRemove, "0", ""}, {afterRemove, "0", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			for _, s := range steps {
				if out, state := m.run(t, s.script, strings.Split(s.args, " ")...); state != s.state {
					t.Fatalf("after %s the service is %q, not %q: %s", s.args, state, s.state, out)
				}
			}
		})
	}
	t.Run("disabled", func(t *testing.T) { // by the operator: neither an upgrade nor a new installation starts it
		m := newMachine(t)
		m.run(t, afterInstall, "configure", "")
		for _, name := range []string{"enabled", "active"} {
			if err := os.Remove(filepath.Join(m.root, name)); err != nil {
				t.Fatal(err)
			}
		}
		m.run(t, beforeRemove, "remove")
		if _, state := m.run(t, afterInstall, "configure", "1"); state != "" {
			t.Errorf("the service is %s", state)
		}
	})
	t.Run("upgrade of a broken service", func(t *testing.T) {
		m := newMachine(t)
		m.run(t, afterInstall, "configure", "")
		if err := os.WriteFile(filepath.Join(m.root, "broken"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(m.root, "etc/hookwheel/hookwheel.hcl")); err != nil {
			t.Fatal(err)
		}
		if out, _ := m.run(t, afterInstall, "configure", "1"); !strings.Contains(out, "did not restart") {
			t.Errorf("it says %q", out)
		}
	})
}
