package httpapi_test

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"hookwheel/config"
	"hookwheel/httpapi/apitest"
)

// FuzzAPI sends any body and any query to each operation that takes them. The response is never a
// 5xx, and always conforms to the document.
func FuzzAPI(f *testing.F) {
	node := apiStart(f, func(c *config.Config) { // sends nothing to anybody
		c.Delivery.Allow, c.Delivery.Deny = nil, []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	})
	var app, endpoint, message apiThing
	node.call("POST", "/app", `{"name":"Acme"}`, 201, &app)
	node.call("POST", "/app/"+app.ID+"/endpoint", `{"url":"https://example.com"}`, 201, &endpoint)
	node.call("POST", "/app/"+app.ID+"/msg", `{"eventType":"a","payload":{}}`, 202, &message)
	node.call("POST", "/event-type", `{"name":"a","description":""}`, 201, nil)
	operations := fuzzedOperations(f, strings.NewReplacer("{app}", app.ID, "{endpoint}", endpoint.ID, "{msg}", message.ID, "{event_type}", "a",
		"{attempt}", "atmpt_000000000000000000000000000", "{task}", "qtask_000000000000000000000000000", "{key}", "key_000000000000000000000000000"))
	seeds := []string{``, `null`, `{}`, `{"name":5,"url":[],"payload":"x","eventType":{},"since":0,"headers":{"a":1},"schemas":[]}`,
		`{"name":"x","url":"https://x","payload":{},"eventType":"a","since":"2026-01-31T12:00:00Z","headers":{"A":"b"},"description":"","role":"reader"}`}
	for i := range operations {
		for _, body := range seeds {
			f.Add(uint8(i), []byte(body), "limit=2&with_content=x&status=9&order=&after=0&iterator=-")
			f.Add(uint8(i), []byte(body), "")
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, body []byte, query string) {
		a := &api{t, node.url, node.node}
		op := operations[int(which)%len(operations)]
		path := op.Path
		if query != "" && !strings.ContainsFunc(query, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '#' || r == '%' }) {
			path += "?" + query
		}
		if op.Method == http.MethodGet {
			body = nil
		}
		if response, text := a.raw(op.Method, path, "Bearer "+apiToken, body); response.StatusCode >= 500 {
			t.Errorf("%s %s %q: %d %s", op.Method, path, body, response.StatusCode, text)
		}
	})
}

// fuzzedOperations are those of the document but for the ones that end something, change the
// cluster, or do not end.
func fuzzedOperations(t testing.TB, names *strings.Replacer) (list []apitest.Operation) {
	t.Helper()
	described, err := apitest.Operations()
	if err != nil {
		t.Fatal(err)
	}
	for op := range described {
		if op.Method == http.MethodDelete || op.Method == http.MethodHead || !strings.HasPrefix(op.Path, "/api/v1/") ||
			strings.HasPrefix(op.Path, "/api/v1/cluster") || strings.HasSuffix(op.Path, "/tail") {
			continue
		}
		list = append(list, apitest.Operation{Method: op.Method, Path: names.Replace(op.Path)})
	}
	slices.SortFunc(list, func(a, b apitest.Operation) int { return strings.Compare(a.Path+a.Method, b.Path+b.Method) })
	return list
}
