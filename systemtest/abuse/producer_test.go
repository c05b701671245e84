package abuse

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// What a producer does with its key, or the operator's backend without knowing better.
var producerAbuses = []abuse{
	{"forged operational webhooks", forgeOperational, []int{403, 404, 409, 422}},
	{"erasures at once", eraseAtOnce, []int{201, 202, 204, 503}},
	{"large events at once", largeEvents, []int{202, 413, 429, 503}},
	{"batches at once", manyBatches, []int{201, 202, 413, 422, 429, 503}},
	{"one idempotency key for all", sharedKey, []int{202, 404, 409, 422, 429}},
	{"hidden event types", hiddenTypes, []int{201, 404, 422}},
	{"schemas that are hard to check", hardSchemas, []int{422}},
}

const operationalApp = "operational-webhooks"

func forgeOperational(w *world) {
	event := `{"eventType": "endpoint.disabled", "payload": {}}`
	for _, request := range [][3]string{
		{"POST", "/app/" + operationalApp + "/msg", event},
		{"POST", "/app", `{"name": "x", "uid": "` + operationalApp + `"}`},
		{"POST", "/app/" + operationalApp + "/msg/batch", "[" + event + "]"},
		{"POST", "/app/" + operationalApp + "/msg", `{"application": {"name": "x", "uid": "` + operationalApp + `"}, "eventType": "a.b", "payload": {}}`},
	} {
		if r := w.attack(w.producer, request[0], request[1], request[2]); r.status/100 != 4 {
			w.t.Errorf("%s %s: got %s", request[0], request[1], r)
		}
	}
	if r := w.attack(rootToken, "POST", "/app/"+operationalApp+"/msg", event); r.status/100 != 4 { // not even the operator
		w.t.Errorf("the operator: got %s", r)
	}
}

// Each erasure rewrites what is stored beside the message.
func eraseAtOnce(w *world) {
	c := w.customer()
	defer w.leave(c)
	w.endpoints(c, 1, w.sites.good)
	ids := make([]string, 256)
	each(64, len(ids), func(i int) { ids[i] = w.send(c, 30_000) })
	each(128, len(ids), func(i int) { w.attack(rootToken, "DELETE", c.path("/msg/%s/content", ids[i]), "") })
}

func largeEvents(w *world) {
	c := w.customer()
	defer w.leave(c)
	event := `{"eventType": "a.b", "payload": {"pad": "` + strings.Repeat("x", 1<<20-1000) + `"}}`
	each(long(16, 64), long(32, 400), func(int) { w.attack(w.producer, "POST", c.path("/msg"), event) })
	w.refused(413, "", w.producer, "POST", c.path("/msg"), event+strings.Repeat(" ", 2000))
}

// Batches as large as they may be, of events as small and as large as they may be, and of what is
// none.
func manyBatches(w *world) {
	c := w.customer()
	defer w.leave(c)
	w.endpoints(c, 20, w.sites.good)
	small := "[" + strings.Repeat(`{"eventType": "a.b", "payload": {}},`, 999) + `{"eventType": "a.b", "payload": {}}]`
	large := "[" + strings.TrimSuffix(strings.Repeat(`{"eventType": "a.b", "payload": {"pad": "`+strings.Repeat("x", 1<<20-100)+`"}},`, 15), ",") + "]"
	bodies := []string{small, large, strings.Repeat(`[{"a":`, 2<<20), strings.Repeat("[", 15<<20), `[{"` + strings.Repeat(`\"`, 7<<20),
		"[" + strings.Repeat(`{"eventType": "a.b", "payload": {`, 500_000) + "]", strings.Repeat("{}\n", 4<<20)}
	each(8, long(len(bodies), 8*len(bodies)), func(i int) {
		w.attack(w.producer, "POST", c.path("/msg/batch"), bodies[i%len(bodies)])
	})
}

