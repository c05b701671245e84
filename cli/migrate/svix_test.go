package migrate

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const times = `"createdAt":"2026-01-31T12:00:00Z","updatedAt":"2026-01-31T12:00:00Z"`

const (
	acmeID = "app_1srOrx2ZWZBpBUvZwXKQmoEYga2"
	noUID  = "app_2srOrx2ZWZBpBUvZwXKQmoEYga2"
)

func endpointID(i int) string { return fmt.Sprintf("ep_%027d", i) }

// newFakeSvix has two applications, two event types, and endpoints with all that can be copied.
func newFakeSvix() *fakeSvix {
	return &fakeSvix{
		types: []string{
			`{"name":"user.made","description":"","archived":false,"deprecated":false,"schemas":{"1":{"type":"object"}},"featureFlag":"beta","featureFlags":["beta"],"groupName":"user",` + times + `}`,
			`{"name":"user.gone","description":"old","archived":true,"deprecated":false,"schemas":null,"featureFlag":null,"groupName":null,` + times + `}`,
		},
		apps: []string{
			`{"id":"` + acmeID + `","uid":"acme","name":"Acme","throttleRate":10,"metadata":{"plan":"gold"},` + times + `}`,
			`{"id":"` + noUID + `","name":"No uid","throttleRate":null,"metadata":{},"unknown":[{}],` + times + `}`,
		},
		endpoints: map[string][]string{
			acmeID: {
				`{"id":"` + endpointID(1) + `","uid":"main","url":"https://a.example/hook","description":"d","throttleRate":5,"disabled":false,"eventTypes":["user.made","user.gone"],"channels":["c"],"metadata":{"a":"b"},` + times + `}`,
				`{"id":"` + endpointID(2) + `","uid":null,"url":"https://b.example","description":"","rateLimit":null,"disabled":true,"filterTypes":["user.deleted"],"channels":null,"metadata":{},"version":1,` + times + `}`,
			},
			noUID: {`{"id":"` + endpointID(3) + `","url":"https://c.example/","description":"","metadata":{},` + times + `}`},
		},
		parts: map[string]string{
			"/app/" + acmeID + "/endpoint/" + endpointID(1) + "/headers":       `{"headers":{"X-Team":"a"},"sensitive":["Authorization"]}`,
			"/app/" + acmeID + "/endpoint/" + endpointID(2) + "/secret":        `{"key":"whpk_` + strings.Repeat("c2Vj", 10) + `Abc="}`,
			"/app/" + noUID + "/endpoint/" + endpointID(3) + "/transformation": `{"code":"function handler(w) {}","enabled":true,"variables":null,"updatedAt":null}`,
		},
	}
}

func TestSvix(t *testing.T) {
	n, f := newFakeNode(), newFakeSvix()
	plan := importInto(t, n, f.source(t), Options{DryRun: true})
	plan.expect(t, map[Result]int{Copied: 8}) // one event type is only named
	if n.writes > 0 {
		t.Fatalf("a dry run wrote %d times", n.writes)
	}
	done := importInto(t, n, f.source(t), Options{})
	done.expect(t, map[Result]int{Copied: 8})
	for i := range done.items {
		if a, b := plan.items[i], done.items[i]; a.SourceID != b.SourceID || a.Result != b.Result || !slices.Equal(a.Notes, b.Notes) {
			t.Errorf("the plan was %+v, done was %+v", a, b)
		}
	}
	main := n.objects["/app/acme/endpoint/main"]
	for field, want := range map[string]any{"url": "https://a.example/hook", "description": "d", "throttleRate": 5.0, "secret": "whsec_" + strings.Repeat("c2Vj", 8)} {
		if main[field] != want {
			t.Errorf("%s of an endpoint is %v, want %v", field, main[field], want)
		}
	}
	if n.objects["/event-type/user.gone"]["archived"] != true {
		t.Error("an event type that is archived at the source is not at the node")
	}
	for _, test := range []struct{ id, path, note string }{
		{endpointID(1), "/app/acme/endpoint/main", "must be set here: Authorization"},
		{endpointID(2), "/app/acme/endpoint/" + endpointID(2), "the new public key"},
		{endpointID(3), "/app/" + noUID + "/endpoint/" + endpointID(3), "a transformation"},
	} {
		if notes := fmt.Sprint(done.item(t, test.id).Notes); !strings.Contains(notes, test.note) {
			t.Errorf("the notes of %s are %s, want %q", test.id, notes, test.note)
		}
		if e := n.objects[test.path]; e == nil || e["disabled"] != true {
			t.Errorf("%s is not there, or not disabled: %v", test.path, e)
		}
	}
	if strings.Contains(done.text+plan.text, "c2Vj") || strings.Contains(done.text, "whsk_") {
		t.Error("a secret is in the report")
	}

	// Again, after somebody has seen to the notes.
	main["headers"].(map[string]any)["authorization"] = "Bearer x"
	for path, object := range n.objects {
		if strings.Contains(path, "/endpoint/") && !strings.HasSuffix(path, endpointID(2)) {
			object["disabled"] = false
		}
	}
	writes := n.writes
	for _, o := range []Options{{}, {Update: true}} {
		again := importInto(t, n, f.source(t), o)
		again.expect(t, map[Result]int{Unchanged: 7}) // the event type that is only named is not looked at
		if n.writes != writes || !strings.Contains(again.text, "Nothing was changed.") {
			t.Errorf("a second import wrote %d times: %s", n.writes-writes, again.text)
		}
	}
}

