package migrate

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// fakeConvoy answers as the OpenAPI document of Convoy says, for a project.
type fakeConvoy struct {
	project       string
	types         []string
	endpoints     []string            // JSON of each; the owner is between "owner_id":" and "
	subscriptions map[string][]string // by endpoint
	filters       map[string]string   // by subscription; nil: the server is older
}

func (f *fakeConvoy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, is := strings.CutPrefix(r.URL.Path, "/api/v1/projects/p1")
	query := r.URL.Query()
	switch {
	case !is || r.Header.Get("Authorization") != "Bearer "+sourceToken:
		respond(w, 401, `{"status":false,"message":"authorization failed"}`)
	case path == "":
		respond(w, 200, `{"status":true,"message":"ok","data":`+f.project+`}`)
	case path == "/event-types":
		respond(w, 200, `{"status":true,"message":"ok","data":[`+strings.Join(f.types, ",")+`]}`)
	case path == "/endpoints":
		var list []string
		for _, e := range f.endpoints {
			if owner := query.Get("ownerId"); owner == "" || strings.Contains(e, `"owner_id":"`+owner+`"`) {
				list = append(list, e)
			}
		}
		respondConvoyPage(w, list, query.Get("next_page_cursor"))
	case strings.HasPrefix(path, "/endpoints/"):
		for _, e := range f.endpoints {
			if strings.Contains(e, `"uid":"`+strings.TrimPrefix(path, "/endpoints/")+`"`) {
				respond(w, 200, `{"status":true,"message":"ok","data":`+e+`}`)
				return
			}
		}
		respond(w, 404, `{"status":false,"message":"endpoint not found"}`)
	case path == "/subscriptions":
		respondConvoyPage(w, f.subscriptions[query.Get("endpointId")], query.Get("next_page_cursor"))
	case f.filters != nil && strings.HasSuffix(path, "/filters"):
		respond(w, 200, `{"status":true,"message":"ok","data":[`+f.filters[strings.Split(path, "/")[2]]+`]}`)
	default:
		w.WriteHeader(404)
	}
}

// respondConvoyPage responds with one item.
func respondConvoyPage(w http.ResponseWriter, list []string, cursor string) {
	from := len(cursor)
	to := min(from+1, len(list))
	respond(w, 200, fmt.Sprintf(`{"status":true,"message":"ok","data":{"content":[%s],"pagination":{"per_page":1,"has_next_page":%t,"has_prev_page":false,"prev_page_cursor":"","next_page_cursor":"%s"}}}`,
		strings.Join(list[from:to], ","), to < len(list), strings.Repeat("c", to)))
}

func (f *fakeConvoy) source(t testing.TB, owners ...string) Source {
	t.Helper()
	source := start(t, f, func(url, token string) (Source, error) { return NewConvoy(url, token, "p1", owners, func(string) {}) })
	source.(*convoy).backoff = time.Millisecond
	return source
}

const convoySecret = "convoy-made-this-secret12"

// newFakeConvoy has endpoints of an owner and without one, with all that can be copied.
func newFakeConvoy() *fakeConvoy {
	endpoint := func(id, owner, more string) string {
		return `{"uid":"` + id + `","project_id":"p1","owner_id":"` + owner + `","name":"Name of ` + id + `","url":"https://` + id + `.example/","description":"","status":"active",
			"rate_limit":0,"rate_limit_duration":0,"http_timeout":10,"content_type":"application/json","advanced_signatures":false,"authentication":null,"failure_rate":null,
			"secrets":[{"uid":"s0","value":"old-secret-that-expires-soon","expires_at":"2030-01-01T00:00:00Z"},{"uid":"s1","value":"` + convoySecret + `","expires_at":null}],"deleted_at":null` + more + `}`
	}
	subscription := func(id, types, more string) string {
		return `{"uid":"` + id + `","name":"s","type":"api","filter_config":{"event_types":[` + types + `],"filter":{"headers":null,"body":null,"is_flattened":false}},"function":null` + more + `}`
	}
	return &fakeConvoy{
		project: `{"uid":"p1","name":"P","type":"outgoing","config":{"signature":{"header":"X-Acme-Signature","versions":[{"uid":"v","hash":"SHA256","encoding":"hex"}]}}}`,
		types: []string{`{"uid":"t1","name":"invoice.paid","description":"Paid","category":"invoice","json_schema":{"type":"object"},"deprecated_at":null}`,
			`{"uid":"t2","name":"*","description":"","category":"","json_schema":null,"deprecated_at":null}`},
		endpoints: []string{
			endpoint("e1", "acme", `,"rate_limit":100,"rate_limit_duration":60,"authentication":{"type":"api_key","api_key":{"header_name":"X-Key","header_value":"k"}}`),
			endpoint("e2", "acme", `,"status":"paused","authentication":{"type":"basic_auth","basic_auth":{"username":"u","password":"[REDACTED]"}}`),
			endpoint("e3", "", `,"advanced_signatures":true,"content_type":"application/x-www-form-urlencoded"`),
			endpoint("e4", "a b", ``),
			`{"uid":"e5","owner_id":7}`,
		},
		subscriptions: map[string][]string{
			"e1": {subscription("s1", `"invoice.paid"`, ``), subscription("s2", `"invoice.void","invoice.paid"`, ``)},
			"e2": {subscription("s3", `"invoice.paid","*"`, `,"function":"function transform(p) {}"`)},
			"e3": {subscription("s4", `"*"`, ``)},
		},
		filters: map[string]string{"s4": `{"uid":"f","subscription_id":"s4","event_type":"*","body":{"amount":{"$gt":5}},"headers":{},"enabled_at":null}`},
	}
}

