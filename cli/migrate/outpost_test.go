package migrate

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// fakeOutpost answers as the OpenAPI document of Outpost says.
type fakeOutpost struct {
	config       string // empty: it is self-hosted
	topics       string
	tenants      []string
	destinations map[string]string
	cannotList   bool
}

func (f *fakeOutpost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/api/v1")
	tenant, isList := strings.CutSuffix(strings.TrimPrefix(path, "/tenants/"), "/destinations")
	switch {
	case r.Header.Get("Authorization") != "Bearer "+sourceToken:
		respond(w, 401, `{"status":401,"message":"unauthorized"}`)
	case path == "/config" && f.config != "":
		respond(w, 200, f.config)
	case path == "/topics":
		respond(w, 200, f.topics)
	case path == "/tenants" && f.cannotList:
		respond(w, 501, `{"error":"list tenant not supported"}`)
	case path == "/tenants":
		from := len(r.URL.Query().Get("next"))
		next := "null"
		if from+1 < len(f.tenants) {
			next = `"` + strings.Repeat("n", from+1) + `"`
		}
		respond(w, 200, fmt.Sprintf(`{"models":[%s],"count":%d,"pagination":{"order_by":"created_at","dir":"asc","limit":1,"next":%s,"prev":null}}`, f.tenants[from], len(f.tenants), next))
	case isList:
		respond(w, 200, f.destinations[tenant])
	default:
		for _, text := range f.tenants {
			if strings.Contains(text, `"id":"`+tenant+`"`) {
				respond(w, 200, text)
				return
			}
		}
		respond(w, 404, `{"status":404,"message":"not found"}`)
	}
}

func (f *fakeOutpost) source(t testing.TB, tenants ...string) Source {
	t.Helper()
	source := start(t, f, func(url, token string) (Source, error) { return NewOutpost(url, token, tenants, func(string) {}) })
	source.(*outpost).backoff = time.Millisecond
	return source
}

func newFakeOutpost() *fakeOutpost {
	destination := func(id, topics, secret, more string) string {
		return `{"id":"` + id + `","type":"webhook","topics":` + topics + `,"disabled_at":null,"created_at":"2024-02-15T10:00:00Z","updated_at":"2024-02-15T10:00:00Z",
			"config":{"url":"https://` + id + `.example/"},"credentials":{"secret":"` + secret + `","previous_secret":"whsec_x"},"delivery_metadata":null,"metadata":null,"target":"x"` + more + `}`
	}
	standard, old := "whsec_"+strings.Repeat("c2Vj", 8), "whsec_"+strings.Repeat("0123abcd", 8)
	return &fakeOutpost{
		topics:  `["user.created","user.deleted","order.shipped"]`,
		tenants: []string{`{"id":"acme","destinations_count":3,"topics":["*"],"metadata":{"name":"Acme Inc."},"created_at":"2024-01-01T00:00:00Z"}`, `{"id":"user@x","metadata":null}`},
		destinations: map[string]string{
			"acme": `[` + destination("d1", `"*"`, standard, `,"metadata":{"a":"b"}`) + `,` +
				destination("d2", `["user.*"]`, old, `,"disabled_at":"2024-03-01T12:00:00Z"`) + `,` +
				destination("d3", `["order.shipped"]`, standard, `,"filter":{"data":{"amount":{"$gte":100}}},"config":{"url":"https://d3.example/","custom_headers":"{\"x-tenant\":\"5\"}"}`) + `,` +
				destination("d4", `["nothing.*"]`, standard, ``) + `,` +
				`{"id":"q","type":"aws_sqs","topics":["*"],"config":{"queue_url":"https://sqs"},"credentials":{"key":"AKIA","secret":"s"}}]`,
			"user@x": `[]`,
		},
	}
}

func TestOutpost(t *testing.T) {
	n, f := newFakeNode(), newFakeOutpost()
	importInto(t, n, f.source(t), Options{DryRun: true}).expect(t, map[Result]int{Copied: 8, Skipped: 2})
	done := importInto(t, n, f.source(t), Options{})
	done.expect(t, map[Result]int{Copied: 8, Skipped: 2})
	for path, want := range map[string]map[string]any{
		"/app/acme":             {"name": "Acme Inc."},
		"/app/acme/endpoint/d1": {"disabled": false, "eventTypes": nil, "secret": "whsec_" + strings.Repeat("c2Vj", 8), "signatureStyle": nil, "metadata": map[string]any{"a": "b"}},
		"/app/acme/endpoint/d2": {"disabled": true, "eventTypes": []any{"user.created", "user.deleted"}, "signatureStyle": "hex", "secret": "whsec_" + strings.Repeat("0123abcd", 8)},
		"/app/acme/endpoint/d3": {"disabled": true, "headers": map[string]any{"x-tenant": "5"}},
	} {
		for field, value := range want {
			if got := n.objects[path][field]; n.objects[path] == nil || fmt.Sprint(got) != fmt.Sprint(value) {
				t.Errorf("%s of %s is %v, want %v", field, path, got, value)
			}
		}
	}
	for id, want := range map[string]string{"d4": "matches none", "q": `its type is "aws_sqs"`} {
		if why := done.item(t, id).Why; !strings.Contains(why, want) {
			t.Errorf("%s was skipped because %s, want %q", id, why, want)
		}
	}
	for id, want := range map[string]string{"d2": "replaced by the topics", "d3": "a filter on the payload", "user@x": "can't be a uid here"} {
		if notes := fmt.Sprint(done.item(t, id).Notes); !strings.Contains(notes, want) {
			t.Errorf("the notes of %s are %s, want %q", id, notes, want)
		}
	}
	if strings.Contains(done.text, "whsec_") || strings.Contains(done.text, "AKIA") {
		t.Error("a secret is in the report")
	}
	writes := n.writes
	importInto(t, n, f.source(t), Options{Update: true}).expect(t, map[Result]int{Unchanged: 8, Skipped: 2})
	if n.writes != writes {
		t.Errorf("a second import wrote %d times", n.writes-writes)
	}
}

func TestOutpostVariants(t *testing.T) {
	f := newFakeOutpost()
	f.cannotList = true
	if r := importInto(t, newFakeNode(), f.source(t), Options{}); r.err == nil || !strings.Contains(r.err.Error(), "name them with --app") {
		t.Errorf("a server that can't list tenants: %v", r.err)
	}
	n := newFakeNode()
	f.config = `{"DESTINATIONS_WEBHOOK_MODE":"default"}`
	importInto(t, n, f.source(t, "acme"), Options{}).expect(t, map[Result]int{Copied: 7, Skipped: 2})
	if n.objects["/app/acme/endpoint/d1"]["signatureStyle"] != "hex" {
		t.Error("a destination of the default mode is signed in the standard style only")
	}
	source, err := NewOutpost("https://api.outpost.hookdeck.com/2025-07-01", "t", nil, func(string) {})
	if err != nil || source.(*outpost).base != "https://api.outpost.hookdeck.com/2025-07-01" {
		t.Errorf("in the cloud: %v", err)
	}
}
