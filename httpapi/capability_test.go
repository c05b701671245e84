package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"hookwheel/delivery/receivertest"
	"hookwheel/httpapi/apitest"
	"hookwheel/webhook"
)

// includes lists what each capability includes beside itself.
var includes = map[webhook.Capability][]webhook.Capability{
	webhook.ManageEndpointSecret: {webhook.ViewEndpointSecret},
	webhook.ManageEndpoint:       {webhook.ViewEndpointSecret, webhook.ManageEndpointSecret},
}

// tokenWith returns a token of application one with these capabilities.
func (a *api) tokenWith(list ...webhook.Capability) string {
	a.t.Helper()
	text, err := json.Marshal(map[string]any{"capabilities": list})
	if err != nil {
		a.t.Fatal(err)
	}
	var made authKey
	a.call("POST", "/auth/app-portal-access/one", string(text), 200, &made)
	return made.Token
}

// statusOfStream returns the status of a request whose response may be a stream.
func (a *api) statusOfStream(method, path, token string) int {
	a.t.Helper()
	request, err := http.NewRequest(method, a.url+path, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		a.t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

// describedOperations calls see with the operations that take tokens of applications, and with the
// capability that the OpenAPI document says each needs.
func describedOperations(t *testing.T, see func(method, path string, needs webhook.Capability)) {
	t.Helper()
	operations, err := apitest.Operations()
	if err != nil {
		t.Fatal(err)
	}
	for name, described := range operations {
		var operation struct {
			Security []struct{ Token []string }
			Needs    webhook.Capability `json:"x-capability"`
		}
		if err := json.Unmarshal(described, &operation); err != nil {
			t.Fatal(err)
		}
		if len(operation.Security) > 0 && slices.Contains(operation.Security[0].Token, "application") {
			see(name.Method, name.Path, operation.Needs)
		}
	}
}

// Each operation takes a token that has the capability of the OpenAPI document, whatever else it
// lacks, and refuses one that lacks it, whatever else it has.
func TestCapabilityOfEveryOperation(t *testing.T) {
	a, _, _, _ := authWorld(t)
	has, lacks := make(map[webhook.Capability]string), make(map[webhook.Capability]string)
	for _, c := range webhook.Capabilities {
		has[c] = a.tokenWith(webhook.ViewBase, c)
		var others []webhook.Capability
		for _, other := range webhook.Capabilities {
			if other != c && !slices.Contains(includes[other], c) {
				others = append(others, other)
			}
		}
		if c != webhook.ViewBase {
			lacks[c] = a.tokenWith(others...)
		}
	}
	names := regexp.MustCompile(`\{\w+\}`)
	seen := make(map[webhook.Capability]int)
	describedOperations(t, func(method, path string, needs webhook.Capability) {
		seen[needs]++
		path = names.ReplaceAllString(strings.ReplaceAll(path, "{app}", "one"), "nobody")
		if needs == "" {
			if path == "/api/v1/auth/logout" {
				return // which would end the token
			}
			needs = webhook.ViewBase
		}
		if got := a.statusOfStream(method, path, has[needs]); got == 401 || got == 403 {
			t.Errorf("%s %s with %s: %d", method, path, needs, got)
		}
		if token := lacks[needs]; token != "" {
			if got := a.statusOfStream(method, path, token); got != 403 {
				t.Errorf("%s %s with all but %s: %d", method, path, needs, got)
			}
		}
	})
	for _, c := range []webhook.Capability{"", webhook.ViewEndpointSecret, webhook.ManageEndpointSecret, webhook.CreateAttempts, webhook.ManageEndpoint} {
		if seen[c] == 0 {
			t.Errorf("no operation needs %q: the test shows nothing", c)
		}
	}
}

// No operation shows a secret to a token that may not see it: not the signing key, nor the password
// in a URL, nor the value of a header.
func TestSecretsNeedACapability(t *testing.T) {
	a, _, _, _ := authWorld(t)
	receiver := receivertest.Start(t, nil)
	url := strings.Replace(receiver.URL, "//", "//us:pa55word@", 1)
	a.call("POST", "/app/one/endpoint", `{"uid":"e","url":"`+url+`","headers":{"X-Key":"headerva1ue"}}`, 201, nil)
	var secret, message apiThing
	a.call("GET", "/app/one/endpoint/e/secret", "", 200, &secret)
	a.call("POST", "/app/one/msg", `{"eventType":"a","eventId":"m","payload":{}}`, 202, &message)
	attempt := a.awaitAttempts("/app/one/attempt/msg/m", 1).Data[0]
	fill := strings.NewReplacer("{app}", "one", "{endpoint}", "e", "{msg}", message.ID, "{attempt}", attempt.ID)

	viewing := a.tokenWith(webhook.ViewBase, webhook.CreateAttempts)
	seeing := a.tokenWith(webhook.ViewBase, webhook.ViewEndpointSecret)
	asked := 0
	describedOperations(t, func(method, path string, _ webhook.Capability) {
		path = fill.Replace(path)
		if method != "GET" || strings.Contains(path, "{") || strings.HasSuffix(path, "/tail") {
			return
		}
		asked++
		for token, hidden := range map[string][]string{viewing: {secret.Key, "pa55word", "headerva1ue"}, seeing: {"pa55word", "headerva1ue"}} {
			_, text := a.raw("GET", path, "Bearer "+token, nil)
			for _, hide := range hidden {
				if strings.Contains(string(text), hide) {
					t.Errorf("GET %s shows %q: %s", path, hide, text)
				}
			}
		}
	})
	if asked < 15 {
		t.Errorf("only %d operations were asked", asked)
	}
}

// A response that is kept under an idempotency key is for the token that made the request, and for
// no other one of the application.
func TestKeptResponsesNeedTheCapability(t *testing.T) {
	a, _, endpoint, _ := authWorld(t)
	post := func(token string) (int, string) {
		request, err := http.NewRequest("POST", a.url+"/api/v1/app/one/endpoint/"+endpoint.ID+"/secret/rotate", strings.NewReader(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+token)
		request.Header.Set("Idempotency-Key", "same")
		response, text := a.do(request)
		return response.StatusCode, string(text)
	}
	rotating, viewing := a.tokenWith(webhook.ViewBase, webhook.ManageEndpointSecret), a.tokenWith(webhook.ViewBase, webhook.ViewEndpointSecret)
	_, first := post(rotating)
	if status, again := post(rotating); status != 200 || again != first {
		t.Errorf("%d %s, first %s", status, again, first)
	}
	if status, text := post(viewing); status != 403 || strings.Contains(text, "whsec_") {
		t.Errorf("%d %s", status, text)
	}
}

func TestCapabilitiesAreChecked(t *testing.T) {
	a, _, _, _ := authWorld(t)
	for body, want := range map[string]int{
		`{"capabilities":null}`:                                 200,
		`{"capabilities":["ViewBase","ViewBase"]}`:              200,
		`{"capabilities":["ManageTransformations","ViewBase"]}`: 200,
		`{"capabilities":[]}`:                                   422,
		`{"capabilities":["ManageEndpoint"]}`:                   422,
		`{"capabilities":["viewbase"]}`:                         422,
		`{"capabilities":["ViewBase",""]}`:                      422,
		`{"capabilities":"ViewBase"}`:                           422,
		`{"readOnly":true,"capabilities":["ManageEndpoint"]}`:   422,
		`{"sessionId":"` + strings.Repeat("s", 257) + `"}`:      422,
		`{"sessionId":"a b"}`:                                   422,
		`{"sessionId":5}`:                                       422,
	} {
		a.call("POST", "/auth/app-portal-access/one", body, want, nil)
	}
	var made authKey
	a.call("POST", "/auth/app-portal-access/one", `{"readOnly":true,"capabilities":["ViewBase","ManageEndpoint"]}`, 200, &made)
	if got := a.as(made.Token, "POST", "/app/one/endpoint", `{"url":"http://127.0.0.1:9/"}`); got != 403 {
		t.Errorf("a read-only token may change endpoints: %d", got)
	}
	a.call("POST", "/key", `{"name":"k","role":"reader","capabilities":["ViewBase"]}`, 422, nil)
	limited := a.newKey(`{"name":"k","role":"application","applicationId":"one","capabilities":["ManageEndpoint","ViewBase"]}`)
	if !slices.Equal(limited.Capabilities, []string{"ViewBase", "ViewEndpointSecret", "ManageEndpointSecret", "ManageEndpoint"}) || limited.ReadOnly {
		t.Errorf("%+v", limited)
	}
}

// Tokens end by session; and those that are left are listed.
func TestSessions(t *testing.T) {
	a, apps, _, _ := authWorld(t)
	tokens := make(map[string]string)
	for _, session := range []string{"a", "b", ""} {
		var made authKey
		body := `{"featureFlags":["beta"],"capabilities":["ViewBase"]}`
		if session != "" {
			body = strings.Replace(body, "{", `{"sessionId":"`+session+`",`, 1)
		}
		a.call("POST", "/auth/app-portal-access/one", body, 200, &made)
		tokens[session] = made.Token
	}
	var other authKey
	a.call("POST", "/auth/app-portal-access/two", `{"sessionId":"a"}`, 200, &other)
	check := func(when string, want map[string]int) {
		t.Helper()
		for session, status := range want {
			if got := a.as(tokens[session], "GET", "/app/one", ""); got != status {
				t.Errorf("%s: session %q: %d, want %d", when, session, got, status)
			}
		}
		if got := a.as(other.Token, "GET", "/app/two", ""); got != 200 {
			t.Errorf("%s: another application: %d", when, got)
		}
	}
	var many []string
	for i := range 101 {
		many = append(many, fmt.Sprintf(`"%d"`, i))
	}
	for body, want := range map[string]int{`{"sessionIds":["nobody"]}`: 204, `{"sessionIds":"a"}`: 422, `{"sessionIds":[5]}`: 422, `{"sessionIds":["a b"]}`: 422,
		`{"sessionIds":[` + strings.Join(many, ",") + `]}`: 422, `{"sessionIds":["a"],"expiry":60}`: 204} {
		a.call("POST", "/auth/app/one/expire-all", body, want, nil)
	}
	check("before", map[string]int{"a": 200, "b": 200, "": 200})

	var list struct{ Data []authKey }
	a.call("GET", "/auth/app/one/token", "", 200, &list)
	if len(list.Data) != 3 || *list.Data[0].SessionID != "a" || list.Data[2].SessionID != nil || list.Data[0].FeatureFlags[0] != "beta" ||
		!slices.Equal(list.Data[1].Capabilities, []string{"ViewBase"}) || !list.Data[1].ReadOnly || list.Data[1].Token != "" || *list.Data[1].ApplicationID != apps[0].ID {
		t.Errorf("%+v", list)
	}
	if soon, later := list.Data[0].ExpiresAt, list.Data[1].ExpiresAt; later.Sub(*soon).Hours() < 24 {
		t.Errorf("session a ends at %s, session b at %s", soon, later)
	}

	a.call("POST", "/auth/app/one/expire-all", `{"sessionIds":["a"]}`, 204, nil)
	check("after a", map[string]int{"a": 401, "b": 200, "": 200})
	a.call("POST", "/auth/app/one/expire-all", `{"sessionIds":[]}`, 204, nil)
	check("after all", map[string]int{"a": 401, "b": 401, "": 401})
	if a.call("GET", "/auth/app/one/token", "", 200, &list); len(list.Data) != 0 {
		t.Errorf("%+v", list)
	}
}

// The keys before the present one are shown without their values while they sign.
func TestOldKeysOfSecret(t *testing.T) {
	a, _, endpoint, _ := authWorld(t)
	path := "/app/one/endpoint/" + endpoint.ID + "/secret"
	var before, now struct {
		Key     string
		OldKeys []map[string]string
	}
	a.call("GET", path, "", 200, &before)
	a.call("POST", path+"/rotate", `{"gracePeriodSeconds":3600}`, 200, nil)
	a.call("POST", path+"/rotate", `{"gracePeriodSeconds":0}`, 200, nil)
	response, text := a.raw("GET", "/api/v1"+path, "Bearer "+apiToken, nil)
	if err := json.Unmarshal(text, &now); err != nil || response.StatusCode != 200 {
		t.Fatal(err, response.Status)
	}
	if len(before.OldKeys) != 0 || len(now.OldKeys) != 1 || now.OldKeys[0]["expiresAt"] == "" || len(now.OldKeys[0]) != 1 || strings.Contains(string(text), before.Key) {
		t.Errorf("%s, before %+v", text, before)
	}
}
