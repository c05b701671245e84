package httpapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hookwheel/cli"
	"hookwheel/config"
	"hookwheel/webhook"
)

type anyMap = map[string]any

func TestAPIChangeApplication(t *testing.T) {
	a := apiStart(t)
	var made, got anyMap
	a.call("PUT", "/app/acme", `{"name":"Acme","uid":"acme","throttleRate":5,"metadata":{"k":"v"}}`, 201, &made)
	a.call("PUT", "/app/acme", `{"name":"Acme 2","uid":"acme"}`, 200, &got)
	if got["id"] != made["id"] || got["name"] != "Acme 2" || got["throttleRate"] != nil || len(got["metadata"].(anyMap)) != 0 || got["createdAt"] != made["createdAt"] {
		t.Errorf("put: %v after %v", got, made)
	}
	a.call("PATCH", "/app/acme", `{"rateLimit":7,"metadata":{"a":"b"}}`, 200, &got)
	if got["name"] != "Acme 2" || got["throttleRate"] != 7.0 || got["rateLimit"] != 7.0 {
		t.Errorf("patch: %v", got)
	}
	a.call("PATCH", "/app/acme", `{"name":"Acme 3"}`, 200, &got)
	if got["throttleRate"] != 7.0 || got["metadata"].(anyMap)["a"] != "b" || got["uid"] != "acme" {
		t.Errorf("what is absent was changed: %v", got)
	}
	a.call("PATCH", "/app/acme", `{"throttleRate":null}`, 200, &got)
	if got["throttleRate"] != nil {
		t.Errorf("null does not clear: %v", got)
	}
	a.call("PATCH", "/app/acme", `{"name":null}`, 422, nil)
	got = nil
	a.call("PATCH", "/app/acme", `{"uid":null}`, 200, &got)
	if _, given := got["uid"]; given {
		t.Errorf("the uid stays: %v", got)
	}
	a.call("GET", "/app/acme", "", 404, nil)
	a.call("PATCH", "/app/acme", `{"name":"x"}`, 404, nil)
	a.call("DELETE", "/app/"+made["id"].(string), "", 204, nil)
	a.call("DELETE", "/app/"+made["id"].(string), "", 404, nil)
}

