package migrate

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"hookwheel/webhook"
)

const sourceToken = "token-of-the-source"

// fakeNode is a Hookwheel node in memory, as far as imports use it. The tests of real processes
// import into a real one.
type fakeNode struct {
	objects map[string]map[string]any // by path
	writes  int
	failAt  int    // this write fails, for good; 0: none
	lose    int    // the response to this write is lost
	refuse  string // writes to paths that end so are refused
	role    string // of the token; empty: admin
}

func newFakeNode() *fakeNode { return &fakeNode{objects: map[string]map[string]any{}} }

func notFound() error { return &webhook.Error{Code: webhook.CodeNotFound, Detail: "not found"} }

func (n *fakeNode) Call(_ context.Context, method, path string, in, out any) error {
	text, err := json.Marshal(in)
	if err != nil {
		return err
	}
	body := map[string]any{}
	if in != nil {
		if err := json.Unmarshal(text, &body); err != nil {
			return err
		}
	}
	var result map[string]any
	if method == http.MethodGet {
		result, err = n.get(path)
	} else {
		n.writes++
		if n.writes == n.failAt {
			return &webhook.Error{Code: webhook.CodeNoSpace, Detail: "the disk is full"}
		}
		if n.refuse != "" && strings.HasSuffix(path, n.refuse) {
			return &webhook.Error{Code: webhook.CodeLimit, Detail: "too many"}
		}
		result, err = n.write(method, path, body)
		if n.writes == n.lose {
			return io.ErrUnexpectedEOF
		}
	}
	if err != nil || out == nil {
		return err
	}
	if text, err = json.Marshal(result); err != nil {
		return err
	}
	return json.Unmarshal(text, out)
}

func (n *fakeNode) get(path string) (map[string]any, error) {
	switch path {
	case "/auth/whoami":
		return map[string]any{"role": cmp.Or(n.role, "admin")}, nil
	case "/cluster/configuration":
		return map[string]any{"data": []any{map[string]any{"name": "limits.endpoints", "value": "3"}}}, nil
	}
	name, part := path, ""
	for _, suffix := range []string{"/secret", "/headers"} {
		if cut, is := strings.CutSuffix(path, suffix); is {
			name, part = cut, suffix
		}
	}
	object := n.objects[name]
	switch {
	case object == nil:
		return nil, notFound()
	case part == "/secret":
		return map[string]any{"key": object["secret"]}, nil
	case part == "/headers":
		headers, sensitive := map[string]any{}, []string{}
		for name, value := range object["headers"].(map[string]any) {
			if webhook.SensitiveHeader(name) {
				sensitive = append(sensitive, name)
			} else {
				headers[name] = value
			}
		}
		return map[string]any{"headers": headers, "sensitive": sensitive}, nil
	}
	return object, nil
}

func (n *fakeNode) write(method, path string, body map[string]any) (map[string]any, error) {
	if name, is := strings.CutSuffix(path, "/secret/rotate"); is {
		n.objects[name]["secret"] = body["key"]
		return nil, nil
	}
	if name, is := strings.CutSuffix(path, "/headers"); is {
		maps.Copy(n.objects[name]["headers"].(map[string]any), body["headers"].(map[string]any))
		return nil, nil
	}
	if method == http.MethodPatch {
		if n.objects[path] == nil {
			return nil, notFound()
		}
		maps.Copy(n.objects[path], body)
		return n.objects[path], nil
	}
	name, _ := body["uid"].(string)
	if path == "/event-type" {
		name, _ = body["name"].(string)
		if schemas, _ := body["schemas"].(map[string]any); schemas["bad"] != nil {
			return nil, webhook.Invalid("schemas/bad", "is not a JSON Schema")
		}
	}
	object := path + "/" + name
	if n.objects[object] != nil {
		return nil, &webhook.Error{Code: webhook.CodeConflict, Detail: "exists"}
	}
	types, _ := body["eventTypes"].([]any)
	for _, name := range types {
		switch t := n.objects["/event-type/"+name.(string)]; {
		case t == nil:
			return nil, webhook.Invalid("eventTypes", "there is no event type "+name.(string))
		case t["archived"] == true:
			return nil, webhook.Invalid("eventTypes", "archived")
		}
	}
	if strings.HasSuffix(path, "/endpoint") && body["secret"] == nil {
		body["secret"] = "whsec_" + strings.Repeat("bmV3", 8)
	}
	if body["headers"] == nil {
		body["headers"] = map[string]any{}
	}
	body["id"] = fmt.Sprint("id", n.writes)
	n.objects[object] = body
	return body, nil
}

// fakeSvix answers as the OpenAPI document of Svix says.
type fakeSvix struct {
	types, apps []string            // JSON of each
	endpoints   map[string][]string // by the id of the application
	parts       map[string]string   // by path: what follows an endpoint
	perPage     int
	intercept   func(w http.ResponseWriter, r *http.Request, call int) (done bool)

	mu    sync.Mutex
	calls int
}

