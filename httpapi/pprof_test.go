package httpapi_test

import (
	"io"
	"net/http"
	"runtime"
	"testing"

	"hookwheel/config"
	"hookwheel/systemtest/wait"
)

// Profiles are off by default; where they are on, only admins get them.
func TestPprof(t *testing.T) {
	get := func(a *api, token, path string) (status int, text string) {
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
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
	if status, _ := get(apiStart(t), apiToken, "/debug/pprof/heap"); status != 404 {
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
			if status, _ := get(a, token, "/debug/pprof/"+path); status != want {
				t.Errorf("%s: %s: %d, want %d", caller, path, status, want)
			}
		}
	}
	for path, want := range map[string]int{"heap?gc=1": 200, "allocs": 200, "goroutine?debug=1": 200, "block?seconds=1": 200, "mutex?seconds=61": 422, "threadcreate": 200, "profile?seconds=1": 200,
		"profile?seconds=61": 422, "heap?seconds=x": 422, "cmdline": 404, "trace": 404, "symbol": 404, "": 404} {
		if status, _ := get(a, apiToken, "/debug/pprof/"+path); status != want {
			t.Errorf("%s: %d, want %d", path, status, want)
		}
	}
	recorded := func() bool { return runtime.SetMutexProfileFraction(-1) > 0 }
	if recorded() {
		t.Error("waits for locks are recorded though nobody asks for them")
	}
	done := make(chan int)
	go func() {
		status, _ := get(a, apiToken, "/debug/pprof/mutex?seconds=2")
		done <- status
	}()
	wait.For(t, "waits for locks are recorded", recorded)
	if status := <-done; status != 200 || recorded() {
		t.Errorf("mutex: %d, and they are recorded still: %t", status, recorded())
	}
}
