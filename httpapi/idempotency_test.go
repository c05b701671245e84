package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// postOnce makes a POST with an idempotency key.
func (a *api) postOnce(path, key, body string) (int, string) {
	a.t.Helper()
	request, err := http.NewRequest("POST", a.url+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+apiToken)
	request.Header.Set("idempotency-key", key)
	response, text := a.do(request)
	return response.StatusCode, string(text)
}

// Every POST gives its first answer again, whatever its body says then, and takes effect once.
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
		for _, body := range []string{test.body, test.other} {
			again, text := a.postOnce(test.path, key, body)
			if again != status || text != first {
				t.Errorf("%s was answered %d %s, and when repeated %d %s", test.path, status, first, again, text)
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

// A key is one to its caller, path and query only, and only of POSTs; a refusal does not use it up.
func TestIdempotencyKeyScope(t *testing.T) {
	a := apiStart(t)
	if status, text := a.postOnce("/app", "k", `{"name":""}`); status != 422 {
		t.Fatal(status, text)
	}
	id := func(path, key, body string) string {
		t.Helper()
		status, text := a.postOnce(path, key, body)
		var made apiThing
		if err := json.Unmarshal([]byte(text), &made); err != nil || status >= 300 {
			t.Fatal(status, text, err)
		}
		return made.ID
	}
	first := id("/app", "k", `{"name":"a"}`)
	seen := map[string]bool{first: true}
	for _, other := range [][2]string{{"/app", "k2"}, {"/app?x=1", "k"}, {"/app?x=2", "k"}, {"/app/" + first + "/endpoint", "k"}} {
		made := id(other[0], other[1], `{"name":"b","url":"http://127.0.0.1:9/"}`)
		if seen[made] {
			t.Errorf("POST %s with the key %s was taken for another", other[0], other[1])
		}
		seen[made] = true
	}
	if again := id("/%61pp/", "k", `{"name":"c"}`); again != first {
		t.Error("another way to write the path is another key")
	}
}

// Of requests with one key that come at the same time one takes effect.
func TestIdempotencyKeyAtOnce(t *testing.T) {
	a := apiStart(t)
	var app apiThing
	a.call("POST", "/app", `{"name":"a"}`, 201, &app)
	answers := make([]string, 32)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() {
			_, answers[i] = a.postOnce("/app/"+app.ID+"/msg", "k", fmt.Sprintf(`{"eventType":"a","payload":{"n":%d}}`, i))
		})
	}
	wg.Wait()
	for _, text := range answers {
		if text != answers[0] || !strings.Contains(text, `"msg_`) {
			t.Errorf("%s, and %s", answers[0], text)
		}
	}
	var list apiList
	a.call("GET", "/app/"+app.ID+"/msg", "", 200, &list)
	if len(list.Data) != 1 {
		t.Errorf("%d messages", len(list.Data))
	}
}
