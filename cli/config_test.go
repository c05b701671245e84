package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConfigCommands(t *testing.T) {
	const secret = "a-secret-of-the-test"
	file := filepath.Join(t.TempDir(), "hookwheel.hcl")
	source := "data = \"" + t.TempDir() + "\"\napi {\n listen = \"127.0.0.1:0\"\n token = \"" + secret + "\"\n}\n"
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOOKWHEEL_API_MAX_BODY", "2MiB")
	out, err := run(t, "config", "check", file)
	if err != nil || !strings.HasPrefix(out, "ok: node n1, data in ") || !strings.Contains(out, "4 settings are not defaults") {
		t.Errorf("check: %s%v", out, err)
	}
	out, err = run(t, "config", "show", file)
	if err != nil || strings.Contains(out, secret) || !strings.Contains(out, file+":4") || !strings.Contains(out, "HOOKWHEEL_API_MAX_BODY") {
		t.Errorf("show: %s%v", out, err)
	}
	out, err = run(t, "config", "show", file, "--json")
	var list []settingView
	if err != nil || json.Unmarshal([]byte(out), &list) != nil || len(list) < 50 || strings.Contains(out, secret) {
		t.Errorf("show --json: %s%v", out, err)
	}
	for _, setting := range list {
		if setting.Name == "api.max_body" && (setting.Value != "2.0 MiB" && setting.Value != "2 MiB" || setting.Default || setting.Source != "HOOKWHEEL_API_MAX_BODY") {
			t.Errorf("%+v", setting)
		}
	}
	t.Setenv("HOOKWHEEL_API_MAX_BODY", "2XiB")
	for _, command := range []string{"check", "show"} {
		out, err = run(t, "config", command, file)
		if err == nil || out != "" || exitCode(err) != exitFailed || !strings.Contains(err.Error(), "HOOKWHEEL_API_MAX_BODY: api.max_body must be a size") {
			t.Errorf("%s of a bad value: %s%v", command, out, err)
		}
	}
	if _, err = run(t, "serve"); err == nil || !strings.Contains(err.Error(), "set the environment variable HOOKWHEEL_API_TOKEN, or name a configuration file") {
		t.Errorf("serve without a configuration: %v", err)
	}
}