// What has changed since is shown, and changed only if that is wanted.
func TestSvixUpdate(t *testing.T) {
	n, f := newFakeNode(), newFakeSvix()
	importInto(t, n, f.source(t), Options{}).expect(t, map[Result]int{Copied: 8})
	main := n.objects["/app/acme/endpoint/main"]
	main["url"], main["secret"], main["disabled"] = "https://other.example/", "whsec_"+strings.Repeat("b3Ro", 8), false
	main["eventTypes"] = []string{"user.made"}
	main["headers"] = map[string]any{"X-Team": "b", "Authorization": "x"}
	n.objects["/app/acme"]["name"] = "Other"
	n.objects["/event-type/user.made"]["groupName"] = "g"
	writes := n.writes
	for _, o := range []Options{{}, {DryRun: true, Update: true}} {
		r := importInto(t, n, f.source(t), o)
		if got := fmt.Sprint(r.item(t, endpointID(1)).Differs); got != "[eventTypes url secret headers]" || n.writes != writes {
			t.Errorf("it differs in %s, and was written %d times", got, n.writes-writes)
		}
		want := map[Result]int{Unchanged: 4, Differs: 3}
		if o.Update {
			want = map[Result]int{Unchanged: 4, Updated: 3}
		}
		r.expect(t, want)
	}
	importInto(t, n, f.source(t), Options{Update: true}).expect(t, map[Result]int{Unchanged: 4, Updated: 3})
	if n.objects["/event-type/user.gone"]["archived"] != true {
		t.Error("an event type is no longer archived")
	}
	importInto(t, n, f.source(t), Options{Update: true}).expect(t, map[Result]int{Unchanged: 7})
}

func TestSvixChosenApplications(t *testing.T) {
	n, f := newFakeNode(), newFakeSvix()
	importInto(t, n, f.source(t, "acme"), Options{}).expect(t, map[Result]int{Copied: 6})
	if n.objects["/app/"+noUID] != nil {
		t.Error("an application was copied that was not chosen")
	}
	if r := importInto(t, n, f.source(t, "missing"), Options{}); r.err == nil || !strings.Contains(r.err.Error(), "application missing") {
		t.Errorf("an application that is not there: %v", r.err)
	}
}

// What would fail later is refused at once, or is in the plan.
func TestPlanFindsLimits(t *testing.T) {
	n, f := newFakeNode(), newFakeSvix()
	for i := range 4 {
		f.endpoints[noUID] = append(f.endpoints[noUID], fmt.Sprintf(`{"id":"ep_more%d","url":"https://c.example/"}`, i))
	}
	plan := importInto(t, n, f.source(t), Options{DryRun: true})
	plan.expect(t, map[Result]int{Copied: 10, Skipped: 2})
	if why := plan.item(t, "ep_more3").Why; !strings.Contains(why, "may have 3 endpoints") {
		t.Errorf("one above the limit would be skipped because %s", why)
	}
	f.types = append(f.types, `{"name":"a","description":""}`, `{"name":"b","description":""}`, `{"name":"c","description":""}`)
	if r := importInto(t, newFakeNode(), f.source(t), Options{}); r.err == nil || !strings.Contains(r.err.Error(), "more than 4 event types") {
		t.Errorf("five event types where there may be four: %v", r.err)
	}
	n.role = "producer"
	if r := importInto(t, n, f.source(t), Options{}); r.err == nil || !strings.Contains(r.err.Error(), `has the role "producer"`) || n.writes > 0 {
		t.Errorf("with the token of a producer: %v, %d writes", r.err, n.writes)
	}
}

