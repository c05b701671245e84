package httpapi_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"hookwheel/config"
)

// TestSvixRotateSecret rotates a secret as the SDKs do: those before 2.7 expect no body and fail if
// there is one, the others decode the key.
func TestSvixRotateSecret(t *testing.T) {
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", `{"url":"http://127.0.0.1:1/","uid":"e"}`, 201, nil)
	for agent, want := range map[string]int{
		"svix-libs/1.99.1/java":                             204,
		"svix-libs/1.98.0/kotlin kotlin/2.0.21 jre/17.0.15": 204,
		"svix-libs/2.6.0/go":                                204,
		"svix-libs/2.7.0/python":                            200,
		"svix-libs/2.10.1/java":                             200,
		"svix-libs/10.0.0/rust":                             200,
		"svix-libs/new/rust":                                200,
		"curl/8.5.0":                                        200,
	} {
		for range 2 { // SDKs repeat a request with its key
			request, err := http.NewRequest("POST", a.url+"/api/v1/app/acme/endpoint/e/secret/rotate", strings.NewReader(`{"gracePeriodSeconds":0}`))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("User-Agent", agent)
			request.Header.Set("Authorization", "Bearer "+apiToken)
			request.Header.Set("Idempotency-Key", agent)
			if response, text := a.do(request); response.StatusCode != want || (len(text) == 0) != (want == 204) {
				t.Errorf("%s: %d %s", agent, response.StatusCode, text)
			}
		}
	}
}

// TestSvixContract holds the smaller things that the tests of Svix and its SDKs expect.
func TestSvixContract(t *testing.T) {
	a := apiStart(t)
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)

	var who struct{ PermissionSource, AppID string }
	a.call("GET", "/auth/whoami", "", 200, &who)
	if who.PermissionSource != "Unknown" || who.AppID != "" {
		t.Errorf("whoami: %+v", who)
	}
	response, text := a.raw("GET", "/api/v1/auth/whoami", "Bearer "+a.portalToken("acme"), nil)
	if response.StatusCode != 200 || !strings.Contains(string(text), `"appId":"app_`) {
		t.Errorf("whoami of a portal: %d %s", response.StatusCode, text)
	}

	for _, body := range []string{"null", " null\n", "{}", ""} {
		a.call("POST", "/auth/dashboard-access/acme", body, 200, nil)
		a.call("POST", "/auth/app-portal-access/acme", body, 200, nil)
	}
	a.call("POST", "/auth/dashboard-access/acme", "nul", 422, nil)
	a.call("POST", "/app", "null", 422, nil) // this body is not optional

	a.call("POST", "/event-type", `{"name":"x","description":"","schemas":{"1":{"type":"object"}}}`, 201, nil)
	var event struct{ Schemas map[string]any }
	a.call("PATCH", "/event-type/x", `{"schemas":{}}`, 200, &event)
	if event.Schemas == nil {
		t.Error("an empty object of schemas became null")
	}
	a.call("PATCH", "/event-type/x", `{"schemas":null}`, 200, &event)
	if event.Schemas != nil {
		t.Error("null is no longer null", event.Schemas)
	}
	a.call("PATCH", "/event-type/x", `{"name":"not a name"}`, 422, nil) // although the path decides
	for length, want := range map[int]int{256: 201, 257: 422} {
		key := strings.Repeat("k", length)
		if status, text := a.postOnce("/app", key, `{"name":"A"}`); status != want || want == 422 && !strings.Contains(text, `"loc":["header","idempotency-key"]`) {
			t.Errorf("an idempotency key of %d bytes: %d %s", length, status, text)
		}
	}
	for iterator, want := range map[string]int{"BAD-$$$ITERATOR": 422, "%2Ba b": 422, "-": 422, "%2B": 422, "x": 200, "%2Bx": 200, "-x": 200, "": 200} {
		a.call("GET", "/event-type?iterator="+strings.ReplaceAll(iterator, " ", "%20"), "", want, nil)
	}
}

// TestAttemptsByTimestamp limits attempts by their timestamps, to a receiver that takes its time:
// when an attempt is recorded is of no consequence.
func TestAttemptsByTimestamp(t *testing.T) {
	a := apiStart(t, func(c *config.Config) { c.Delivery.Retry.Delays = []time.Duration{time.Hour} })
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { time.Sleep(300 * time.Millisecond) }))
	defer receiver.Close()
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	a.call("POST", "/app/acme/endpoint", fmt.Sprintf(`{"uid":"e","url":%q}`, receiver.URL), 201, nil)
	a.call("POST", "/app/acme/msg", `{"eventType":"a","eventId":"m","payload":{}}`, 202, nil)
	a.awaitAttempts("/app/acme/attempt/msg/m", 1)
	var list struct {
		Data []struct{ Timestamp time.Time }
	}
	a.call("GET", "/app/acme/attempt/msg/m", "", 200, &list)
	at := list.Data[0].Timestamp
	for _, path := range []string{"/app/acme/attempt/msg/m", "/app/acme/attempt/endpoint/e", "/app/acme/msg/m/attempt"} {
		for _, test := range []struct {
			parameter string
			offset    time.Duration
			want      int
		}{
			{"after", -time.Millisecond, 1}, {"after", 0, 0}, {"after", 100 * time.Millisecond, 0},
			{"before", time.Millisecond, 1}, {"before", 0, 0}, {"before", 100 * time.Millisecond, 1},
		} {
			query := "?" + test.parameter + "=" + at.Add(test.offset).Format(time.RFC3339Nano)
			if got := a.list(path + query); len(got.Data) != test.want {
				t.Errorf("%s%s (attempt at %s): %d attempts, want %d", path, query, at, len(got.Data), test.want)
			}
		}
	}
}
