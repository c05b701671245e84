package httpapi_test

import (
	"net/http"
	"testing"

	"hookwheel/config"
)

// Profiles are off by default; where they are on, only admins get them.
func TestPprof(t *testing.T) {
	get := func(a *api, token, path string) int {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), "GET", a.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	if status := get(apiStart(t), apiToken, "/debug/pprof/heap"); status != 404 {
		t.Errorf("by default: %d", status)
	}
	a := apiStart(t, func(c *config.Config) { c.API.Pprof = true })
	a.call("POST", "/app", `{"name":"a","uid":"one"}`, 201, nil)
	tokens := map[string]string{"none": "", "invalid": "x", "producer": a.newKey(`{"name":"k","role":"producer"}`).Token, "reader": a.newKey(`{"name":"k","role":"reader"}`).Token}
	var portal authKey
	a.call("POST", "/auth/app-portal-access/one", `{}`, 200, &portal)
	tokens["portal"] = portal.Token
	for caller, token := range tokens {
		want := 403
		if caller == "none" || caller == "invalid" {
			want = 401
		}
		for _, path := range []string{"heap", "profile", "cmdline"} {
			if status := get(a, token, "/debug/pprof/"+path); status != want {
				t.Errorf("%s: %s: %d, want %d", caller, path, status, want)
			}
		}
	}
	for path, want := range map[string]int{"heap?gc=1": 200, "allocs": 200, "goroutine?debug=1": 200, "mutex": 200, "block": 200, "threadcreate": 200, "profile?seconds=1": 200,
		"profile?seconds=61": 422, "heap?seconds=x": 422, "cmdline": 404, "trace": 404, "symbol": 404, "": 404} {
		if status := get(a, apiToken, "/debug/pprof/"+path); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
}