// Changes at the same time follow one another: none is lost, and none fails.
func TestAPIChangesRace(t *testing.T) {
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"http://127.0.0.1:1/","uid":"e"}`, 201, nil)
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			a.call("PATCH", "/app/acme/endpoint/e/headers", fmt.Sprintf(`{"headers":{"x-%d":"v"}}`, i), 204, nil)
		})
	}
	wg.Wait()
	var got struct{ Headers map[string]string }
	a.call("GET", "/app/acme/endpoint/e/headers", "", 200, &got)
	if len(got.Headers) != 6 {
		t.Errorf("lost: %v", got.Headers)
	}
}

func TestAPIChangeEndpoint(t *testing.T) {
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/event-type", `{"name":"a","description":""}`, 201, nil)
	var made, got anyMap
	a.call("PUT", "/app/acme/endpoint/e", `{"url":"http://127.0.0.1:1","uid":"e","secret":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw","headers":{"X-Team":"a"}}`, 201, &made)
	fresh := anyMap{"signatureStyle": "standard", "envelope": false, "ordering": nil, "onExhausted": "skip", "tlsVerify": true, "paused": false, "version": 1.0}
	for field, want := range fresh {
		if made[field] != want {
			t.Errorf("%s is %v, want %v", field, made[field], want)
		}
	}
	a.call("PATCH", "/app/acme/endpoint/e", `{"signatureStyle":"stripe","envelope":true,"ordering":"key","onExhausted":"block","tlsVerify":false,
		"eventTypes":["a"],"channels":["c"],"description":"d","disabled":true,"throttleRate":9}`, 200, &got)
	changed := anyMap{"signatureStyle": "stripe", "envelope": true, "ordering": "key", "onExhausted": "block", "tlsVerify": false, "description": "d", "disabled": true, "rateLimit": 9.0}
	for field, value := range changed {
		if got[field] != value {
			t.Errorf("%s is %v, want %v", field, got[field], value)
		}
	}
	if got["health"].(anyMap)["state"] != "disabled" {
		t.Errorf("health: %v", got["health"])
	}
	a.call("PATCH", "/app/acme/endpoint/e", `{"filterTypes":null,"channels":null,"ordering":null}`, 200, &got)
	if got["eventTypes"] != nil || got["channels"] != nil || got["ordering"] != nil || got["description"] != "d" {
		t.Errorf("null does not clear: %v", got)
	}
	a.call("PUT", "/app/acme/endpoint/e", `{"url":"http://127.0.0.1:2","uid":"e"}`, 200, &got)
	if got["id"] != made["id"] || got["description"] != "" || got["disabled"] != false || got["rateLimit"] != nil || got["signatureStyle"] != "stripe" {
		t.Errorf("put: %v", got)
	}
	var secret struct{ Key string }
	a.call("GET", "/app/acme/endpoint/e/secret", "", 200, &secret)
	if secret.Key != "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" {
		t.Error("the secret was changed by a replacement")
	}
	for body, loc := range map[string]string{
		`{"eventTypes":["none"]}`:      `"loc":["body","eventTypes"]`,
		`{"url":null}`:                 `"loc":["body","url"]`,
		`{"disabled":null}`:            `"loc":["body","disabled"]`,
		`{"signatureStyle":"x"}`:       `"loc":["body","signatureStyle"]`,
		`{"ordering":"x"}`:             `"loc":["body","ordering"]`,
		`{"onExhausted":7}`:            `"loc":["body","onExhausted"]`,
		`{"headers":{"Svix-Id":"x"}}`:  `"loc":["body","headers","Svix-Id"]`,
		`{"throttleRate":70000}`:       `"loc":["body","throttleRate"]`,
		`{"secret":"whsec_x"}`:         `"loc":["body","secret"]`,
		`{"channels":["a b"],"uid":7}`: `"loc":["body","uid"]`,
	} {
		response, text := a.raw("PATCH", "/api/v1/app/acme/endpoint/e", "Bearer "+apiToken, []byte(body))
		if response.StatusCode != 422 || !strings.Contains(string(text), loc) {
			t.Errorf("%s: %d %s", body, response.StatusCode, text)
		}
	}
	a.call("POST", "/app/acme/endpoint", `{"url":"http://127.0.0.1:1","uid":"other"}`, 201, nil)
	a.call("PATCH", "/app/acme/endpoint/other", `{"uid":"e"}`, 409, nil)
}

