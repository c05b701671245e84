package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"hookwheel/config"
)

const (
	corsPage  = "https://app.example.com"
	otherPage = "https://evil.example"
)

// corsAPI is a node that the pages of those origins may use.
func corsAPI(t *testing.T, origins ...string) *api {
	return apiStart(t, func(c *config.Config) { c.API.CORS = origins })
}

// from makes a request as a browser does for a page, and returns the response without its body.
func (a *api) from(origin, method, path, token, body string, headers ...string) *http.Response {
	a.t.Helper()
	request, err := http.NewRequest(method, a.url+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	if origin != "" {
		request.Header.Set("Origin", origin)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		a.t.Fatal(err)
	}
	return response
}

// A browser asks before it sends what a page wants to send. That needs no token, and the path does
// not matter.
func TestCORSPreflight(t *testing.T) {
	a := corsAPI(t, corsPage, "http://localhost:3000")
	ask := []string{"Access-Control-Request-Method", "PATCH",
		"Access-Control-Request-Headers", "authorization,content-type,idempotency-key,if-match,svix-req-id,svix-retry-count,user-agent"}
	for _, path := range []string{"/app", "/app/one/endpoint/two/headers", "/nothing", "/app/../x", "/tail?from=x", "/health", "/app?" + strings.Repeat("x", 9<<10)} {
		response := a.from(corsPage, "OPTIONS", "/api/v1"+path, "", "", ask...)
		header := response.Header
		if response.StatusCode != 204 || header.Get("Access-Control-Allow-Origin") != corsPage || header.Get("Vary") != "Origin" || header.Get("Access-Control-Max-Age") != "600" {
			t.Errorf("%.50s: %s %v", path, response.Status, header)
		}
		for name := range strings.SplitSeq(ask[3], ",") {
			if !strings.Contains(header.Get("Access-Control-Allow-Headers"), name) {
				t.Errorf("%.50s: %s is not allowed", path, name)
			}
		}
		if !strings.Contains(header.Get("Access-Control-Allow-Methods"), "PATCH") || header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%.50s: %v", path, header)
		}
	}
	for name, response := range map[string]*http.Response{
		"another page":        a.from(otherPage, "OPTIONS", "/api/v1/app", "", "", ask...),
		"a page in a sandbox": a.from("null", "OPTIONS", "/api/v1/app", "", "", ask...),
		"part of an origin":   a.from("https://app.example.co", "OPTIONS", "/api/v1/app", "", "", ask...),
		"a longer origin":     a.from(corsPage+".evil.example", "OPTIONS", "/api/v1/app", "", "", ask...),
		"another scheme":      a.from("http://app.example.com", "OPTIONS", "/api/v1/app", "", "", ask...),
		"no page":             a.from("", "OPTIONS", "/api/v1/app", "", "", ask...),
		"no preflight":        a.from(otherPage, "OPTIONS", "/api/v1/app", "", ""),
	} {
		if response.StatusCode != 405 || response.Header.Get("Access-Control-Allow-Origin") != "" || response.Header.Get("Vary") != "Origin" {
			t.Errorf("%s: %s %v", name, response.Status, response.Header)
		}
		if allow := response.Header.Get("Allow"); !strings.Contains(allow, "POST") || strings.Contains(allow, "OPTIONS") {
			t.Errorf("%s: OPTIONS is refused, with Allow: %s", name, allow)
		}
	}
	for _, path := range []string{"/metrics", "/docs", "/portal", "/"} {
		if response := a.from(corsPage, "OPTIONS", path, "", "", ask...); response.StatusCode == 204 || response.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %s %v", path, response.Status, response.Header)
		}
	}
}

// A page may read every response of the API, whatever came of the request.
func TestCORSResponses(t *testing.T) {
	for _, origins := range [][]string{{"*"}, {corsPage}, {"http://localhost:3000", corsPage}} {
		a := corsAPI(t, origins...)
		allowed, vary := corsPage, "Origin"
		if origins[0] == "*" {
			allowed, vary = "*", ""
		}
		for _, test := range []struct {
			method, path, token, body string
			status                    int
		}{
			{"GET", "/app", apiToken, "", 200},
			{"POST", "/app", apiToken, `{"name":"a","uid":"a"}`, 201},
			{"POST", "/app", apiToken, `{"name":"a","uid":"a"}`, 409},
			{"POST", "/app", apiToken, `{}`, 422},
			{"POST", "/app", "", `{"name":"a"}`, 401},
			{"GET", "/app", "", "", 401},
			{"GET", "/nothing", apiToken, "", 404},
			{"GET", "/app/../app", apiToken, "", 404},
			{"DELETE", "/app", apiToken, "", 405},
			{"POST", "/app", apiToken, strings.Repeat("x", 70<<10), 413},
			{"GET", "/app?" + strings.Repeat("x", 9<<10), apiToken, "", 414},
			{"GET", "/health", "", "", 200},
		} {
			response := a.from(corsPage, test.method, "/api/v1"+test.path, test.token, test.body)
			header := response.Header
			if response.StatusCode != test.status || header.Get("Access-Control-Allow-Origin") != allowed || header.Get("Vary") != vary ||
				!strings.Contains(header.Get("Access-Control-Expose-Headers"), "Retry-After") || header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%v: %s %.50s: %s %v", origins, test.method, test.path, response.Status, header)
			}
		}
		if response := a.from(corsPage, "GET", "/metrics", "", ""); response.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%v: pages may read metrics", origins)
		}
		response := a.from(otherPage, "GET", "/api/v1/app", apiToken, "")
		if got := response.Header.Get("Access-Control-Allow-Origin"); (got == "*") != (origins[0] == "*") || got == otherPage {
			t.Errorf("%v: another page may read: %q", origins, got)
		}
		if got := a.rawHeader("GET /api/v1/app HTTP/1.1\r\nHost: x\r\nOrigin: " + corsPage + "\r\nX: " + strings.Repeat("x", 17<<10) + "\r\n\r\n"); len(origins) == 1 && got.Header.Get("Access-Control-Allow-Origin") != allowed || got.StatusCode != 431 {
			t.Errorf("%v: a header that is too large: %s %v", origins, got.Status, got.Header)
		}
		if got := a.rawHeader("GET /api/v1/app HTTP/2.0\r\nHost: x\r\nOrigin: " + corsPage + "\r\n\r\n"); got.Header.Get("Access-Control-Allow-Origin") != allowed || got.StatusCode != 505 {
			t.Errorf("%v: another version: %s %v", origins, got.Status, got.Header)
		}
	}
}

// rawHeader sends these bytes, and returns the response without its body.
func (a *api) rawHeader(text string) *http.Response {
	a.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.url, "http://"))
	if err != nil {
		a.t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprint(conn, text); err != nil {
		a.t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		a.t.Fatal(err)
	}
	response.Body.Close()
	return response
}

// Without the setting, nothing about origins is said.
func TestCORSIsOffByDefault(t *testing.T) {
	a := apiStart(t)
	for _, response := range []*http.Response{
		a.from(corsPage, "OPTIONS", "/api/v1/app", "", "", "Access-Control-Request-Method", "GET"),
		a.from(corsPage, "GET", "/api/v1/app", apiToken, ""),
	} {
		for name := range response.Header {
			if strings.HasPrefix(name, "Access-Control-") || name == "Vary" {
				t.Errorf("%s: %v", response.Status, response.Header)
			}
		}
	}
}
