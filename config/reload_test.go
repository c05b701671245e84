package config

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Each setting either changes or is named as one that needs a restart, alone and whatever its
// value is. docs/configuration.md lists those that change.
func TestReloadOfEachSetting(t *testing.T) {
	other := map[string]string{"node": "other", "data": "/other", "log_level": "debug", "log_format": "json", "api.access_log": "true", "encryption_keys": configTestSecret, "api.listen": ":1", "api.token": configTestSecret,
		"api.jwt_secret": configTestSecret, "api.portal_url": "https://a.example/portal", "api.cors": "https://a.example", "api.metrics": "token", "api.max_body": "1048577",
		"api.max_batch": "16777215", "api.tails": "8", "api.drain": "1s", "api.pprof": "true", "portal.listen": ":2", "portal.frame_ancestors": "*",
		"portal.refresh_url": "https://a.example/", "storage.min_free": "1GiB", "storage.max_size": "1GiB", "storage.max_endpoints": "1GiB", "storage.retention": "2h", "delivery.timeout": "1s",
		"delivery.workers": "511", "delivery.per_endpoint": "63", "delivery.allow": "10.0.0.0/8", "delivery.deny": "8.8.8.0/24", "delivery.proxy": "http://a:b@c:1",
		"delivery.no_proxy": "a.example", "delivery.source_addresses": "203.0.113.7", "delivery.disable_after": "1d", "delivery.retry.schedule": "1s",
		"delivery.retry.jitter": "0.1", "delivery.breaker.window": "1s", "delivery.breaker.min_attempts": "1", "delivery.breaker.failure_rate": "0.1",
		"delivery.breaker.probe": "1s", "delivery.breaker.max_probe": "1h",
		"tracing.endpoint": "http://collector:4318", "tracing.headers": "a=b", "tracing.sample": "0.5", "tracing.propagate_to": "*",
		"backup.to": "file:///backups", "backup.every": "1h", "backup.keep": "3", "backup.keep_for": "1d", "backup.encryption_key": configTestSecret, "backup.s3.endpoint": "https://s3.example",
		"backup.s3.region": "eu-central-1", "backup.s3.path_style": "false", "backup.s3.ca": "ca.pem", "backup.s3.access_key_id": "id", "backup.s3.secret_access_key": "secret",
		"backup.s3.session_token": "token"}
	for name := range configSchema {
		if name == "limits" {
			for _, key := range configSchema[name].keys {
				other["limits."+key] = "7"
			}
		}
	}
	path := filepath.Join(t.TempDir(), "hookwheel.hcl")
	if err := os.WriteFile(path, []byte(apiBlock+"tracing {\n endpoint = \"http://localhost:4318\"\n}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	var changes []string
	for _, name := range settingNames() {
		value := other[name]
		if value == "" {
			if !strings.HasPrefix(name, "cluster.") && !strings.HasPrefix(name, "api.tls.") && !strings.HasPrefix(name, "delivery.retry.") {
				t.Errorf("no other value for %s", name)
			}
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Setenv(Variable(name), value)
			next, err := before.Reload()
			if err != nil {
				t.Fatal(err)
			}
			now, changed, restart := before.With(&next)
			affected := slices.Concat(changed, restart)
			if name == "node" { // the only peer has its name
				affected = slices.DeleteFunc(affected, func(name string) bool { return name == peerSetting })
			}
			if !slices.Equal(affected, []string{name}) {
				t.Errorf("changed %v, restart %v", changed, restart)
			}
			if len(changed) > 0 {
				changes = append(changes, name)
			}
			shown := now.Effective()
			setting := shown[slices.IndexFunc(shown, func(s Setting) bool { return s.Name == name })]
			if fromNew := setting.Source == Variable(name); fromNew != (len(changed) > 0) {
				t.Errorf("%+v, changed %v", setting, changed)
			}
			if _, again, _ := now.With(&next); len(again) > 0 {
				t.Errorf("it changes twice: %v", again)
			}
		})
	}
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text2, _ := strings.Cut(string(text), "\n## Reloading\n")
	table, _, _ := strings.Cut(text2, "\nEverything else")
	var documented []string
	for _, match := range regexp.MustCompile("`([a-z_.]+)`").FindAllStringSubmatch(table, -1) {
		if _, is := changeable[match[1]]; is {
			documented = append(documented, match[1])
		}
	}
	slices.Sort(documented)
	if !slices.Equal(documented, changes) {
		t.Errorf("docs/configuration.md lists %v\nbut there change %v", documented, changes)
	}
}

func TestReloadOfSecrets(t *testing.T) {
	a, b := Default(), Default()
	for _, setting := range a.Effective() {
		if _, known := a.exact()[setting.Name]; setting.Secret && !known {
			t.Errorf("a change of %s would not be seen", setting.Name)
		}
	}
	a.API.Token, b.API.Token = configTestToken, configTestSecret
	if _, changed, _ := a.With(&b); !slices.Equal(changed, []string{"api.token"}) {
		t.Errorf("changed: %v", changed)
	}
	if same, err := a.Reload(); err != nil || same.API.Token != configTestToken {
		t.Errorf("a configuration that was not loaded: %+v, %v", same, err)
	}
}
