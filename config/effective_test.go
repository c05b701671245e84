package config

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// Effective has every setting that a file may have. An exponential retry is shown as its schedule.
func TestEffectiveIsComplete(t *testing.T) {
	want := slices.DeleteFunc(settingNames(), func(name string) bool {
		return slices.Contains([]string{"delivery.retry.base", "delivery.retry.factor", "delivery.retry.max_retries"}, name)
	})
	config := Default()
	var got []string
	for _, setting := range config.Effective() {
		got = append(got, setting.Name)
		if !setting.Default {
			t.Errorf("%s of the default configuration is not shown as default", setting.Name)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("shown: %v\nwant:  %v", got, want)
	}
}

func TestEffectiveHidesSecrets(t *testing.T) {
	const secret = "do-not-show-this-secret"
	config := Default()
	config.API.Token, config.API.JWTSecret, config.Cluster.Secret, config.EncryptionKeys = secret, secret, secret, []string{secret}
	config.Tracing.Headers = http.Header{"Authorization": {secret}}
	config.Delivery.Proxy = &url.URL{Scheme: "http", User: url.UserPassword(secret, secret), Host: "proxy.example:3128"}
	config.Backup.EncryptionKey, config.Backup.S3.SecretAccessKey, config.Backup.S3.SessionToken = secret, secret, secret
	shown := make(map[string]Setting)
	for _, setting := range config.Effective() {
		shown[setting.Name] = setting
		if strings.Contains(setting.Value, secret) {
			t.Errorf("%s shows the secret", setting.Name)
		}
	}
	for _, name := range []string{"api.token", "api.jwt_secret", "cluster.secret", "encryption_keys", "tracing.headers",
		"backup.encryption_key", "backup.s3.secret_access_key", "backup.s3.session_token"} {
		if s := shown[name]; !s.Secret || s.Value != "set" || s.Default {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if s := shown["delivery.proxy"]; s.Value != "http://proxy.example:3128" {
		t.Errorf("the proxy: %+v", s)
	}
	for name, want := range map[string]string{
		"storage.retention": "30d", "api.max_body": "1 MiB", "api.metrics": "open", "delivery.retry.schedule": `["5s","5m","30m","2h","5h","10h","10h"]`,
		"cluster.peer": `{"n1":"127.0.0.1:9071"}`, "log_level": "info", "delivery.allow": "",
	} {
		if s := shown[name]; s.Value != want || !s.Default {
			t.Errorf("%s: %+v, want %q", name, s, want)
		}
	}
}
