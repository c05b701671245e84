package config

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"

	"hookwheel/config/certs"
)

// exampleConfig is config.example.hcl as it is shipped.
func exampleConfig(t *testing.T) string {
	t.Helper()
	source, err := os.ReadFile("../config.example.hcl")
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}

var (
	commentedSetting = regexp.MustCompile(`(?m)^( *)# ( *(?:\w+ +=.*|\w+ \{|\}))$`)
	commentedBlock   = regexp.MustCompile(`(?ms)^ *# \w+ \{\n.*?^ *# \}\n`)
)

// uncommented is the example with all settings in force, but for the given keys.
func uncommented(t *testing.T, without ...string) string {
	t.Helper()
	source := exampleConfig(t)
	if slices.Contains(without, "tls") {
		source = commentedBlock.ReplaceAllString(source, "")
	}
	return commentedSetting.ReplaceAllStringFunc(source, func(line string) string {
		setting := strings.TrimLeft(line, " #")
		if slices.Contains(without, strings.Fields(setting)[0]) {
			return ""
		}
		return setting
	})
}

// ofBackup are settings of backups that have no default to show.
var ofBackup = []string{"to", "encryption_key", "region", "access_key_id", "secret_access_key", "session_token"}

const configTestSecret = "0123456789abcdef0123456789abcdef"

func wantExample(t *testing.T) Config {
	t.Setenv("HOOKWHEEL_TOKEN", configTestToken)
	t.Setenv("HOOKWHEEL_SECRET", configTestSecret)
	want := Default()
	want.Data = "/var/lib/hookwheel"
	want.API.Token = configTestToken
	want.API.Listen = "127.0.0.1:8081" // not the port of "hookwheel dev", nor its peers'
	want.Cluster.Address = "127.0.0.1:9081"
	want.Cluster.Listen = want.Cluster.Address
	want.Cluster.Secret = configTestSecret
	want.Cluster.Peers = []Peer{{"n1", "127.0.0.1:9081"}, {"n2", "127.0.0.1:9082"}, {"n3", "127.0.0.1:9083"}}
	return want
}

func TestConfigExample(t *testing.T) {
	want := wantExample(t)
	got, err := Load("../config.example.hcl")
	if err != nil {
		t.Fatal(err)
	}
	checkConfig(t, got, want)
}

func TestConfigExampleShowsDefaults(t *testing.T) {
	want := wantExample(t)
	want.Backup.S3.CA, want.Backup.S3.Endpoint = "certs/s3-ca.pem", "https://s3.example.com"
	got := mustParseConfig(t, uncommented(t, append(slices.Clone(ofBackup), "join", "jwt_secret", "portal_url", "refresh_url", "tls", "base", "factor", "max_retries")...))
	want.Portal.Listen = ":8443"
	checkConfig(t, got, want)

	exponential := mustParseConfig(t, uncommented(t, append(slices.Clone(ofBackup), "join", "jwt_secret", "portal_url", "refresh_url", "tls", "schedule")...))
	short := uncommented(t, append(slices.Clone(ofBackup), "join", "jwt_secret", "portal_url", "refresh_url", "tls", "schedule", "factor", "max_retries", "jitter")...)
	checkConfig(t, mustParseConfig(t, short), exponential)
}

func TestConfigExampleTLS(t *testing.T) {
	want := wantExample(t)
	want.Backup.S3.CA, want.Backup.S3.Endpoint = "certs/s3-ca.pem", "https://s3.example.com"
	want.Portal.Listen = ":8443"
	want.API.TLS = certs.Files{Cert: "certs/api.pem", Key: "certs/api-key.pem"}
	want.Cluster.TLS = certs.Files{CA: "certs/ca.pem", Cert: "certs/n1.pem", Key: "certs/n1-key.pem"}
	checkConfig(t, mustParseConfig(t, uncommented(t, append(slices.Clone(ofBackup), "join", "jwt_secret", "portal_url", "refresh_url", "base", "factor", "max_retries")...)), want)
}

func TestConfigExampleShowsEveryKey(t *testing.T) {
	parsed, diags := hclsyntax.ParseConfig([]byte(uncommented(t)), "../config.example.hcl", hcl.InitialPos)
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	checkShowsKeys(t, "", parsed.Body.(*hclsyntax.Body))
}

func checkShowsKeys(t *testing.T, kind string, body *hclsyntax.Body) {
	for _, key := range configSchema[kind].keys {
		if body.Attributes[key] == nil {
			t.Errorf("the example does not show %s in block %q", key, kind)
		}
	}
	for _, inner := range configSchema[kind].blocks {
		i := slices.IndexFunc(body.Blocks, func(block *hclsyntax.Block) bool { return block.Type == inner })
		if i < 0 {
			t.Errorf("the example does not show the block %s", inner)
			continue
		}
		checkShowsKeys(t, configBlock{path: kind}.name(inner), body.Blocks[i].Body)
	}
}

func TestConfigExamplePortal(t *testing.T) {
	t.Setenv("HOOKWHEEL_JWT_SECRET", configTestToken)
	want := wantExample(t)
	want.Backup.S3.CA, want.Backup.S3.Endpoint = "certs/s3-ca.pem", "https://s3.example.com"
	want.Portal.Listen, want.Portal.RefreshURL = ":8443", "https://app.example.com/webhooks"
	want.API.JWTSecret, want.API.PortalURL = configTestToken, "https://webhooks.example.com/portal"
	checkConfig(t, mustParseConfig(t, uncommented(t, append(slices.Clone(ofBackup), "join", "tls", "base", "factor", "max_retries")...)), want)
}
