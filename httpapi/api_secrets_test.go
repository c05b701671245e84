package httpapi_test

import (
	"bytes"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"hookwheel/cli"
	"hookwheel/config"
	"hookwheel/delivery/receivertest"
	"hookwheel/webhook"
)

func TestAPIHeaders(t *testing.T) {
	receiver := receivertest.Start(t, nil)
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"`+receiver.URL+`","uid":"e"}`, 201, nil)
	type headers struct {
		Headers   map[string]string
		Sensitive []string
	}
	want := func(step string, named map[string]string, sensitive ...string) {
		t.Helper()
		var got headers
		a.call("GET", "/app/acme/endpoint/e/headers", "", 200, &got)
		if !maps.Equal(got.Headers, named) || !slices.Equal(got.Sensitive, sensitive) {
			t.Errorf("%s: %+v", step, got)
		}
	}
	want("none", nil)
	a.call("PUT", "/app/acme/endpoint/e/headers", `{"headers":{"X-Team":"blue","Authorization":"Bearer x","x-gone":"1"}}`, 204, nil)
	want("put", map[string]string{"X-Team": "blue", "x-gone": "1"}, "Authorization")
	a.call("PATCH", "/app/acme/endpoint/e/headers", `{"headers":{"x-team":"red","X-Gone":null,"X-Api-Key":"k"}}`, 204, nil)
	want("patch", map[string]string{"x-team": "red"}, "Authorization", "X-Api-Key")
	a.call("PATCH", "/app/acme/endpoint/e/headers", `{"headers":{},"deleteHeaders":["authorization"]}`, 204, nil)
	want("delete", map[string]string{"x-team": "red"}, "X-Api-Key")
	a.call("PUT", "/app/acme/endpoint/e/headers", `{"headers":{"webhook-id":"x"}}`, 422, nil)
	a.call("PUT", "/app/acme/endpoint/e/headers", `{"headers":{"x":null}}`, 422, nil)
	a.call("PUT", "/app/acme/endpoint/e/headers", `{}`, 422, nil)
	a.call("PUT", "/app/acme/endpoint/e/headers", `{"headers":{}}`, 204, nil)
	want("all gone", nil)
}

func TestAPIRotateSecret(t *testing.T) {
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"http://127.0.0.1:1/","uid":"e"}`, 201, nil)
	secret := func() string {
		var out struct{ Key string }
		a.call("GET", "/app/acme/endpoint/e/secret", "", 200, &out)
		return out.Key
	}
	keys := func() []webhook.Key {
		app, err := a.node.Store().Application("acme")
		if err != nil {
			t.Fatal(err)
		}
		e, err := a.node.Store().Endpoint(app.ID, "e")
		if err != nil {
			t.Fatal(err)
		}
		return e.Keys
	}
	first := secret()
	a.call("POST", "/app/acme/endpoint/e/secret/rotate", "", 200, nil)
	second := secret()
	if first == second || !strings.HasPrefix(second, "whsec_") {
		t.Errorf("%s, then %s", first, second)
	}
	if list := keys(); len(list) != 2 || time.Until(list[1].Expires) < 23*time.Hour || time.Until(list[1].Expires) > 24*time.Hour || !list[0].Expires.IsZero() {
		t.Error("the key before does not sign for another 24 h")
	}
	private := "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
	a.call("POST", "/app/acme/endpoint/e/secret/rotate", `{"key":"`+private+`","gracePeriodSeconds":0}`, 200, nil)
	if secret() != "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=" || len(keys()) != 2 {
		t.Error("rotated to", secret())
	}
	for range webhook.MaxKeys - 2 {
		a.call("POST", "/app/acme/endpoint/e/secret/rotate", `{"key":null,"gracePeriodSeconds":604800}`, 200, nil)
	}
	response, text := a.raw("POST", "/api/v1/app/acme/endpoint/e/secret/rotate", "Bearer "+apiToken, []byte("{}"))
	if response.StatusCode != 400 || !strings.Contains(string(text), "limit_reached") {
		t.Errorf("%d %s", response.StatusCode, text)
	}
	for _, body := range []string{`{"gracePeriodSeconds":604801}`, `{"gracePeriodSeconds":-1}`, `{"gracePeriodSeconds":1.5}`, `{"key":"whpk_x"}`} {
		a.call("POST", "/app/acme/endpoint/e/secret/rotate", body, 422, nil)
	}
}