func TestAPIHeaders(t *testing.T) {
	receiver := apiReceive(t)
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

func TestAPIEventTypes(t *testing.T) {
	a := apiStart(t)
	var got anyMap
	a.call("POST", "/event-type", `{"name":"user.created","description":"A user","featureFlag":"beta","groupName":"user","schemas":{"1":{"type":"object"}}}`, 201, &got)
	if got["featureFlag"] != "beta" || got["featureFlags"].([]any)[0] != "beta" || got["groupName"] != "user" || got["archived"] != false {
		t.Errorf("%v", got)
	}
	response, text := a.raw("POST", "/api/v1/event-type", "Bearer "+apiToken, []byte(`{"name":"user.created","description":""}`))
	if response.StatusCode != 409 || !strings.Contains(string(text), "event_type_exists") {
		t.Errorf("%d %s", response.StatusCode, text)
	}
	a.call("PATCH", "/event-type/user.created", `{"deprecated":true}`, 200, &got)
	if got["deprecated"] != true || got["description"] != "A user" || got["schemas"] == nil {
		t.Errorf("%v", got)
	}
	a.call("PUT", "/event-type/user.created", `{"description":"again","name":"ignored"}`, 200, &got)
	if got["name"] != "user.created" || got["deprecated"] != false || got["schemas"] != nil || got["featureFlag"] != nil {
		t.Errorf("%v", got)
	}
	a.call("PUT", "/event-type/user.deleted", `{"description":"new"}`, 201, nil)
	a.call("DELETE", "/event-type/user.deleted", "", 204, nil)
	a.call("GET", "/event-type/user.deleted", "", 200, &got)
	if got["archived"] != true {
		t.Errorf("%v", got)
	}
	a.call("POST", "/event-type", `{"name":"user.deleted","description":"revived"}`, 201, nil)
	a.call("DELETE", "/event-type/user.deleted?expunge=true", "", 204, nil)
	a.call("GET", "/event-type/user.deleted", "", 404, nil)
	a.call("DELETE", "/event-type/user.deleted", "", 404, nil)
	for body, want := range map[string]string{
		`{"name":"x"}`:                    `"loc":["body","description"]`,
		`{"description":"x"}`:             `"loc":["body","name"]`,
		`{"name":"a b","description":""}`: `"loc":["body","name"]`,
		`{"name":"x","description":"","schemas":{"1":{"type":"objekt"}}}`:                     `"loc":["body","schemas","1"]`,
		`{"name":"x","description":"","schemas":{"1":7}}`:                                     `"loc":["body","schemas","1"]`,
		`{"name":"x","description":"","schemas":[]}`:                                          `"loc":["body","schemas"]`,
		`{"name":"x","description":"","schemas":{"1":{"$ref":"file:///etc/passwd"}}}`:         `outside of it`,
		`{"name":"x","description":"","schemas":{"1":{"$ref":"https://example.com/a.json"}}}`: `outside of it`,
	} {
		response, text := a.raw("POST", "/api/v1/event-type", "Bearer "+apiToken, []byte(body))
		if response.StatusCode != 422 || !strings.Contains(string(text), want) {
			t.Errorf("%s: %d %s", body, response.StatusCode, text)
		}
	}
}

func TestAPIEventTypePages(t *testing.T) {
	a := apiStart(t)
	var want []string
	for i := range 11 {
		want = append(want, fmt.Sprintf("-t%02d", i)) // such a name looks like an iterator that goes back
		a.call("PUT", "/event-type/"+want[i], `{"description":"","schemas":{"1":{}}}`, 201, nil)
	}
	a.call("PUT", "/event-type/zzz", `{"description":"","archived":true}`, 201, nil)
	type page struct {
		Data []struct {
			Name    string
			Schemas any
		}
		Iterator     string
		PrevIterator string
		Done         bool
	}
	get := func(iterator string) (p page, names []string) {
		a.call("GET", "/event-type?limit=4&iterator="+url.QueryEscape(iterator), "", 200, &p)
		for _, item := range p.Data {
			names = append(names, item.Name)
			if item.Schemas != nil {
				t.Error("schemas that nobody asked for")
			}
		}
		return p, names
	}
	var forward, back []string
	var p page
	for iterator := ""; !p.Done; iterator = p.Iterator {
		var names []string
		p, names = get(iterator)
		forward = append(forward, names...)
	}
	back = forward[len(forward)-len(p.Data):]
	for iterator := p.PrevIterator; iterator != ""; iterator = p.PrevIterator {
		var names []string
		p, names = get(iterator)
		back = append(names, back...)
		if p.Done {
			break
		}
	}
	if !slices.Equal(forward, want) || !slices.Equal(back, want) {
		t.Errorf("forward: %v, back: %v", forward, back)
	}
	var all page
	a.call("GET", "/event-type?include_archived=true&with_content=true", "", 200, &all)
	if len(all.Data) != 12 || all.Data[0].Schemas == nil {
		t.Errorf("%+v", all)
	}
	a.call("GET", "/event-type?limit=0", "", 422, nil)
}

func TestAPIPauseAndResume(t *testing.T) {
	receiver := apiReceive(t)
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"`+receiver.URL+`","uid":"e"}`, 201, nil)
	var got struct {
		Paused bool
		Health struct{ State, Text string }
	}
	send := func(n int) {
		a.call("POST", "/app/acme/msg", fmt.Sprintf(`{"eventType":"a","eventId":"ev%d","payload":{"n":%d}}`, n, n), 202, nil)
	}
	pause := func() {
		a.call("POST", "/app/acme/endpoint/e/pause", "", 200, &got)
		if !got.Paused || got.Health.State != "paused" || !strings.Contains(got.Health.Text, "paused by a user") {
			t.Errorf("%+v", got)
		}
	}
	arrived := func(count int) (seen []string) {
		t.Helper()
		for _, r := range receiver.await(t, count) {
			seen = append(seen, string(r.body))
		}
		return seen
	}
	pause()
	pause()
	send(1)
	send(2)
	a.call("POST", "/app/acme/endpoint/e/resume", "", 200, &got)
	if got.Paused || got.Health.State != "healthy" {
		t.Errorf("%+v", got)
	}
	if bodies := arrived(2); !slices.Equal(bodies, []string{`{"n":1}`, `{"n":2}`}) && !slices.Equal(bodies, []string{`{"n":2}`, `{"n":1}`}) {
		t.Error("drained", bodies)
	}
	pause()
	send(3)
	send(4)
	a.call("POST", "/app/acme/endpoint/e/resume", `{"from":"now"}`, 200, &got)
	send(5)
	if bodies := arrived(3); bodies[2] != `{"n":5}` {
		t.Error("passed over", bodies)
	}
	pause()
	send(6)
	time.Sleep(20 * time.Millisecond)
	at := time.Now()
	time.Sleep(20 * time.Millisecond)
	send(7)
	a.call("POST", "/app/acme/endpoint/e/resume", `{"from":"`+at.UTC().Format(time.RFC3339Nano)+`"}`, 200, &got)
	if bodies := arrived(4); bodies[3] != `{"n":7}` {
		t.Error("from a time", bodies)
	}
	for _, from := range []string{`"yesterday"`, `"2999-01-01T00:00:00Z"`, `7`, `"time"`, `"2001-01-01T00:00:00Z"`} {
		a.call("POST", "/app/acme/endpoint/e/resume", `{"from":`+from+`}`, 422, nil)
	}
	a.call("POST", "/app/acme/endpoint/none/pause", "", 404, nil)
	a.call("POST", "/app/acme/endpoint/none/resume", "", 404, nil)
	pause()
	send(8)
	a.call("POST", "/app/acme/endpoint/e/resume", `{"from":"2020-01-01T00:00:00Z"}`, 200, &got)
	again := arrived(12)[4:]
	slices.Sort(again)
	for i, body := range again {
		if body != fmt.Sprintf(`{"n":%d}`, i+1) {
			t.Fatalf("sent again: %v", again)
		}
	}
}

func TestAPIOperationalWebhooks(t *testing.T) {
	receiver := apiReceive(t)
	a := apiStart(t)
	var list apiList
	a.call("GET", "/operational-webhook/endpoint", "", 200, &list)
	if len(list.Data) != 0 || !list.Done {
		t.Errorf("%+v", list)
	}
	a.call("GET", "/operational-webhook/endpoint/o", "", 404, nil)
	a.call("POST", "/operational-webhook/endpoint", `{"url":"`+receiver.URL+`","uid":"o","filterTypes":["endpoint.created","endpoint.deleted"]}`, 201, nil)
	a.call("POST", "/operational-webhook/endpoint", `{"url":"`+receiver.URL+`","filterTypes":["none"]}`, 422, nil)
	a.call("GET", "/operational-webhook/endpoint", "", 200, &list)
	if len(list.Data) != 1 {
		t.Errorf("%+v", list)
	}
	a.call("PUT", "/operational-webhook/endpoint/o/headers", `{"headers":{"x-a":"b"}}`, 204, nil)
	a.call("GET", "/operational-webhook/endpoint/o/headers", "", 200, nil)
	a.call("POST", "/operational-webhook/endpoint/o/secret/rotate", `{}`, 200, nil)
	a.call("GET", "/operational-webhook/endpoint/o/secret", "", 200, nil)
	a.call("PUT", "/operational-webhook/endpoint/o", `{"url":"`+receiver.URL+`","uid":"o","filterTypes":["endpoint.created"]}`, 200, nil)

	var made apiThing
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"http://127.0.0.1:1/"}`, 201, &made)
	requests := receiver.await(t, 1)
	var body struct {
		Type string
		Data struct{ AppUID, EndpointID string }
	}
	err := json.Unmarshal(requests[0].body, &body)
	if err != nil || body.Type != "endpoint.created" || body.Data.AppUID != "acme" || body.Data.EndpointID != made.ID {
		t.Errorf("%+v, %v", body, err)
	}
	a.call("DELETE", "/operational-webhook/endpoint/o", "", 204, nil)
}