// Requests with one key take effect once, and no caller sees the response to another's.
func sharedKey(w *world) {
	c, other := w.customer(), w.customer()
	defer w.leave(c)
	defer w.leave(other)
	var ids sync.Map
	key := "the-same-for-everything-of-" + c.app
	each(32, 200, func(i int) {
		r := w.keyed(key, w.producer, c.path("/msg"), `{"eventType": "a.b", "payload": {"is": "kept"}}`)
		var message struct{ ID string }
		if w.count(r.status); r.status == http.StatusAccepted {
			w.decode(r, &message)
			ids.Store(message.ID, true)
		}
	})
	count := 0
	ids.Range(func(any, any) bool { count++; return true })
	if count != 1 {
		w.t.Errorf("200 requests with one key made %d messages", count)
	}
	for _, request := range [][3]string{
		{w.producer, c.path("/msg"), `{"eventType": "a.b", "payload": {"is": "another"}}`},
		{w.producer, other.path("/msg"), `{"eventType": "a.b", "payload": {"is": "kept"}}`},
		{w.producer, c.path("/msg/batch"), `[{"eventType": "a.b", "payload": {"is": "kept"}}]`},
	} {
		if r := w.keyed(key, request[0], request[1], request[2]); r.status != http.StatusUnprocessableEntity && r.status != http.StatusConflict {
			w.t.Errorf("the same key for %s %s: %s", request[1], request[2], r)
		}
	}
}

// keyed is a POST with an idempotency key.
func (w *world) keyed(key, token, path, body string) (r reply) {
	request, err := http.NewRequest("POST", "http://"+w.nodes[int(w.customers.Add(1))%len(w.nodes)].api+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		w.t.Error(err)
		return r
	}
	request.Header.Set("Idempotency-Key", key)
	return w.do(request, token)
}

// A portal without the flag of an event type must not learn of it.
func hiddenTypes(w *world) {
	c := w.customer()
	defer w.leave(c)
	w.must("POST", "/event-type", `{"name": "t.hidden", "description": "", "featureFlags": ["beta"],
		"schemas": {"1": {"type": "object", "examples": [{"hidden": "example-that-is-hidden"}]}}}`, nil)
	defer w.must("DELETE", "/event-type/t.hidden?expunge=true", "", nil)
	w.endpoints(c, 1, w.sites.good)
	for format, status := range map[string]int{
		`GET /event-type/%s `: 404,
		`POST ` + c.path("/endpoint/e0/send-example") + ` {"eventType": "%s"}`:                                    0,
		`POST ` + c.path("/endpoint") + ` {"url": "http://127.0.0.1:9/", "eventTypes": ["%s"]}`:                   422,
		`PATCH ` + c.path("/endpoint/e0") + ` {"eventTypes": ["%s"]}`:                                             422,
		`POST ` + c.path("/endpoint/e0/bulk-replay") + ` {"since": "2020-01-01T00:00:00Z", "eventTypes": ["%s"]}`: 422,
	} {
		ask := func(name string) reply {
			part := strings.SplitN(fmt.Sprintf(format, name), " ", 3)
			return w.attack(c.portal, part[0], part[1], part[2])
		}
		hidden, absent := ask("t.hidden"), ask("t.absent")
		if hidden.status/100 == 2 || status != 0 && hidden.status != status || hidden.status != absent.status ||
			strings.ReplaceAll(string(hidden.body), "t.hidden", "t.absent") != string(absent.body) {
			w.t.Errorf("%s: hidden %s, absent %s", format, hidden, absent)
		}
	}
}

func hardSchemas(w *world) {
	for _, schema := range []string{
		`{"type": "object", "properties": {` + strings.TrimSuffix(strings.Repeat(`"p": {"maximum": 1e999999},`, 200), ",") + `}}`,
		`{"pattern": "` + strings.Repeat("(x{1,1000})", 4000) + `"}`,
		strings.Repeat(`{"not":`, 500) + `{}` + strings.Repeat(`}`, 500),
	} {
		w.refused(422, "", rootToken, "POST", "/event-type", `{"name": "t.hard", "description": "", "schemas": {"1": `+schema+`}}`)
	}
}
