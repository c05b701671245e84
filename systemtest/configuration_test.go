package systemtest

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hookwheel/systemtest/process"
	"hookwheel/systemtest/wait"
)

// A node that has its settings from variables and a file reads the file again after SIGHUP and when
// it is asked to, and outlives a bad one.
func TestConfigurationOfProcess(t *testing.T) {
	t.Parallel()
	base := process.FreePorts(t, 1)
	path := filepath.Join(t.TempDir(), "hookwheel.hcl")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	cmd := process.Command(process.Context(t), "serve", "--config", path)
	cmd.Env = append(cmd.Env, "HOOKWHEEL_API_TOKEN="+systemToken, "HOOKWHEEL_API_LISTEN="+process.NodeAddress(base, 1),
		"HOOKWHEEL_DATA="+t.TempDir(), "HOOKWHEEL_STORAGE_MIN_FREE=1", "HOOKWHEEL_VERSION=1", "HOOKWHEEL_API_DRAIN=0s")
	p := process.StartCommand(t, cmd)
	c := newCaller(t, base, 1)
	c.awaitHealth(t, 1)
	logged := func(text string) bool {
		log, err := os.ReadFile(p.Log)
		return err == nil && strings.Contains(string(log), text)
	}
	if !logged("the environment variable HOOKWHEEL_VERSION is no setting") {
		t.Error("a variable that nothing reads is not in the log")
	}
	hangUp := func(want string) {
		t.Helper()
		if err := p.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		wait.For(t, "the log has "+want, func() bool { return logged(want) })
	}
	write("log_level = \"debug\"\ndata = \"ignored, as a variable has it\"\nlimits {\n endpoints = 7\n}\n")
	hangUp(`changed="[log_level limits.endpoints]"`)
	write("log_level = \"loud\"\n")
	hangUp(path + ":1:13: log_level must be")

	args := []string{"config", "reload", "--url", c.nodes[0], "--token", systemToken}
	if _, said, err := command(t, nil, args...); err == nil || !strings.Contains(said, path+":1:13: log_level must be") {
		t.Errorf("reload of a bad file: %s%v", said, err)
	}
	write("api {\n max_body = \"2MiB\"\n}\n")
	out, said, err := command(t, nil, args...)
	if err != nil || !strings.Contains(out, "n1: in effect: log_level, limits.endpoints\n") || !strings.Contains(out, "n1: only after a restart: api.max_body\n") {
		t.Errorf("reload: %s%s%v", out, said, err)
	}
	if code := p.Stop(t); code != 0 {
		t.Errorf("the node ended with %d", code)
	}
}
