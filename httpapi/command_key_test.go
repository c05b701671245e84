package httpapi_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"hookwheel/cli"
)

// hookwheel runs the command line against a node in this process.
func (a *api) hookwheel(args ...string) (out, said string, err error) {
	a.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := cli.New("test")
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	cmd.SetArgs(append(args, "--url", a.url, "--token", apiToken))
	err = cmd.ExecuteContext(a.t.Context())
	return stdout.String(), stderr.String(), err
}

func TestKeyCommand(t *testing.T) {
	a := apiStart(t)
	var app apiThing
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, &app)
	token, said, err := a.hookwheel("key", "create", "order service", "--role", "producer")
	token = strings.TrimSpace(token)
	if err != nil || !strings.HasPrefix(token, "hwk_") || !strings.Contains(said, "order service, producer") || strings.Contains(said, token) {
		t.Fatalf("%q %q %v", token, said, err)
	}
	if got := a.as(token, "POST", "/app/acme/msg", `{"eventType":"a","payload":{}}`); got != 202 {
		t.Error(got)
	}
	var key authKey
	out, _, err := a.hookwheel("key", "create", "portal", "--role", "application", "--app", "acme", "--read-only", "--expires", "2h", "--feature-flag", "beta", "--json")
	if err := errors.Join(err, json.Unmarshal([]byte(out), &key)); err != nil || *key.ApplicationID != app.ID || !key.ReadOnly || key.ExpiresAt == nil || key.Token == "" || key.FeatureFlags[0] != "beta" {
		t.Errorf("%s %v", out, err)
	}
	out, _, err = a.hookwheel("key", "list")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if err != nil || len(lines) != 3 || !strings.HasPrefix(lines[0], "ID ") || !strings.Contains(lines[1], "order service  producer") ||
		!strings.Contains(lines[2], "application, read-only  "+app.ID) || strings.Contains(out, token) {
		t.Errorf("%v\n%s", err, out)
	}
	out, _, err = a.hookwheel("key", "list", "--json")
	var list []authKey
	if err := errors.Join(err, json.Unmarshal([]byte(out), &list)); err != nil || len(list) != 2 || list[1].ID != key.ID || strings.Contains(out, "hwk_") {
		t.Errorf("%s %v", out, err)
	}
	if out, _, err = a.hookwheel("key", "revoke", key.ID); err != nil || !strings.Contains(out, "Key revoked") {
		t.Errorf("%q %v", out, err)
	}
	if got := a.as(key.Token, "GET", "/app/acme", ""); got != 401 {
		t.Errorf("after the revocation: %d", got)
	}
	for want, args := range map[string][]string{
		"API key not found":       {"key", "revoke", key.ID},
		`--role is required`:      {"key", "create", "x"},
		"Application not found":   {"key", "create", "x", "--role", "application", "--app", "nobody"},
		"must be admin, producer": {"key", "create", "x", "--role", "king"},
	} {
		if _, _, err := a.hookwheel(args...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
}