func (f *fakeSvix) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.calls++
	call := f.calls
	f.mu.Unlock()
	if r.Header.Get("Authorization") != "Bearer "+sourceToken {
		respond(w, 401, `{"code":"authentication_failed","detail":"Invalid token `+r.Header.Get("Authorization")+`"}`)
		return
	}
	if f.intercept != nil && f.intercept(w, r, call) {
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/api/v1")
	switch part, is := f.parts[path]; {
	case is:
		respond(w, 200, part)
	case path == "/event-type":
		f.page(w, r, f.types)
	case path == "/app":
		f.page(w, r, f.apps)
	case strings.Count(path, "/") == 2:
		for _, app := range f.apps {
			if strings.Contains(app, `"`+strings.TrimPrefix(path, "/app/")+`"`) {
				respond(w, 200, app)
				return
			}
		}
		respond(w, 404, `{"code":"not_found","detail":"Entity not found"}`)
	case strings.HasSuffix(path, "/endpoint"):
		list, known := f.endpoints[strings.Split(path, "/")[2]]
		if !known {
			respond(w, 404, `{"code":"not_found","detail":"Application not found"}`)
			return
		}
		f.page(w, r, list)
	case strings.HasSuffix(path, "/secret"):
		respond(w, 200, `{"key":"whsec_`+strings.Repeat("c2Vj", 8)+`"}`)
	case strings.HasSuffix(path, "/headers"):
		respond(w, 200, `{"headers":{},"sensitive":[]}`)
	case strings.HasSuffix(path, "/transformation"):
		respond(w, 200, `{"code":null,"enabled":false,"variables":null,"updatedAt":null}`)
	case strings.HasSuffix(path, "-config"):
		respond(w, 200, `{"enabled":false,"config":null}`)
	default:
		w.WriteHeader(404) // of the router: without a body
	}
}

func (f *fakeSvix) page(w http.ResponseWriter, r *http.Request, list []string) {
	limit, err := strconv.Atoi(r.URL.Query().Get("limit"))
	if err != nil || limit < 1 || limit > 250 {
		respond(w, 422, `{"detail":[{"loc":["query","limit"],"msg":"Validation error","type":"value_error"}]}`)
		return
	}
	if f.perPage > 0 {
		limit = f.perPage
	}
	from := 0
	if text := r.URL.Query().Get("iterator"); text != "" {
		if from, err = strconv.Atoi(strings.TrimPrefix(text, "it_")); err != nil {
			respond(w, 422, `{"detail":[{"loc":["query","iterator"],"msg":"Invalid iterator","type":"value_error"}]}`)
			return
		}
	}
	to := min(from+limit, len(list))
	iterator := "null"
	if len(list) > 0 {
		iterator = fmt.Sprintf(`"it_%d"`, to)
	}
	respond(w, 200, fmt.Sprintf(`{"data":[%s],"iterator":%s,"prevIterator":null,"done":%t,"later":{"a":[1]}}`,
		strings.Join(list[from:to], ","), iterator, to == len(list)))
}

func respond(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}

// start serves the source and returns what reads it.
func start(t testing.TB, handler http.Handler, make func(url, token string) (Source, error)) Source {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	source, err := make(server.URL, sourceToken)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

func (f *fakeSvix) source(t testing.TB, apps ...string) Source {
	t.Helper()
	source := start(t, f, func(url, token string) (Source, error) { return NewSvix(url, token, apps, func(string) {}) })
	source.(*svix).backoff = time.Millisecond
	return source
}

// result is an import, and its report as it is in a file.
type result struct {
	*Report
	text  string
	items []Item
	err   error
}

func importInto(t testing.TB, n API, source Source, o Options) *result {
	t.Helper()
	var file, shown strings.Builder
	report, err := NewReport("svix", "https://source.example", o.DryRun, &file)
	if err != nil {
		t.Fatal(err)
	}
	if o.Say == nil {
		o.Say = func(string) {}
	}
	r := newRun(source, n, report, o, time.Millisecond)
	r.maxTypes = 4
	cause := r.all(t.Context())
	if err := report.Finish(cause); err != nil {
		t.Fatal(err)
	}
	report.Print(&shown, cause)
	var parsed struct {
		Items    []Item
		Complete bool
		Error    string
	}
	if err := json.Unmarshal([]byte(file.String()), &parsed); err != nil {
		t.Fatalf("the report is no JSON: %v: %s", err, file.String())
	}
	if parsed.Complete != (cause == nil) || (parsed.Error == "") != (cause == nil) || (cause != nil) != strings.Contains(shown.String(), "INCOMPLETE") {
		t.Errorf("an import that ended with %v is reported as complete: %t, %q", cause, parsed.Complete, parsed.Error)
	}
	return &result{Report: report, text: file.String() + shown.String(), items: parsed.Items, err: cause}
}

// item returns what the report says of an object.
func (r *result) item(t testing.TB, id string) Item {
	t.Helper()
	i := slices.IndexFunc(r.items, func(item Item) bool { return item.SourceID == id })
	if i < 0 {
		t.Fatalf("%s is not in the report: %s", id, r.text)
	}
	return r.items[i]
}

// total returns the number of objects with a result.
func (r *result) expect(t testing.TB, want map[Result]int) {
	t.Helper()
	if r.err != nil {
		t.Error(r.err)
	}
	for _, result := range results {
		if got := r.Counts.total(result); got != want[result] {
			t.Errorf("%d objects are %s, want %d: %s", got, result, want[result], r.text)
		}
	}
}
