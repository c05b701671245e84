package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"hookwheel/delivery/receivertest"
	"hookwheel/webhook"
)

// postOnce makes a POST with an idempotency key.
func (a *api) postOnce(path, key, body string) (int, string) {
	a.t.Helper()
	return a.postOnceAs(apiToken, path, key, body)
}

func (a *api) postOnceAs(token, path, key, body string) (int, string) {
	a.t.Helper()
	request, err := http.NewRequest("POST", a.url+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("idempotency-key", key)
	response, text := a.do(request)
	return response.StatusCode, string(text)
}

// Every POST gives its first answer again and takes effect once; with another body it is refused.
func TestIdempotencyKeys(t *testing.T) {
	a := apiStart(t)
	var app apiThing
	a.call("POST", "/app", `{"name":"first","uid":"acme"}`, 201, &app)
	path := "/app/" + app.ID
	var endpoint, msg apiThing
	a.call("POST", path+"/endpoint", `{"url":"http://127.0.0.1:9/","disabled":true}`, 201, &endpoint)
	a.call("POST", path+"/msg", `{"eventType":"a","payload":{}}`, 202, &msg)
	at := path + "/endpoint/" + endpoint.ID
	for _, test := range []struct {
		path, body, other string
		list              string // where its effect is seen
	}{
		{"/app", `{"name":"a"}`, `{"name":"b"}`, "/app?limit=250"},
		{"/app?get_if_exists=true", `{"name":"a","uid":"acme"}`, `{"name":"c","uid":"new"}`, "/app?limit=250"},
		{path + "/endpoint", `{"url":"http://127.0.0.1:9/"}`, `{"url":"http://127.0.0.1:10/"}`, path + "/endpoint"},
		{path + "/msg", `{"eventType":"a.b","payload":{"n": 1},"channels":["x"]}`, `{"eventType":"c","payload":{"n": 2}}`, path + "/msg"},
		{path + "/msg?with_content=false", `{"eventType":"a.b","payload":{"n": 1}}`, `{"eventType":"a.b","payload":{"n": 2}}`, path + "/msg"},
		{path + "/msg", `{"eventType":"a.b","eventId":"e1","payload":{}}`, `{"eventType":"a.b","eventId":"e1","payload":{}}`, path + "/msg"},
		{"/app/inline/msg", `{"eventType":"a","payload":{"n":1},"application":{"name":"a","uid":"inline"}}`,
			`{"eventType":"a","payload":{"n":2},"application":{"name":"b","uid":"inline"}}`, "/app?limit=250"},
		{"/app/inline/msg?n=2", `{"eventType":"a","payload":{"n":1}}`, `{"eventType":"a","payload":{"n":2}}`, "/app/inline/msg"},
		{"/event-type", `{"name":"x.y","description":"a"}`, `{"name":"x.y","description":"b"}`, "/event-type"},
		{at + "/recover", `{"since":"2026-01-01T00:00:00Z","until":"2026-01-02T00:00:00Z"}`, `{"since":"2026-01-01T00:00:00Z","until":"2026-01-03T00:00:00Z"}`, "/background-task"},
		{at + "/send-example", `{"eventType":"svix.ping"}`, `{"eventType":"svix.ping"}`, path + "/msg"},
		{at + "/pause", ``, ``, path + "/endpoint"},
		{at + "/resume", `{"from":"now"}`, `{"from":"cursor"}`, path + "/endpoint"},
		{at + "/secret/rotate", `{}`, `{"key":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}`, path + "/endpoint"},
		{path + "/msg/" + msg.ID + "/endpoint/" + endpoint.ID + "/resend", ``, ``, path + "/msg"},
	} {
		count := func() int {
			var list struct{ Data []json.RawMessage }
			a.call("GET", test.list, "", 200, &list)
			return len(list.Data)
		}
		key := fmt.Sprint("auto_", test.path, len(test.body))
		status, first := a.postOnce(test.path, key, test.body)
		if status >= 300 {
			t.Fatalf("%s: %d %s", test.path, status, first)
		}
		before := count()
		again, text := a.postOnce(test.path, key, test.body)
		if again != status || text != first {
			t.Errorf("%s was answered %d %s, and when repeated %d %s", test.path, status, first, again, text)
		}
		if test.other != test.body {
			if again, text = a.postOnce(test.path, key, test.other); again != 422 || !strings.Contains(text, `"idempotency_key_reused"`) {
				t.Errorf("%s with another body: %d %s", test.path, again, text)
			}
		}
		if after := count(); after != before {
			t.Errorf("%s took effect more than once: %d things, then %d", test.path, before, after)
		}
	}
	var secret apiThing
	a.call("GET", at+"/secret", "", 200, &secret)
	if strings.HasSuffix(secret.Key, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") {
		t.Error("a repeated rotation put in another secret")
	}
}

// A key that comes with another path or query is refused, and only POSTs have one; a refusal does
// not use it up.
func TestIdempotencyKeyScope(t *testing.T) {
	a := apiStart(t)
	if status, text := a.postOnce("/app", "k", `{"name":""}`); status != 422 {
		t.Fatal(status, text)
	}
	const body = `{"name":"a","url":"http://127.0.0.1:9/"}`
	status, text := a.postOnce("/app", "k", body)
	var first apiThing
	if err := json.Unmarshal([]byte(text), &first); err != nil || status != 201 {
		t.Fatal(status, text, err)
	}
	for _, path := range []string{"/app?x=1", "/app/" + first.ID + "/endpoint", "/event-type"} {
		if status, text := a.postOnce(path, "k", body); status != 422 || path != "/event-type" && !strings.Contains(text, "idempotency_key_reused") {
			t.Errorf("POST %s: %d %s", path, status, text)
		}
	}
	if status, _ := a.postOnce("/app?x=1", "k2", body); status != 201 {
		t.Error("another key", status)
	}
	if again, same := a.postOnce("/%61pp/", "k", body); again != 201 || same != text {
		t.Errorf("another way to write the path: %d %s", again, same)
	}
}

// health is of now in each response, also in one that is kept.
var health = regexp.MustCompile(`,"health":\{[^}]*\}`)

// The answer stays the same whatever becomes of the thing: a producer that repeats a request must
// not take it for one that has failed.
func TestIdempotencyKeyOutlivesThings(t *testing.T) {
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"http://127.0.0.1:9/","uid":"e","disabled":true}`, 201, nil)
	for _, name := range []string{"x.y", "old"} {
		a.call("POST", "/event-type", `{"name":"`+name+`","description":"","schemas":{"1":{"examples":[{"a":1}]}}}`, 201, nil)
	}
	receiver := receivertest.Start(t, nil)
	const since = `{"since":"2026-01-01T00:00:00Z","until":"2026-01-02T00:00:00Z"}`
	requests := [][2]string{
		{"/app/acme/msg", `{"eventType":"a","payload":{"n": 1},"eventId":"e1"}`},
		{"/app/acme/msg?with_content=false", `{"eventType":"a","payload":{"n": 1}}`},
		{"/app/acme/msg/batch", `[{"eventType":"a","payload":{"n": 1}},{"eventType":"a","payload":7},{"eventType":"a","payload":{"n":2},"eventId":"e1"}]`},
		{"/app/acme/msg/batch", `[{"eventType":"a","payload":7}]`},
		{"/app/acme/endpoint", `{"url":"http://127.0.0.1:9/","uid":"f","headers":{"X-Team":"a"}}`},
		{"/app/acme/endpoint/e/send-example", `{"eventType":"x.y"}`},
		{"/app/acme/endpoint/e/recover", since},
		{"/app/acme/endpoint/e/pause", ``},
		{"/app/acme/endpoint/e/resume", `{"from":"2026-01-01T00:00:00Z"}`},
		{"/app/acme/endpoint/e/secret/rotate", `{}`},
		{"/app/acme/msg/e1/endpoint/e/resend", ``},
		{"/auth/app-portal-access/acme", `{}`},
		{"/key", `{"name":"k","role":"application","applicationId":"acme"}`},
		{"/auth/app/acme/expire-all", ``},
		{"/app", `{"name":"New","uid":"new"}`},
		{"/app/inline/msg", `{"eventType":"a","payload":{},"application":{"name":"a","uid":"inline"}}`},
		{"/event-type", `{"name":"x.z","description":"first"}`},
		{"/event-type/import/openapi", `{"replaceAll":true,"spec":{"openapi":"3.1.0","webhooks":{"x.y":{"post":{"description":"d"}},"x.z":{"post":{"description":"first"}},"imported":{"post":{}}}}}`},
		{"/operational-webhook/endpoint", `{"url":"http://127.0.0.1:9/","uid":"o"}`},
		{"/app/acme/endpoint/e/msg/test-attempt", `{"eventType":"x.y"}`},
		{"/app/acme/msg/test-attempt", `{"eventType":"x.y","url":"` + receiver.URL + `"}`},
	}
	type reply struct {
		status int
		text   string
	}
	firsts := make([]reply, len(requests))
	for i, r := range requests {
		firsts[i].status, firsts[i].text = a.postOnce(r[0], fmt.Sprint("k", i), r[1])
		if firsts[i].status >= 300 {
			t.Fatal(r, firsts[i])
		}
	}
	repeat := func(when string) {
		t.Helper()
		for i, r := range requests {
			if status, text := a.postOnce(r[0], fmt.Sprint("k", i), r[1]); status != firsts[i].status || health.ReplaceAllString(text, "") != health.ReplaceAllString(firsts[i].text, "") {
				t.Errorf("%s, POST %s: %d %s, at first %d %s", when, r[0], status, text, firsts[i].status, firsts[i].text)
			}
		}
	}
	repeat("at once")
	a.call("PUT", "/event-type/x.y", `{"description":"edited","schemas":{"1":{"examples":[{"never":"sent"}]}}}`, 200, nil)
	a.call("PUT", "/event-type/x.z", `{"description":"edited"}`, 200, nil)
	repeat("with edited event types")
	for _, name := range []string{"x.y", "x.z", "old", "imported"} {
		a.call("DELETE", "/event-type/"+name+"?expunge=true", "", 204, nil)
	}
	a.call("DELETE", "/operational-webhook/endpoint/o", "", 204, nil)
	repeat("without event types")
	a.call("DELETE", "/app/acme/msg/e1/content", "", 204, nil)
	a.call("DELETE", "/app/acme/endpoint/f", "", 204, nil)
	repeat("without payload and endpoint")
	a.call("DELETE", "/app/acme", "", 204, nil)
	a.call("DELETE", "/app/inline", "", 204, nil)
	a.call("DELETE", "/app/new", "", 204, nil)
	repeat("without application")
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	repeat("with another application of the same uid")
	var list apiList
	a.call("GET", "/app/acme/msg", "", 200, &list)
	if len(list.Data) != 0 {
		t.Errorf("repetitions took effect: %d messages", len(list.Data))
	}
	if a.call("GET", "/event-type", "", 200, &list); len(list.Data) != 0 {
		t.Errorf("repetitions took effect: %d event types", len(list.Data))
	}
	if n := len(receiver.Arrivals()); n != 1 {
		t.Errorf("a test was made %d times", n)
	}
}

// Of requests with one key that come at the same time one takes effect, and those that ask for
// something else are refused.
func TestIdempotencyKeyAtOnce(t *testing.T) {
	a := apiStart(t)
	var app apiThing
	a.call("POST", "/app", `{"name":"a"}`, 201, &app)
	responses, states := make([]string, 32), make([]int, 32)
	var wg sync.WaitGroup
	for i := range responses {
		wg.Go(func() {
			states[i], responses[i] = a.postOnce("/app/"+app.ID+"/msg", "k", fmt.Sprintf(`{"eventType":"a","payload":{"n":%d}}`, i%2))
		})
	}
	wg.Wait()
	made, kept := 0, ""
	for i, text := range responses {
		switch {
		case states[i] == 202 && (kept == "" || text == kept):
			made, kept = made+1, text
		case states[i] != 422:
			t.Errorf("%d %s, and %s", states[i], text, kept)
		}
	}
	var list apiList
	a.call("GET", "/app/"+app.ID+"/msg", "", 200, &list)
	if len(list.Data) != 1 || made != 16 {
		t.Errorf("%d messages, %d equal answers", len(list.Data), made)
	}
}

// What a key's token is derived from is more than the word that the caller chose, which is
// forgotten after 12 hours: in another cluster, which has not seen it either, its secret is another
// one.
func TestIdempotencyKeyGivesNewSecret(t *testing.T) {
	secrets := make(map[string]bool)
	for range 2 {
		a := apiStart(t)
		a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
		for path, body := range map[string]string{"/key": `{"name":"shop","role":"producer"}`, "/auth/app-portal-access/acme": ``} {
			var tokens [16]string
			var wg sync.WaitGroup
			for i := range tokens { // at once, and then again
				wg.Go(func() {
					var made authKey
					if status, text := a.postOnce(path, "always "+path, body); json.Unmarshal([]byte(text), &made) != nil {
						t.Errorf("POST %s: %d %s", path, status, text)
					}
					tokens[i] = made.Token
				})
			}
			wg.Wait()
			for _, token := range tokens {
				if token == "" || token != tokens[0] {
					t.Errorf("POST %s gives the tokens %q and %q", path, token, tokens[0])
				}
			}
			if status := a.as(tokens[0], "GET", "/auth/whoami", ""); status != 200 {
				t.Errorf("the token of POST %s: %d", path, status)
			}
			_, secret, _ := webhook.ParseToken(tokens[0])
			if secrets[secret] {
				t.Errorf("POST %s gives a secret that was known", path)
			}
			secrets[secret] = true
		}
	}
}

// A short request of a portal can cause a large response to be kept for hours, so all of them are
// bounded together. Other callers are not affected, nor are repetitions and requests without a key.
func TestKeptResponsesOfPortals(t *testing.T) {
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app", `{"name":"Other","uid":"other"}`, 201, nil)
	portal, other := a.portalToken("acme"), a.portalToken("other")
	const resume = "/app/acme/endpoint/e/resume"
	endpoint := fmt.Sprintf(`{"uid":"e","url":"http://127.0.0.1:9/%s","description":"%s","headers":%s}`,
		strings.Repeat("&", 7000), strings.Repeat("d", 4000), jsonHeaders(60, 490))
	if status, text := a.postOnceAs(portal, "/app/acme/endpoint", "made", endpoint); status != 201 {
		t.Fatal(status, text)
	}
	refused := 0
	for i := 0; refused == 0 && i < 2000; i++ {
		switch status, text := a.postOnceAs(portal, resume, fmt.Sprint("k", i), `{}`); {
		case status == 429 && strings.Contains(text, "16384 KiB"):
			refused = i
		case status != 200:
			t.Fatal(status, text)
		}
	}
	var health struct{ StoreBytes int64 }
	if a.call("GET", "/health", "", 200, &health); refused == 0 || health.StoreBytes > 20<<20 {
		t.Errorf("the store has %d bytes after %d requests", health.StoreBytes, refused)
	}
	for _, r := range []struct{ token, path, key string }{
		{portal, resume, "k0"}, {portal, resume, ""}, {apiToken, resume, "mine"}, {other, "/app/other/endpoint", "made"},
	} {
		body := `{}`
		if r.token == other {
			body = endpoint
		}
		if status, text := a.postOnceAs(r.token, r.path, r.key, body); status >= 300 {
			t.Errorf("POST %s with key %q: %d %s", r.path, r.key, status, text)
		}
	}
}

// A request that finds things as it wants them has taken effect, too.
func TestIdempotencyKeyWithoutChange(t *testing.T) {
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"http://127.0.0.1:9/","uid":"e"}`, 201, nil)
	const at = "/app/acme/endpoint/e"
	for _, key := range []string{"first", "second", "second"} {
		if status, text := a.postOnce(at+"/pause", key, ""); status != 200 {
			t.Fatal(status, text)
		}
	}
	a.call("POST", at+"/resume", `{}`, 200, nil)
	if status, text := a.postOnce(at+"/pause", "second", ""); status != 200 {
		t.Error(status, text)
	}
	var e struct{ Health struct{ State string } }
	if a.call("GET", at, "", 200, &e); e.Health.State == "paused" {
		t.Error("a repeated request took effect late")
	}
}