// A node gets a new key in front. Secrets encrypted with the old key are encrypted again with the
// new one, and then the old one can be removed.
func TestAPIRewrap(t *testing.T) {
	old, young := strings.Repeat("old key ", 5), strings.Repeat("new key ", 5)
	a := apiStart(t, func(c *config.Config) { c.EncryptionKeys = []string{old} })
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"http://127.0.0.1:1/","uid":"e","headers":{"authorization":"x"}}`, 201, nil)
	a.call("POST", "/app/acme/endpoint/e/secret/rotate", "", 200, nil)
	var before, after, updated struct{ Key, UpdatedAt string }
	a.call("GET", "/app/acme/endpoint/e/secret", "", 200, &before)
	data, listen := a.node.Config().Data, a.node.Config().Cluster
	if err := a.node.Close(); err != nil {
		t.Fatal(err)
	}
	restart := func(keys ...string) *api {
		return apiStart(t, func(c *config.Config) { c.Data, c.Cluster, c.EncryptionKeys = data, listen, keys })
	}
	b := restart(young, old)
	var step struct{ Rewrapped, Remaining int }
	said := new(bytes.Buffer)
	cmd := cli.New("test")
	cmd.SetOut(said)
	cmd.SetArgs([]string{"key", "rewrap", "--url", b.url, "--token", apiToken})
	if err := cmd.Execute(); err != nil || !strings.Contains(said.String(), "of 1 endpoints") {
		t.Errorf("%s %v", said, err)
	}
	b.call("POST", "/cluster/rewrap", "", 200, &step)
	if step.Rewrapped != 0 || step.Remaining != 0 {
		t.Errorf("%+v", step)
	}
	if err := b.node.Close(); err != nil {
		t.Fatal(err)
	}
	c := restart(young)
	c.call("GET", "/app/acme/endpoint/e/secret", "", 200, &after)
	c.call("GET", "/app/acme/endpoint/e", "", 200, &updated)
	var headers struct{ Sensitive []string }
	c.call("GET", "/app/acme/endpoint/e/headers", "", 200, &headers)
	if after.Key != before.Key || len(headers.Sensitive) != 1 {
		t.Errorf("%+v, %+v", after, headers)
	}
	if response, text := c.raw("POST", "/api/v1/cluster/rewrap", "", nil); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("%d %s", response.StatusCode, text)
	}
}

// Readers, and portals that may only read, see no value that may be a secret.
func TestReadersSeeNoSecrets(t *testing.T) {
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"http://TOKEN@127.0.0.1:9/","uid":"e","headers":{"X-Pin":"1234","X-Request-Id":"shown","X-Api-Key":"never"}}`, 201, nil)
	var made struct{ Token string }
	a.call("POST", "/auth/app-portal-access/acme", `{"readOnly":true}`, 200, &made)
	see := func(token string) string {
		t.Helper()
		var all []byte
		for _, path := range []string{"", "/headers"} {
			response, text := a.raw("GET", "/api/v1/app/acme/endpoint/e"+path, "Bearer "+token, nil)
			if response.StatusCode != 200 {
				t.Fatal(response.StatusCode, string(text))
			}
			all = append(all, text...)
		}
		return string(all)
	}
	for _, token := range []string{a.keyToken(`{"name":"r","role":"reader"}`), made.Token} {
		if text := see(token); strings.Contains(text, "TOKEN") || strings.Contains(text, "1234") || strings.Contains(text, "never") || !strings.Contains(text, "shown") || !strings.Contains(text, "X-Pin") {
			t.Errorf("a reader sees %s", text)
		}
	}
	if text := see(a.portalToken("acme")); !strings.Contains(text, "TOKEN") || !strings.Contains(text, "1234") || strings.Contains(text, "never") {
		t.Errorf("the owner sees %s", text)
	}
}

// A receiver that was written for another sender keeps its secret.
func TestPlainSecrets(t *testing.T) {
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	const path = "/app/acme/endpoint"
	a.call("POST", path, `{"url":"http://127.0.0.1:9/","uid":"e","secret":"my-shared-secret","signatureStyle":"hex"}`, 201, nil)
	var secret struct{ Key string }
	a.call("GET", path+"/e/secret", "", 200, &secret)
	if secret.Key != "my-shared-secret" {
		t.Errorf("%+v", secret)
	}
	a.call("PATCH", path+"/e", `{"signatureStyle":"github"}`, 200, nil)
	a.call("PATCH", path+"/e", `{"signatureStyle":"standard"}`, 422, nil)
	a.call("POST", path+"/e/secret/rotate", `{"key":"another-shared-secret"}`, 200, &secret)
	if secret.Key != "another-shared-secret" {
		t.Errorf("%+v", secret)
	}
	for range 2 { // the previous ones sign as well for a day
		a.call("PATCH", path+"/e", `{"signatureStyle":"standard"}`, 422, nil)
		a.call("POST", path+"/e/secret/rotate", `{"gracePeriodSeconds":0}`, 200, nil)
	}
	a.call("POST", path, `{"url":"http://127.0.0.1:9/","uid":"s"}`, 201, nil)
	a.call("POST", path+"/s/secret/rotate", `{"key":"another-shared-secret"}`, 422, nil)
}