// A node gets a new key in front; what was sealed with the old one is sealed anew, and then the old
// one may go.
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

// A portal sees the event types that have no feature flag, or one of its own.
func TestAPIFeatureFlags(t *testing.T) {
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	for name, flags := range map[string]string{"open": "null", "beta": `["x","beta"]`, "other": `["other"]`} {
		a.call("PUT", "/event-type/"+name, `{"description":"","featureFlags":`+flags+`}`, 201, nil)
	}
	var portal struct{ Token string }
	a.call("POST", "/auth/app-portal-access/acme", `{"featureFlags":["beta"]}`, 200, &portal)
	var list struct{ Data []struct{ Name string } }
	response, text := a.raw("GET", "/api/v1/event-type", "Bearer "+portal.Token, nil)
	if err := json.Unmarshal(text, &list); err != nil || response.StatusCode != 200 {
		t.Fatalf("%d %s", response.StatusCode, text)
	}
	if len(list.Data) != 2 || list.Data[0].Name != "beta" || list.Data[1].Name != "open" {
		t.Errorf("sees %v", list.Data)
	}
	for path, want := range map[string]int{"/event-type/beta": 200, "/event-type/open": 200, "/event-type/other": 404} {
		if response, text := a.raw("GET", "/api/v1"+path, "Bearer "+portal.Token, nil); response.StatusCode != want {
			t.Errorf("%s: %d %s", path, response.StatusCode, text)
		}
	}
	if response, text := a.raw("DELETE", "/api/v1/event-type/open", "Bearer "+portal.Token, nil); response.StatusCode != 403 {
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

// To a portal without its feature flag an event type does not exist, whatever it does.
func TestHiddenEventTypesDoNotExist(t *testing.T) {
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"http://127.0.0.1:9/","uid":"e","disabled":true}`, 201, nil)
	a.call("POST", "/event-type", `{"name":"t.hidden","description":"","featureFlags":["beta"],"schemas":{"1":{"examples":[{"secret":"plan"}]}}}`, 201, nil)
	portal := a.portalToken("acme")
	for _, r := range []struct{ method, path, body string }{
		{"GET", "/event-type/%s", ""},
		{"POST", "/app/acme/endpoint/e/send-example", `{"eventType":"%s"}`},
		{"POST", "/app/acme/endpoint", `{"url":"http://127.0.0.1:9/","eventTypes":["%s"]}`},
		{"PUT", "/app/acme/endpoint/new", `{"url":"http://127.0.0.1:9/","eventTypes":["%s"]}`},
		{"PATCH", "/app/acme/endpoint/e", `{"filterTypes":["%s"]}`},
		{"PUT", "/app/acme/endpoint/e", `{"url":"http://127.0.0.1:9/","uid":"e","eventTypes":["%s"]}`},
		{"POST", "/app/acme/endpoint/e/bulk-replay", `{"since":"2026-01-01T00:00:00Z","eventTypes":["%s"]}`},
	} {
		ask := func(name string) string {
			response, text := a.raw(r.method, "/api/v1"+strings.ReplaceAll(r.path, "%s", name), "Bearer "+portal, []byte(strings.ReplaceAll(r.body, "%s", name)))
			return fmt.Sprint(response.StatusCode, strings.ReplaceAll(string(text), name, "NAME"))
		}
		hidden, missing := ask("t.hidden"), ask("t.missin")
		if hidden != missing || !strings.HasPrefix(hidden, "4") {
			t.Errorf("%s %s: %s, but of a missing one %s", r.method, r.path, hidden, missing)
		}
	}
}
