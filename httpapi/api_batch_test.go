package httpapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"hookwheel/config"
)

type batchResult struct {
	ID     string
	Errors []struct {
		Loc       []string
		Msg, Type string
	}
}

// postBatch posts a batch, as JSON or NDJSON, perhaps with an idempotency key.
func (a *api) postBatch(path, contentType, key, body string) (status int, text string, results []batchResult) {
	a.t.Helper()
	request, err := http.NewRequest("POST", a.url+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+apiToken)
	request.Header.Set("Content-Type", contentType)
	if key != "" {
		request.Header.Set("Idempotency-Key", key)
	}
	response, reply := a.do(request)
	if response.StatusCode == 202 {
		if err := json.Unmarshal(reply, &results); err != nil {
			a.t.Fatalf("%v: %s", err, reply)
		}
	}
	return response.StatusCode, string(reply), results
}

const (
	asJSON  = "application/json"
	asLines = "application/x-ndjson"
)

// Each message of a batch is accepted or refused by itself, in its place; those accepted are in the
// log in the order of the batch, byte for byte, and a repetition changes nothing.
func TestBatch(t *testing.T) {
	a := apiStart(t)
	large := `{"eventType":"a","payload":{"x":"` + strings.Repeat("y", 64<<10) + `"}}`
	items := []string{
		`{"eventType":"a.b","payload":{ "n": 1.0,"s":"],[\\\"" }}`,
		`{"payload":{}}`,
		`{"eventType":"a","eventId":"old","payload":{}}`,
		`{"eventType":"a","eventId":"new","payload":{},"channels":["c"],"tags":["t"]}`,
		`{"eventType":"a","eventId":"new","payload":{}}`,
		`7`,
		`{"eventType":"a","payload":[],"channels":[1,2]}`,
		large,
		`{"eventType":"a","payload":` + strings.Repeat(`{"a":`, 600) + `1` + strings.Repeat("}", 600) + `}`,
		"{\"eventType\":\"\xff\",\"payload\":{}}",
		`{"eventType":"a","payload":{"n":2}}`,
	}
	want := []string{"", "[body [1] eventType] is missing", "[body [2] eventId] a message with this eventId exists already", "",
		"[body [4] eventId] a message with this eventId exists already", "[body [5]] the message is not a JSON object",
		"[body [6] payload] must be a JSON object", "[body [7]] the message is larger than the 65536 bytes", "[body [8]] the JSON is nested more than 512 deep",
		"[body [9]] the message is not UTF-8", ""}
	for _, form := range []struct{ contentType, body string }{
		{asJSON, " [" + strings.Join(items, " ,\n ") + "]\n"},
		{asLines, strings.Join(items, "\r\n\n")},
	} {
		app := "b" + form.contentType[len("application/"):]
		a.call("POST", "/app", fmt.Sprintf(`{"name":"b","uid":%q}`, app), 201, nil)
		a.call("POST", "/app/"+app+"/msg", `{"eventType":"a","eventId":"old","payload":{}}`, 202, nil)
		path := "/app/" + app + "/msg/batch"
		status, text, results := a.postBatch(path, form.contentType, app, form.body)
		if status != 202 || len(results) != len(items) {
			t.Fatal(status, text)
		}
		for i, r := range results {
			got := ""
			if len(r.Errors) > 0 {
				got = fmt.Sprint(r.Errors[0].Loc, " ", r.Errors[0].Msg)
			}
			if (r.ID == "") == (want[i] == "") || (got == "") != (want[i] == "") || !strings.HasPrefix(got, want[i]) {
				t.Errorf("%s: message %d: %+v, want %q", form.contentType, i, r, want[i])
			}
		}
		if _, again, _ := a.postBatch(path, form.contentType, app, form.body); again != text {
			t.Errorf("first %s, then %s", text, again)
		}
		var list apiList
		a.call("GET", "/app/"+app+"/msg?limit=250&order=ascending", "", 200, &list)
		if len(list.Data) != 4 {
			t.Fatalf("%d messages", len(list.Data))
		}
		for i, at := range []int{10, 3, 0} { // the newest is first
			if list.Data[i].ID != results[at].ID {
				t.Errorf("message %d of the log is %s, want %s", i, list.Data[i].ID, results[at].ID)
			}
			var m apiThing
			if a.call("GET", "/app/"+app+"/msg/"+results[at].ID, "", 200, &m); !strings.Contains(items[at], `"payload":`+string(m.Payload)) {
				t.Errorf("%s has the payload %s, was sent as %s", m.ID, m.Payload, items[at])
			}
		}
		// A different request under the same key takes no effect, whatever it is.
		for _, other := range [][2]string{{"/msg", items[0]}, {"/msg/batch", "[" + items[0] + "]"}} {
			if status, text, _ := a.postBatch("/app/"+app+other[0], form.contentType, app, other[1]); status != 422 || !strings.Contains(text, "idempotency_key_reused") {
				t.Errorf("%s: %d %s", other[0], status, text)
			}
		}
		if status, text, _ := a.postBatch(path, map[string]string{asJSON: asLines, asLines: asJSON}[form.contentType], app, form.body); status != 422 {
			t.Errorf("in the other form: %d %s", status, text)
		}
	}
}

