package systemtest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"hookwheel/delivery/receivertest"
	"hookwheel/systemtest/wait"
)

// orderedReceiver answers 500 to the first attempt at each 16th event.
type orderedReceiver struct{ *receivertest.Receiver }

func newOrderedReceiver(t *testing.T) orderedReceiver {
	failed := make(map[string]bool) // path and id that have had their failure
	return orderedReceiver{receivertest.Start(t, func(a *receivertest.Arrival) int {
		if once := a.Path + a.ID; orderedPayload(a).Event%16 == 8 && !failed[once] {
			failed[once] = true
			return http.StatusInternalServerError
		}
		return http.StatusOK
	})}
}

func orderedPayload(a *receivertest.Arrival) (payload struct {
	Event int
	Key   string
}) {
	_ = json.Unmarshal(a.Body, &payload) // the nodes have checked it
	return payload
}

// at returns what has arrived at a path, in order.
func (r orderedReceiver) at(path string) []receivertest.Arrival {
	return slices.DeleteFunc(r.Arrivals(), func(a receivertest.Arrival) bool { return a.Path != path })
}

// succeeded is how many messages have arrived with success.
func (r orderedReceiver) succeeded(path string) int {
	ids := make(map[string]bool)
	for _, a := range r.at(path) {
		if a.Took() {
			ids[a.ID] = true
		}
	}
	return len(ids)
}

// check looks for messages that arrived before one with an earlier position in the log, which the
// id shows, had arrived successfully.
func (r orderedReceiver) check(t *testing.T, path string, group func(*receivertest.Arrival) string) {
	arrived := make(map[string]bool)
	failures, again := 0, 0
	list := r.at(path)
	for _, a := range list {
		for _, b := range list {
			if b.ID < a.ID && group(&b) == group(&a) && !arrived[b.ID] {
				t.Fatalf("%s: %s came before %s was settled", path, a.ID, b.ID)
			}
		}
		if arrived[a.ID] {
			again++
		}
		if a.Took() {
			arrived[a.ID] = true
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
	t.Parallel()
	const events = 96
	r := newOrderedReceiver(t)
	c := startDevCluster(t)
	c.must(t, 1, "POST", "/app", `{"name": "Demo", "uid": "demo"}`, 201, nil)
	for path, ordering := range map[string]string{"/whole": "endpoint", "/keys": "key"} {
		c.must(t, 1, "POST", "/app/demo/endpoint", fmt.Sprintf(`{"url": %q, "ordering": %q}`, r.URL+path, ordering), 201, nil)
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
			time.Sleep(20 * time.Millisecond) // leaders are to be lost in the middle
		}
	})
	for kill := range 3 {
		wait.For(t, "more has arrived", func() bool { return r.succeeded("/whole") >= (kill+1)*events/5 })
		c.kill(t, c.awaitHealth(t, 1, 2, 3))
	}
	producer.Wait()
	for _, path := range []string{"/whole", "/keys"} {
		wait.For(t, path+" has had all", func() bool { return r.succeeded(path) >= acknowledged })
	}
	r.check(t, "/whole", func(*receivertest.Arrival) string { return "" })
	r.check(t, "/keys", func(a *receivertest.Arrival) string { return orderedPayload(a).Key })
}
