package httpapi

import (
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

func TestDecodePath(t *testing.T) {
	for original, want := range map[string]string{
		"/":                         "/",
		"/api/v1/app":               "/api/v1/app",
		"/api/v1/app/":              "/api/v1/app",
		"/api/v1/app/a.b":           "/api/v1/app/a.b",
		"/api/v1/app/.hidden":       "/api/v1/app/.hidden",
		"/api/v1/app/...":           "/api/v1/app/...",
		"/api/v1/app/a..":           "/api/v1/app/a..",
		"/api/v1/app/%61cme":        "/api/v1/app/acme",
		"/api/v1/app/%252e%252e":    "/api/v1/app/%2e%2e",
		"/api/v1/app/50%":           "/api/v1/app/50%",
		"/api/v1/app/%zz":           "/api/v1/app/%zz",
		"/api/v1/event-type/a%20b/": "/api/v1/event-type/a b",
	} {
		if got, valid := decodePath([]byte(original)); !valid || string(got) != want {
			t.Errorf("%s: %q, %v, want %q", original, got, valid, want)
		}
	}
}

func TestDecodePathRefuses(t *testing.T) {
	dots := []string{".", "..", "%2e", "%2E", "%2e%2e", "%2E%2E", ".%2e", "%2E."}
	for _, dot := range dots {
		for _, path := range []string{"/api/v1/app/acme/endpoint/" + dot, "/api/v1/app/" + dot + "/endpoint/e", "/" + dot, "/api/v1/app/" + dot + "/"} {
			if got, valid := decodePath([]byte(path)); valid {
				t.Errorf("%s became %q", path, got)
			}
		}
	}
	for _, path := range []string{"", "*", "api", "//", "//api/v1/app", "/api//v1/app", "/api/v1/app//", "/api/v1/app/a%2fb", "/api/v1/app/%2F", "/api/v1/app/a%00"} {
		if got, valid := decodePath([]byte(path)); valid {
			t.Errorf("%q became %q", path, got)
		}
	}
}

// FuzzDecodePath finds whether the router ever sees other segments than those that were sent.
func FuzzDecodePath(f *testing.F) {
	for _, seed := range []string{"/", "/a/b", "/a/../b", "/a/%2e%2E/b", "//", "/%2f", "/a%", "/a/%252e%252e/b/"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, original []byte) {
		var uri fasthttp.URI
		uri.SetPathBytes(original)
		if string(uri.PathOriginal()) != string(original) || !route(&uri) {
			return
		}
		path := string(uri.PathOriginal())
		sent := strings.TrimSuffix(string(original), "/")
		if strings.Count(path, "/") != max(strings.Count(sent, "/"), 1) {
			t.Errorf("%q became %q", original, path)
		}
		for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
			if segment == "." || segment == ".." || segment == "" && path != "/" {
				t.Errorf("%q became %q", original, path)
			}
		}
	})
}