// Batches of all sizes, which take one part or many.
func TestBatchSizes(t *testing.T) {
	a := apiStart(t, func(c *config.Config) { c.API.MaxBody, c.API.MaxBatch = 1<<20, 4<<20 })
	for i, test := range []struct{ count, size int }{{1, 0}, {128, 0}, {129, 10}, {1000, 0}, {1000, 700}, {200, 5000}, {5, 700_000}} {
		var items []string
		for n := range test.count {
			items = append(items, fmt.Sprintf(`{"eventType":"a","eventId":"e%d-%d","payload":{"n":%d,"x":%q}}`, i, n, n, strings.Repeat("y", test.size)))
		}
		app := fmt.Sprint("app", i)
		a.call("POST", "/app", fmt.Sprintf(`{"name":"a","uid":%q}`, app), 201, nil)
		body := "[" + strings.Join(items, ",") + "]"
		status, text, results := a.postBatch("/app/"+app+"/msg/batch", asJSON, app, body)
		if status != 202 || len(results) != test.count {
			t.Fatal(status, text)
		}
		for n, r := range results {
			if r.ID == "" || n > 0 && r.ID <= results[n-1].ID {
				t.Fatalf("%+v: message %d has ID %q after %q", test, n, r.ID, results[n-1].ID)
			}
		}
		if _, _, again := a.postBatch("/app/"+app+"/msg/batch", asJSON, app, body); !reflect.DeepEqual(again, results) {
			t.Errorf("%+v: another response to the repetition", test)
		}
		if _, _, again := a.postBatch("/app/"+app+"/msg/batch", asJSON, "", body); again[0].ID != "" || len(again[test.count-1].Errors) != 1 || again[0].Errors[0].Type != "conflict" {
			t.Errorf("%+v: the event IDs were taken twice: %+v", test, again[0])
		}
		var m apiThing
		a.call("GET", fmt.Sprintf("/app/%s/msg/e%d-%d", app, i, test.count-1), "", 200, &m)
		if want := fmt.Sprintf(`{"n":%d,"x":%q}`, test.count-1, strings.Repeat("y", test.size)); string(m.Payload) != want {
			t.Errorf("%+v: the last payload is %.100s", test, m.Payload)
		}
	}
}

// A batch that is refused as a whole takes no effect.
func TestBatchRefused(t *testing.T) {
	a := apiStart(t, func(c *config.Config) { c.API.MaxBatch = 100_000 })
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	const one = `{"eventType":"a","payload":{}}`
	for name, test := range map[string]struct {
		path, contentType, body string
		status                  int
		want                    string
	}{
		"nothing":       {"acme", asJSON, ``, 422, "the body is empty"},
		"blank lines":   {"acme", asLines, "\n\n", 422, "send 1 to 1000"},
		"no messages":   {"acme", asJSON, ` [ ] `, 422, "send 1 to 1000"},
		"an object":     {"acme", asJSON, one, 422, "not a JSON array"},
		"lines as JSON": {"acme", asJSON, one + "\n" + one, 422, "not a JSON array"},
		"cut":           {"acme", asJSON, "[" + one + "," + one, 422, "not valid JSON"},
		"trailing":      {"acme", asJSON, "[" + one + ",]", 422, "not valid JSON"},
		"one invalid":   {"acme", asJSON, "[" + one + ",{]", 422, "not valid JSON"},
		"many":          {"acme", asJSON, "[" + strings.Repeat(one+",", 1000) + one + "]", 422, "more than 1000"},
		"many lines":    {"acme", asLines, strings.Repeat(one+"\n", 1001), 422, "more than 1000"},
		"large":         {"acme", asJSON, "[" + strings.Repeat(" ", 100_000) + "]", 413, "api.max_batch"},
		"nobody":        {"nobody", asJSON, "[" + one + "]", 404, "Application not found"},
		"inline":        {"nobody", asJSON, `[{"eventType":"a","payload":{},"application":{"name":"n","uid":"nobody"}}]`, 404, "Application not found"},
		"operational":   {"operational-webhooks", asJSON, "[" + one + "]", 404, ""},
	} {
		for _, key := range []string{"", name} {
			if status, text, _ := a.postBatch("/app/"+test.path+"/msg/batch", test.contentType, key, test.body); status != test.status || !strings.Contains(text, test.want) {
				t.Errorf("%s: %d %s", name, status, text)
			}
		}
	}
	var list apiList
	if a.call("GET", "/app/acme/msg", "", 200, &list); len(list.Data) > 0 {
		t.Errorf("%d messages", len(list.Data))
	}
	a.call("POST", "/app/acme/msg", `{"eventType":"a","payload":{"x":"`+strings.Repeat("y", 70_000)+`"}}`, 413, nil)
}

// A batch counts as many requests as it has messages.
func TestBatchRate(t *testing.T) {
	a := apiStart(t, func(c *config.Config) { c.Limits.KeyRequests = 10 })
	a.call("POST", "/app", `{"name":"Acme","uid":"acme"}`, 201, nil)
	key := a.newKey(`{"name":"k","role":"producer"}`)
	batch := "[" + strings.Repeat(`{"eventType":"a","payload":{}},`, 999) + `{"eventType":"a","payload":{}}]`
	a.callWith(key.Token, "POST", "/app/acme/msg/batch", batch, 202, nil)
	a.callWith(key.Token, "POST", "/app/acme/msg", `{"eventType":"a","payload":{}}`, 429, nil) // for 99 seconds
	a.call("POST", "/app/acme/msg", `{"eventType":"a","payload":{}}`, 202, nil)
}
