package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hookwheel/webhook"
)

var verifySecret = webhook.Secret(strings.Repeat("v", 24))

// verifyWith runs the command; stdin is the body.
func verifyWith(body string, args ...string) (string, error) {
	cmd := newVerifyCommand()
	var out bytes.Buffer
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetIn(strings.NewReader(body))
	cmd.SetOut(&out)
	cmd.SetArgs(args)
	err := cmd.Execute()
	return out.String(), err
}

func TestVerifyCommand(t *testing.T) {
	const body = `{"a":"b"}`
	now := time.Now().Unix()
	asymmetric := webhook.AsymmetricKey([]byte(strings.Repeat("k", 32)))
	headers := func(prefix string, at int64) []string {
		signatures := string(verifySecret.AppendSignature(nil, "msg_1", at, []byte(body))) + " " + string(asymmetric.AppendSignature(nil, "msg_1", at, []byte(body)))
		return []string{"-H", prefix + "-id: msg_1", "-H", fmt.Sprintf("%s-timestamp: %d", prefix, at), "-H", prefix + "-Signature:" + signatures}
	}
	signed := func(body string) []string { // signs it
		signature := verifySecret.AppendSignature(nil, "msg_1", now, []byte(body))
		return []string{"-H", "webhook-id: msg_1", "-H", fmt.Sprintf("webhook-timestamp: %d", now), "-H", "webhook-signature: " + string(signature)}
	}
	secret := []string{"--secret", verifySecret.Text()}
	file := filepath.Join(t.TempDir(), "headers")
	text := fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nStripe-Signature: %s\r\n\r\n", webhook.StyleStripe.Sign([]webhook.SigningKey{webhook.SymmetricKey(verifySecret)}, now, []byte(body)))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	with := func(lists ...[]string) (all []string) {
		for _, list := range lists {
			all = append(all, list...)
		}
		return all
	}
	github := []string{"--style", "github", "-H", "X-Hub-Signature-256: " + webhook.StyleGitHub.Sign([]webhook.SigningKey{webhook.SymmetricKey(verifySecret)}, 0, []byte(body))}
	tests := []struct {
		name string
		body string
		args []string
		want string // in the error; empty: passes
	}{
		{"webhook headers", body, with(secret, headers("webhook", now)), ""},
		{"svix headers", body, with(secret, headers("Svix", now)), ""},
		{"public key", body, with([]string{"--secret", asymmetric.PublicText()}, headers("webhook", now)), ""},
		{"one of two secrets", body, with([]string{"--secret", webhook.Secret(strings.Repeat("w", 24)).Text()}, secret, headers("webhook", now)), ""},
		{"other secret", body, with([]string{"--secret", webhook.Secret(strings.Repeat("w", 24)).Text()}, headers("webhook", now)), "not valid: no signature matches"},
		{"other body", "{}", with(secret, headers("webhook", now)), "no signature matches"},
		{"line break", body + "\n", with(secret, headers("webhook", now)), "without the line break"},
		{"no line break", "{}", with(secret, signed("{}\n")), "with a line break at the end"},
		{"converted line breaks", "{\r\n}", with(secret, signed("{\n}")), "valid with LF instead of CR LF"},
		{"byte order mark", "\ufeff" + body, with(secret, headers("webhook", now)), "without the byte order mark"},
		{"two signature headers", body, with(secret, []string{"-H", "webhook-signature: v1,AAAA"}, headers("webhook", now)), ""},
		{"milliseconds", body, with(secret, headers("webhook", now*1000)), "looks like milliseconds"},
		{"serialized again", `{ "a": "b" }`, with(secret, headers("webhook", now)), "without the spaces in the JSON"},
		{"old", body, with(secret, headers("webhook", now-3600)), "the timestamp is 1h0m"},
		{"old, tolerated", body, with(secret, headers("webhook", now-3600), []string{"--tolerance", "2h"}), ""},
		{"no headers", body, secret, "the header webhook-id is missing"},
		{"github", body, with(secret, github), ""},
		{"github, other body", "{}", with(secret, github), "no signature matches"},
		{"stripe, from a file", body, with(secret, []string{"--style", "stripe", "--headers", file}), ""},
		{"public key with a style", body, with([]string{"--secret", asymmetric.PublicText()}, github), "must be shared with the sender"},
		{"unknown style", body, with(secret, []string{"--style", "gitlab"}), "--style must be"},
		{"no secret", body, headers("webhook", now), "no secret: use --secret"},
		{"bad secret", body, []string{"--secret", "hush"}, "--secret: must begin with whsec_"},
		{"bad header", body, with(secret, []string{"-H", "webhook-id"}), "--header: expected a header"},
		{"no file", body, with(secret, []string{"--headers", file + "x"}), "no such file"},
		{"no body", body, with(secret, []string{file + "x"}), "no such file"},
	}
	for _, test := range tests {
		out, err := verifyWith(test.body, test.args...)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) || (err == nil) != strings.HasPrefix(out, "valid: ") {
			t.Errorf("%s: %q, %v, want %q", test.name, out, err, test.want)
		}
		if err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: the secret is repeated: %v", test.name, err)
		}
	}
}
