package httpapi_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"hookwheel/config"
)

// requestsUntilRefused makes requests until one is refused for their rate, and returns how many
// were answered.
func (a *api) requestsUntilRefused(t *testing.T, path, token string, limit int) int {
	t.Helper()
	for made := range limit {
		response := a.from("", "GET", path, token, "")
		switch response.StatusCode {
		case http.StatusOK:
		case http.StatusTooManyRequests:
			if response.Header.Get("Retry-After") != "1" {
				t.Errorf("Retry-After: %q", response.Header.Get("Retry-After"))
			}
			return made
		default:
			t.Fatal(response.Status)
		}
	}
	return limit
}

// Each key has a limit of its own, and a request beyond it is refused at once.
func TestRequestRateOfKeys(t *testing.T) {
	const keys, many, whoami = 2, 400, "/api/v1/auth/whoami"
	a := apiStart(t, func(c *config.Config) { c.Limits.KeyRequests = keys })
	key, other := a.newKey(`{"name":"k","role":"reader"}`).Token, a.newKey(`{"name":"k","role":"producer"}`).Token
	for name, token := range map[string]string{"key": key, "another key": other} {
		if got := a.requestsUntilRefused(t, whoami, token, many); got < keys || got == many {
			t.Errorf("%s: %d requests at once, want %d and what comes in meanwhile", name, got, keys)
		}
	}
	if got := a.requestsUntilRefused(t, whoami, apiToken, 3*keys); got != 3*keys {
		t.Errorf("the token of the configuration is limited to %d", got)
	}
	a.wantLimited(t, "key")
}

// wantLimited expects that a refused request of a kind of token was counted.
func (a *api) wantLimited(t *testing.T, kind string) {
	t.Helper()
	_, text := a.raw("GET", "/metrics", "", nil)
	if line := `hookwheel_rate_limited_requests_total{token="` + kind + `"} `; !strings.Contains(string(text), line) || strings.Contains(string(text), line+"0\n") {
		t.Errorf("no refused request of %q is counted", kind)
	}
}

// All tokens of an application have one limit together. A change that would wait for too long is
// refused, and has no effect.
func TestRequestRateOfApplications(t *testing.T) {
	a, apps, _, _ := authWorld(t, func(c *config.Config) { c.Limits.PortalRequests = 1 })
	signed := sign(t, jwt.SigningMethodHS256, []byte(jwtSecret), func(c jwt.MapClaims) { c["sub"] = apps[0].ID })
	const count, mayWait = 8, 2 // as each counts as five requests, and may wait for ten seconds
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	refused := make(chan http.Header, count)
	for i := range count {
		token := a.portalToken("one")
		if i == 0 {
			token = signed
		}
		all.Go(func() {
			request, err := http.NewRequestWithContext(ctx, "POST", a.url+"/api/v1/app/one/endpoint", strings.NewReader(`{"url":"http://127.0.0.1:9/"}`))
			if err != nil {
				t.Error(err)
				return
			}
			request.Header.Set("Authorization", "Bearer "+token)
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return // it still waited when the test ended
			}
			response.Body.Close()
			if response.StatusCode == http.StatusTooManyRequests {
				refused <- response.Header
			}
		})
	}
	for range count - mayWait {
		if header := <-refused; header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After: %q", header.Get("Retry-After"))
		}
	}
	var list apiList
	a.call("GET", "/app/one/endpoint", "", 200, &list)
	if made := len(list.Data) - 1; made > mayWait {
		t.Errorf("%d endpoints were created", made)
	}
	if got := a.requestsUntilRefused(t, "/api/v1/auth/whoami", a.portalToken("two"), 1); got != 1 {
		t.Error("another application has to wait")
	}
	cancel()
	all.Wait()
	a.wantLimited(t, "application")
}

// Metrics that need a token count among its requests.
func TestRequestRateOfMetrics(t *testing.T) {
	a := apiStart(t, func(c *config.Config) { c.API.Metrics.Token, c.Limits.KeyRequests = true, 1 })
	reader := a.newKey(`{"name":"k","role":"reader"}`).Token
	if got := a.requestsUntilRefused(t, "/metrics", reader, 100); got == 100 {
		t.Error("a key with a limit of 1 request per second may read metrics 100 times")
	}
}
