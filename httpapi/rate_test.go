package httpapi_test

import (
	"net/http"
	"strings"
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

// Each token has a limit of its own, by its kind, and a request beyond it has no effect.
func TestRequestRateLimits(t *testing.T) {
	const keys, portals, many, whoami = 2, 1, 400, "/api/v1/auth/whoami"
	a, apps, _, _ := authWorld(t, func(c *config.Config) { c.Limits.KeyRequests, c.Limits.PortalRequests = keys, portals })
	key, other := a.newKey(`{"name":"k","role":"reader"}`).Token, a.newKey(`{"name":"k","role":"producer"}`).Token
	portal, second := a.portalToken("one"), a.portalToken("one")
	signed := sign(t, jwt.SigningMethodHS256, []byte(jwtSecret), func(c jwt.MapClaims) { c["sub"] = apps[0].ID })
	for name, test := range map[string]struct {
		token string
		limit int
	}{"key": {key, keys}, "another key": {other, keys}, "portal": {portal, portals}, "another portal": {second, portals}, "JWT": {signed, portals}} {
		if got := a.requestsUntilRefused(t, whoami, test.token, many); got < test.limit || got == many {
			t.Errorf("%s: %d requests at once, want %d and what comes in meanwhile", name, got, test.limit)
		}
	}
	if got := a.requestsUntilRefused(t, whoami, apiToken, 3*keys); got != 3*keys {
		t.Errorf("the token of the configuration is limited to %d", got)
	}

	a.requestsUntilRefused(t, whoami, portal, many)
	created := 0
	for range 20 {
		response := a.from("", "POST", "/api/v1/app/one/endpoint", portal, `{"url":"http://127.0.0.1:9/"}`)
		if response.StatusCode == http.StatusCreated {
			created++
		}
	}
	var list apiList
	a.call("GET", "/app/one/endpoint", "", 200, &list)
	if created == 20 || len(list.Data) != 1+created {
		t.Errorf("%d endpoints were created, and there are %d", created, len(list.Data))
	}
	_, text := a.raw("GET", "/metrics", "", nil)
	for _, kind := range []string{"key", "application"} {
		if line := `hookwheel_rate_limited_requests_total{token="` + kind + `"} `; !strings.Contains(string(text), line) || strings.Contains(string(text), line+"0\n") {
			t.Errorf("no refused request of %q is counted", kind)
		}
	}
}

// Metrics that need a token count among its requests.
func TestRequestRateOfMetrics(t *testing.T) {
	a := apiStart(t, func(c *config.Config) { c.API.Metrics.Token, c.Limits.KeyRequests = true, 1 })
	reader := a.newKey(`{"name":"k","role":"reader"}`).Token
	if got := a.requestsUntilRefused(t, "/metrics", reader, 100); got == 100 {
		t.Error("a key with a limit of 1 request per second may read metrics 100 times")
	}
}