func TestConvoy(t *testing.T) {
	n, f := newFakeNode(), newFakeConvoy()
	importInto(t, n, f.source(t), Options{DryRun: true}).expect(t, map[Result]int{Copied: 9, Skipped: 1})
	done := importInto(t, n, f.source(t), Options{})
	done.expect(t, map[Result]int{Copied: 9, Skipped: 1}) // invoice.void, which is only named, is one
	for path, want := range map[string]map[string]any{
		"/app/acme":                             {"name": "acme"},
		"/app/acme/endpoint/e1":                 {"throttleRate": 1.0, "secret": convoySecret, "signatureStyle": "hex", "eventTypes": []any{"invoice.paid", "invoice.void"}, "headers": map[string]any{"X-Key": "k"}},
		"/app/acme/endpoint/e2":                 {"eventTypes": nil, "metadata": map[string]any{"name": "Name of e2"}},
		"/app/e3/endpoint/e3":                   {"eventTypes": nil},
		"/app/was_a-b-c8687a08aa5d/endpoint/e4": {"url": "https://e4.example/"},
	} {
		for field, value := range want {
			if got := n.objects[path][field]; n.objects[path] == nil || fmt.Sprint(got) != fmt.Sprint(value) {
				t.Errorf("%s of %s is %v, want %v", field, path, got, value)
			}
		}
		if strings.Contains(path, "/endpoint/") && n.objects[path]["disabled"] != true {
			t.Errorf("%s is not disabled", path)
		}
	}
	for id, want := range map[string][]string{
		"e1": {"verifies the header X-Acme-Signature", "100 messages in 60 seconds is 1 per second"},
		"e2": {"a function", "Authorization"}, "e4": {"no subscription"},
	} {
		i := done.item(t, id)
		for _, note := range want {
			if !strings.Contains(fmt.Sprint(i.Notes), note) {
				t.Errorf("the notes of %s are %s, want %q", id, i.Notes, note)
			}
		}
	}
	if strings.Contains(done.text, convoySecret) {
		t.Error("a secret is in the report")
	}
	for _, note := range []string{"which Hookwheel does not make", "a filter on the payload", "x-www-form-urlencoded"} {
		if !strings.Contains(done.text, note) {
			t.Errorf("the report does not say %q", note)
		}
	}
	writes := n.writes
	f.filters = nil // an older server
	importInto(t, n, f.source(t), Options{Update: true}).expect(t, map[Result]int{Unchanged: 8, Skipped: 1})
	if n.writes != writes {
		t.Errorf("a second import wrote %d times", n.writes-writes)
	}
	if r := importInto(t, newFakeNode(), f.source(t, "acme"), Options{}); r.Counts[KindEndpoint][Copied] != 2 || r.Counts[KindApplication][Copied] != 1 {
		t.Errorf("of one owner: %v", r.Counts)
	}
}

func TestConvoyRefuses(t *testing.T) {
	f := newFakeConvoy()
	crowded := f.source(t)
	crowded.(*convoy).maxOwners = 1
	if r := importInto(t, newFakeNode(), crowded, Options{}); r.err == nil || !strings.Contains(r.err.Error(), "more than 1 owners") {
		t.Errorf("two owners where there may be one: %v", r.err)
	}
	for _, owner := range []string{"acem", ""} {
		n := newFakeNode()
		if r := importInto(t, n, f.source(t, owner), Options{}); r.err == nil || !strings.Contains(r.err.Error(), "no endpoints of this owner") || r.Counts[KindApplication][Copied] > 0 {
			t.Errorf("the owner %q, who is not there: %v", owner, r.err)
		}
	}
	f.project = `{"uid":"p1","type":"incoming"}`
	if r := importInto(t, newFakeNode(), f.source(t), Options{}); r.err == nil || !strings.Contains(r.err.Error(), "receives webhooks") {
		t.Errorf("a project that receives: %v", r.err)
	}
	source := start(t, newFakeSvix(), func(url, token string) (Source, error) { return NewConvoy(url, token, "p1", nil, func(string) {}) })
	if r := importInto(t, newFakeNode(), source, Options{}); r.err == nil {
		t.Error("Svix was taken for Convoy")
	}
}
