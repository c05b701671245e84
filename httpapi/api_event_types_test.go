package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

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