// An import that ends in the middle, at every place, is continued by the next one.
func TestSvixCutOff(t *testing.T) {
	whole := newFakeNode()
	importInto(t, whole, newFakeSvix().source(t), Options{}).expect(t, map[Result]int{Copied: 8})
	for at := 1; at <= whole.writes; at++ {
		for _, lost := range []bool{false, true} {
			n := newFakeNode()
			if lost {
				n.lose = at
			} else {
				n.failAt = at
			}
			if r := importInto(t, n, newFakeSvix().source(t), Options{}); (r.err == nil) != lost {
				t.Errorf("write %d, lost %t: %v", at, lost, r.err)
			}
			n.failAt = 0
			again := importInto(t, n, newFakeSvix().source(t), Options{Update: true})
			if again.err != nil || again.Skipped() > 0 || len(n.objects) != len(whole.objects) {
				t.Errorf("write %d, lost %t: then %v, %d objects, want %d: %s", at, lost, again.err, len(n.objects), len(whole.objects), again.text)
			}
			for path, object := range whole.objects {
				for field, value := range object {
					if field != "id" && field != "secret" && fmt.Sprint(n.objects[path][field]) != fmt.Sprint(value) {
						t.Errorf("write %d, lost %t: %s of %s is %v, want %v", at, lost, field, path, n.objects[path][field], value)
					}
				}
			}
		}
	}
}

// What passes is waited out; what does not ends the import, and the report says so.
func TestSvixFailures(t *testing.T) {
	cut := func(w http.ResponseWriter) bool {
		w.Header().Set("Content-Length", "1000")
		respond(w, 200, `{"data":[`)
		return true
	}
	status := func(w http.ResponseWriter, status int, text string) bool {
		respond(w, status, text)
		return true
	}
	for name, test := range map[string]struct {
		intercept func(w http.ResponseWriter, r *http.Request, call int) bool
		want      string // in the error; empty: it succeeds
	}{
		"429 at times": {func(w http.ResponseWriter, r *http.Request, call int) bool {
			w.Header().Set("Retry-After", "0.002")
			return call%3 == 0 && status(w, 429, `{"code":"too_many_requests","detail":"slow down"}`)
		}, ""},
		"502 at times": {func(w http.ResponseWriter, r *http.Request, call int) bool {
			return call%3 == 0 && status(w, 502, "<html>")
		}, ""},
		"cut off at times": {func(w http.ResponseWriter, r *http.Request, call int) bool { return call%3 == 0 && cut(w) }, ""},
		"always 503":       {func(w http.ResponseWriter, r *http.Request, _ int) bool { return status(w, 503, "") }, "503"},
		"always cut off":   {func(w http.ResponseWriter, r *http.Request, _ int) bool { return cut(w) }, "ended early"},
		"a Retry-After of hours": {func(w http.ResponseWriter, r *http.Request, _ int) bool {
			w.Header().Set("Retry-After", "7200")
			return status(w, 429, "")
		}, "run the import again then"},
		"no JSON":      {func(w http.ResponseWriter, r *http.Request, _ int) bool { return status(w, 200, "<html>") }, "can't be understood"},
		"another JSON": {func(w http.ResponseWriter, r *http.Request, _ int) bool { return status(w, 200, "[]") }, "of the type array"},
		"no data":      {func(w http.ResponseWriter, r *http.Request, _ int) bool { return status(w, 200, "{}") }, "is this the API of Svix?"},
		"an iterator again": {func(w http.ResponseWriter, r *http.Request, _ int) bool {
			return status(w, 200, `{"data":[],"iterator":"x","done":false}`)
		}, `"x" comes again`},
		"no iterator": {func(w http.ResponseWriter, r *http.Request, _ int) bool {
			return status(w, 200, `{"data":[],"iterator":null,"done":false}`)
		}, "not where"},
		"ever new iterators": {func(w http.ResponseWriter, r *http.Request, call int) bool {
			return status(w, 200, fmt.Sprintf(`{"data":[],"iterator":"%d","done":false}`, call))
		}, "does not end"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request, _ int) bool {
			w.Header().Set("Location", "https://elsewhere.example/")
			return status(w, 307, "")
		}, "elsewhere.example"},
		"no access": {func(w http.ResponseWriter, r *http.Request, _ int) bool {
			return strings.HasSuffix(r.URL.Path, "/secret") && status(w, 403, `{"code":"permission_denied","detail":"no secrets for you"}`)
		}, "no secrets for you"},
		"an echoed token": {func(w http.ResponseWriter, r *http.Request, _ int) bool {
			return status(w, 401, `{"detail":"Bad token `+r.Header.Get("Authorization")+`"}`)
		}, "Bad token Bearer …"},
		"an endless body": {endlessBody, "larger than the 32 MiB"},
		"errors as a list": {func(w http.ResponseWriter, r *http.Request, _ int) bool {
			return status(w, 422, `{"detail":[{"loc":["query"],"msg":"bad"}]}`)
		}, "query: bad"},
		"a secret in an error": {func(w http.ResponseWriter, r *http.Request, _ int) bool {
			return status(w, 400, `{"key":"`+sourceToken+`"}`)
		}, "400 Bad Request"},
		"an endless error": {func(w http.ResponseWriter, r *http.Request, _ int) bool {
			return status(w, 400, strings.Repeat("x", 40<<20))
		}, "400 Bad Request"},
		"deleted meanwhile": {func(w http.ResponseWriter, r *http.Request, _ int) bool {
			return strings.HasSuffix(r.URL.Path, "/endpoint") && status(w, 404, "")
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFakeSvix()
			f.perPage, f.intercept = 1, test.intercept
			source := f.source(t)
			source.(*svix).pages = 50
			r := importInto(t, newFakeNode(), source, Options{})
			switch {
			case test.want == "" && r.err != nil:
				t.Error(r.err)
			case test.want != "" && (r.err == nil || !strings.Contains(r.err.Error(), test.want)):
				t.Errorf("the error is %v, want %q", r.err, test.want)
			}
			if strings.Contains(r.text, sourceToken) || len(r.text) > 20_000 {
				t.Errorf("the report has the token, or %d bytes", len(r.text))
			}
		})
	}
}

