package systemtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"hookwheel/httpapi/apitest"
)

// orderedReceiver answers 500 to the first attempt at each 16th event, and keeps what arrives, in
// order.
type orderedReceiver struct {
	url string

	mu       sync.Mutex
	arrivals map[string][]orderedArrival // by path
	failed   map[string]bool             // path and id that have had their failure
}

type orderedArrival struct {
	id, key string
	ok      bool // it was answered 200
}

func newOrderedReceiver(t *testing.T) *orderedReceiver {
	r := &orderedReceiver{arrivals: make(map[string][]orderedArrival), failed: make(map[string]bool)}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

func (r *orderedReceiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	var payload struct {
		Event int
		Key   string
	}
	if err := json.NewDecoder(request.Body).Decode(&payload); err != nil { // the sender was killed in the middle
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	a := orderedArrival{id: request.Header.Get("webhook-id"), key: payload.Key, ok: true}
	r.mu.Lock()
	defer r.mu.Unlock()
	if once := request.URL.Path + a.id; payload.Event%16 == 8 && !r.failed[once] {
		r.failed[once], a.ok = true, false
		w.WriteHeader(http.StatusInternalServerError)
	}
	r.arrivals[request.URL.Path] = append(r.arrivals[request.URL.Path], a)
}

// succeeded is how many messages have arrived with success.
func (r *orderedReceiver) succeeded(path string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := make(map[string]bool)
	for _, a := range r.arrivals[path] {
		if a.ok {
			ids[a.id] = true
		}
	}
	return len(ids)
}

// check looks for messages that arrived before one with an earlier position in the log, which the
// id shows, had arrived successfully.
func (r *orderedReceiver) check(t *testing.T, path string, group func(orderedArrival) string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	arrived := make(map[string]bool)
	failures, again := 0, 0
	for _, a := range r.arrivals[path] {
		for _, b := range r.arrivals[path] {
			if b.id < a.id && group(b) == group(a) && !arrived[b.id] {
				t.Fatalf("%s: %s came before %s was settled", path, a.id, b.id)
			}
		}
		if arrived[a.id] {
			again++
		}
		if a.ok {
			arrived[a.id] = true
		} else {
			failures++
		}
	}
	t.Logf("%s: %d arrived, %d failures, %d came again after a lost leader", path, len(arrived), failures, again)
}

// TestOrderThroughLostLeaders kills the leader three times while two ordered endpoints, one as a
// whole and one per key, fail now and then: neither sees a message before its predecessor was
// settled.
func TestOrderThroughLostLeaders(t *testing.T) {
	const events = 96
	r := newOrderedReceiver(t)
	c := startDevCluster(t)
	c.must(t, 1, "POST", "/app", `{"name": "Demo", "uid": "demo"}`, 201, nil)
	for path, ordering := range map[string]string{"/whole": "endpoint", "/keys": "key"} {
		c.must(t, 1, "POST", "/app/demo/endpoint", fmt.Sprintf(`{"url": %q, "ordering": %q}`, r.url+path, ordering), 201, nil)
	}
	var producer sync.WaitGroup
	acknowledged := 0
	producer.Go(func() {
		for event := range events {
			key := fmt.Sprint("k", event%5)
			body := fmt.Sprintf(`{"eventType": "a", "orderingKey": %q, "payload": {"event": %d, "key": %q}}`, key, event, key)
			if response, err := c.call(1+event%clusterSize, "POST", "/app/demo/msg", body); err == nil && response.status == http.StatusAccepted {
				acknowledged++
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	for kill := range 3 {
		apitest.WaitFor(t, "more has arrived", func() bool { return r.succeeded("/whole") >= (kill+1)*events/5 })
		c.kill(t, c.awaitHealth(t, 1, 2, 3))
	}
	producer.Wait()
	for _, path := range []string{"/whole", "/keys"} {
		apitest.WaitFor(t, path+" has had all", func() bool { return r.succeeded(path) >= acknowledged })
	}
	r.check(t, "/whole", func(orderedArrival) string { return "" })
	r.check(t, "/keys", func(a orderedArrival) string { return a.key })
}
