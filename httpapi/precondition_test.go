package httpapi_test

import (
	"net/http"
	"strings"
	"testing"
)

// ifMatch makes a request for the states of an object that tag names.
func (a *api) ifMatch(method, path, tag, body string) (*http.Response, []byte) {
	a.t.Helper()
	request, err := http.NewRequest(method, a.url+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+apiToken)
	if tag != "" {
		request.Header.Set("If-Match", tag)
	}
	return a.do(request)
}

// Of two changes to the same state of an endpoint, only the first is made.
func TestIfMatch(t *testing.T) {
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	const path = "/app/acme/endpoint/e"
	if response, body := a.ifMatch("PUT", path, `"AAAAAAAAAAAAAAAA"`, `{"url":"http://127.0.0.1:1","uid":"e"}`); response.StatusCode != 412 {
		t.Errorf("created although a state was named: %d %s", response.StatusCode, body)
	}
	if response, body := a.ifMatch("PUT", path, "*", `{"url":"http://127.0.0.1:1","uid":"e"}`); response.StatusCode != 412 {
		t.Errorf("created although any state was named: %d %s", response.StatusCode, body)
	}
	response, _ := a.ifMatch("PUT", path, "", `{"url":"http://127.0.0.1:1","uid":"e"}`)
	first := response.Header.Get("ETag")
	if response.StatusCode != 201 || len(first) != 18 {
		t.Fatalf("%d, ETag %s", response.StatusCode, first)
	}
	if response, _ = a.ifMatch("GET", path, "", ""); response.Header.Get("ETag") != first {
		t.Errorf("read: ETag %s, want %s", response.Header.Get("ETag"), first)
	}
	response, body := a.ifMatch("PATCH", path, first, `{"description":"mine"}`)
	second := response.Header.Get("ETag")
	if response.StatusCode != 200 || second == first {
		t.Fatalf("%d %s, ETag %s", response.StatusCode, body, second)
	}
	for _, tag := range []string{first, "W/" + second, `"other", ` + first, "x", second[1 : len(second)-1]} {
		for _, method := range []string{"PATCH", "PUT"} {
			response, body := a.ifMatch(method, path, tag, `{"url":"http://127.0.0.1:2"}`)
			if response.StatusCode != 412 || !strings.Contains(string(body), `"precondition_failed"`) {
				t.Errorf("%s with %s: %d %s", method, tag, response.StatusCode, body)
			}
		}
	}
	if response, body := a.ifMatch("PATCH", path, "", `{"description":"anybody's"}`); response.StatusCode != 200 {
		t.Errorf("without a condition: %d %s", response.StatusCode, body)
	}
	response, _ = a.ifMatch("GET", path, "", "")
	if response, body := a.ifMatch("PATCH", path, `"other", `+response.Header.Get("ETag"), `{"description":"theirs"}`); response.StatusCode != 200 {
		t.Errorf("one of several: %d %s", response.StatusCode, body)
	}
	if response, body := a.ifMatch("PUT", path, "*", `{"url":"http://127.0.0.1:3","uid":"e"}`); response.StatusCode != 200 {
		t.Errorf("any state: %d %s", response.StatusCode, body)
	}
}

// What holds for endpoints holds for all that two people may change at the same time.
func TestIfMatchElsewhere(t *testing.T) {
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	for path, bodies := range map[string][2]string{
		"/app/acme":               {`{"name":"Mine","uid":"acme"}`, `{"name":"Theirs","uid":"acme"}`},
		"/app/none":               {`{"name":"Mine","uid":"none"}`, `{"name":"Theirs","uid":"none"}`},
		"/event-type/paid":        {`{"description":"mine"}`, `{"description":"theirs"}`},
		"/environment/settings":   {`{"displayName":"Mine"}`, `{"displayName":"Theirs"}`},
		"/app/acme/endpoint/made": {`{"url":"http://127.0.0.1:1","uid":"made"}`, `{"url":"http://127.0.0.1:2","uid":"made"}`},
	} {
		if response, body := a.ifMatch("PUT", path, `"AAAAAAAAAAAAAAAA"`, bodies[0]); response.StatusCode != 412 {
			t.Errorf("%s: another state: %d %s", path, response.StatusCode, body)
		}
		response, body := a.ifMatch("PUT", path, "", bodies[0])
		first := response.Header.Get("ETag")
		if response.StatusCode > 201 || len(first) != 18 {
			t.Fatalf("%s: %d %s, ETag %s", path, response.StatusCode, body, first)
		}
		if response, _ := a.ifMatch("GET", path, "", ""); response.Header.Get("ETag") != first {
			t.Errorf("%s: read: ETag %s, want %s", path, response.Header.Get("ETag"), first)
		}
		response, body = a.ifMatch("PUT", path, first, bodies[1])
		second := response.Header.Get("ETag")
		if response.StatusCode != 200 || second == first {
			t.Errorf("%s: %d %s, ETag %s", path, response.StatusCode, body, second)
		}
		for _, method := range []string{"PUT", "PATCH"} {
			if method == "PATCH" && path == "/environment/settings" {
				continue // has no PATCH
			}
			if response, body := a.ifMatch(method, path, first, bodies[0]); response.StatusCode != 412 {
				t.Errorf("%s %s: the state before: %d %s", method, path, response.StatusCode, body)
			}
		}
		if response, _ := a.ifMatch("GET", path, "", ""); response.Header.Get("ETag") != second {
			t.Errorf("%s: changed although another state was named", path)
		}
	}
}