func endlessBody(w http.ResponseWriter, _ *http.Request, _ int) bool {
	text := []byte(strings.Repeat(" ", 1<<20))
	for range 1000 {
		if _, err := w.Write(text); err != nil {
			return true
		}
	}
	return true
}

// A source that asks to wait is not asked before.
func TestSvixRetryAfter(t *testing.T) {
	f := newFakeSvix()
	var until atomic.Int64
	f.intercept = func(w http.ResponseWriter, r *http.Request, call int) bool {
		if time.Now().UnixNano() < until.Load() {
			t.Error("a request came before its time")
		}
		if call != 2 {
			return false
		}
		until.Store(time.Now().Add(time.Second).UnixNano())
		w.Header().Set("Retry-After", "1")
		respond(w, 429, "")
		return true
	}
	importInto(t, newFakeNode(), f.source(t), Options{}).expect(t, map[Result]int{Copied: 8})
}

// Objects that can't be copied are skipped with a reason; the others are copied.
func TestSvixOddObjects(t *testing.T) {
	f := newFakeSvix()
	f.types = append(f.types,
		`{"name":"bad.schema","description":"","schemas":{"bad":{"type":"nothing"}}}`,
		`{"name":"bad name","description":""}`, `{"name":null}`, `{"name":7}`, `[]`, `null`)
	f.apps = append(f.apps, `{"id":"app_x","uid":"operational-webhooks","name":"Ours"}`, `{"id":"app_y","uid":"y","name":null}`,
		`{"id":"app_z","uid":"z","name":"`+strings.Repeat("n", 3<<20)+`"}`, `{"id":"..","uid":"dots","name":"Dots"}`, `{"id":5}`, `{"id":"app_r","uid":"r","name":"R","throttleRate":70000}`)
	f.endpoints[acmeID] = append(f.endpoints[acmeID], `{"id":"ep_bad","url":"ftp://x.example/","description":""}`, `{"id":"ep_types","url":"https://x.example/","eventTypes":[null]}`,
		`{"id":"ep_null","url":null}`, `{"id":"ep_text","url":"https://x.example/","channels":"c"}`, `"text"`,
		`{"id":"ep_headers","uid":"headers","url":"https://x.example/","metadata":null,"description":null}`)
	f.parts["/app/"+acmeID+"/endpoint/ep_headers/headers"] = `{"headers":{"Content-Length":"5","X-Fine":"1","X-Null":null},"sensitive":null}`
	f.parts["/app/"+acmeID+"/endpoint/ep_headers/secret"] = `{"key":"\u001b[2J short"}`
	n := newFakeNode()
	r := importInto(t, n, f.source(t), Options{})
	r.expect(t, map[Result]int{Copied: 10, Skipped: 16})
	for id, want := range map[string]string{"app_x": "about Hookwheel itself", "app_y": "name: is missing", "app_z": "longer than 4096 bytes", "..": "no usable id", "app_r": `"throttleRate" is unexpectedly of the type number`,
		"ep_bad": "must begin with http", "ep_types": "eventTypes: must have 1 to 256", "ep_null": "not an absolute URL", "ep_text": `"channels" is unexpectedly of the type string`, "bad name": "may hold only"} {
		if got := r.item(t, id).Why; !strings.Contains(got, want) {
			t.Errorf("%.20s was skipped because %s, want %q", id, got, want)
		}
	}
	if notes := fmt.Sprint(r.item(t, "bad.schema").Notes); !strings.Contains(notes, "without its schemas") {
		t.Errorf("an event type with a bad schema: %s", notes)
	}
	for _, want := range []string{"Content-Length", "X-Null", "its secret can't be used here"} {
		if notes := fmt.Sprint(r.item(t, "ep_headers").Notes); !strings.Contains(notes, want) {
			t.Errorf("the notes do not say %q: %s", want, notes)
		}
	}
	if len(r.text) > 20_000 || strings.Contains(r.text, "short") {
		t.Errorf("the report has %d bytes, or a secret", len(r.text))
	}
}
