package httpapi_test

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hookwheel/config"
)

// Tests of pages drive them in Chromium. What they need is installed by .ci/run. With
// HOOKWHEEL_SCREENSHOTS a picture of each page is kept in that folder; with HOOKWHEEL_FLOW only
// that flow is run.

func TestPagesInBrowser(t *testing.T) { testPages(t, "flows.mjs") }

func TestLivePagesInBrowser(t *testing.T) { testPages(t, "live.mjs") }

func TestConsoleInBrowser(t *testing.T) { testPages(t, "console.mjs") }

func testPages(t *testing.T, flows string) {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("Chromium is not installed")
	}
	test := filepath.Join("pages", "test")
	if _, err := os.Stat(filepath.Join(test, "node_modules", "playwright-core")); err != nil {
		t.Skip("the npm packages are missing: cd httpapi/pages/test && npm install --no-package-lock")
	}
	a := apiStart(t, func(c *config.Config) {
		c.Portal.FrameAncestors, c.Portal.RefreshURL = []string{"http://127.0.0.1:*"}, "http://127.0.0.1:9/renew?from=portal"
		c.API.MaxBody = 1 << 20
	})
	cmd := exec.CommandContext(t.Context(), "node", flows, a.url, apiToken, chromium, os.Getenv("HOOKWHEEL_SCREENSHOTS"), os.Getenv("HOOKWHEEL_FLOW"))
	cmd.Dir = test
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}

// TestPageTypes checks the types of the pages' sources against the OpenAPI document.
func TestPageTypes(t *testing.T) {
	dir := "pages"
	tools := filepath.Join("test", "node_modules", ".bin")
	if _, err := os.Stat(filepath.Join(dir, tools, "tsc")); err != nil {
		t.Skip("the npm packages are missing: cd httpapi/pages/test && npm install --no-package-lock")
	}
	for _, args := range [][]string{
		{filepath.Join(tools, "openapi-typescript"), filepath.Join("..", "reference", "openapi.yaml"), "-o", filepath.Join("src", "openapi.d.ts")},
		{filepath.Join(tools, "tsc"), "-p", "."},
	} {
		cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", filepath.Base(args[0]), err, out)
		}
	}
}

// Pages are served with a policy, so that nothing foreign runs in them, and only once per change.
func TestPagesServed(t *testing.T) {
	a := apiStart(t, func(c *config.Config) { c.Portal.FrameAncestors = []string{"https://app.example.com"} })
	for path, ancestors := range map[string]string{
		"/portal": "'self' https://app.example.com", "/portal/endpoints/ep_1": "'self' https://app.example.com", "/console": "'none'", "/console/apps": "'none'",
	} {
		response, text := getPage(t, a.url+path, "")
		policy := response.Header.Get("Content-Security-Policy")
		if response.StatusCode != 200 || !strings.Contains(text, `<script type="module"`) {
			t.Errorf("%s: %d %.100s", path, response.StatusCode, text)
		}
		if !strings.HasPrefix(policy, "default-src 'none'; script-src 'self';") || !strings.HasSuffix(policy, "frame-ancestors "+ancestors) {
			t.Errorf("%s: policy %q", path, policy)
		}
	}
	a.call("PUT", "/environment/settings", `{"customLogoUrl":"https://img.example.com:8443/a.png","customLogoUrlDark":"https://img.example.com:8443/b.png"}`, 200, nil)
	for path, images := range map[string]string{
		"/portal":  "https://img.example.com:8443;",
		"/console": ";",
		"/portal?icon=https%3A%2F%2Ficons.example.com%2Fa.png": "https://img.example.com:8443 https://icons.example.com;",
		"/portal?icon=https%3A%2F%2Fa%3Bscript-src%20%2A%2F":   "https://img.example.com:8443;",
		"/portal?icon=javascript%3Aalert%281%29":               "https://img.example.com:8443;",
		"/portal?icon=https%3A%2F%2F%2A%2Fa.png":               "https://img.example.com:8443;",
	} {
		response, _ := getPage(t, a.url+path, "")
		if policy := response.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "img-src 'self' data: "+images) && !strings.Contains(policy, "img-src 'self' data:"+images) {
			t.Errorf("%s: policy %q", path, policy)
		}
	}
	response, _ := getPage(t, a.url+"/assets/portal.js", "")
	tag := response.Header.Get("ETag")
	if response.StatusCode != 200 || response.Header.Get("Content-Type") != "text/javascript; charset=utf-8" || tag == "" {
		t.Errorf("portal.js: %s %v", response.Status, response.Header)
	}
	if again, _ := getPage(t, a.url+"/assets/portal.js", tag); again.StatusCode != 304 {
		t.Errorf("unchanged: %s", again.Status)
	}
	for _, path := range []string{"/assets/portal.html", "/assets/nothing.js", "/assets/..%2fpages.go"} {
		if response, _ := getPage(t, a.url+path, ""); response.StatusCode != 404 {
			t.Errorf("%s: %s", path, response.Status)
		}
	}
}

// getPage gets what the OpenAPI document does not have. tag is that of an earlier response.
func getPage(t *testing.T, url, tag string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if tag != "" {
		request.Header.Set("If-None-Match", tag)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(text)
}
