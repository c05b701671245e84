package systemtest

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"
)

const (
	batchSize    = 200 // events, which take several parts
	batchInvalid = 77  // the place of a message that is not valid
)

// postBatch posts the next events as a batch, on one node after the other, until it is
// acknowledged.
func (l *ledger) postBatch(t *testing.T, c *caller) {
	l.mu.Lock()
	first := l.sent
	l.sent += batchSize
	l.mu.Unlock()
	var items []string
	for event := first; event < first+batchSize; event++ {
		items = append(items, fmt.Sprintf(`{"eventType": "test.event", "eventId": "event-%d", "payload": %s}`, event, payload(event)))
	}
	items[batchInvalid] = `{}`
	body := "[" + strings.Join(items, ",") + "]"
	for range 1000 {
		r, err := c.post(1+rand.IntN(len(c.nodes)), "/app/demo/msg/batch", fmt.Sprint("batch-", first), body)
		switch {
		case err == nil && r.status == http.StatusAccepted:
			l.acknowledgeBatch(t, first, r.body)
			return
		case err == nil && (r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == ""):
			t.Errorf("batch of event %d: %d %s", first, r.status, r.body)
			return
		}
		l.mu.Lock()
		l.failed["batch"]++
		l.mu.Unlock()
		time.Sleep(failurePause)
	}
	t.Errorf("the batch of event %d was not acknowledged", first)
}

func (l *ledger) acknowledgeBatch(t *testing.T, first int, body []byte) {
	var results []struct {
		ID     string
		Errors []json.RawMessage
	}
	if err := json.Unmarshal(body, &results); err != nil || len(results) != batchSize {
		t.Errorf("%d results, %v: %.200s", len(results), err, body)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, r := range results {
		if (r.ID == "") != (i == batchInvalid) || (len(r.Errors) > 0) != (i == batchInvalid) {
			t.Errorf("message %d of the batch of event %d: %q %s", i, first, r.ID, r.Errors)
			continue
		}
		if r.ID != "" {
			l.acknowledged[first+i] = r.ID
		}
	}
}

// Batches that are repeated with one key while leaders, and then all nodes, are killed in the
// middle of them take effect once, each message in its place, and none is lost.
func TestBatchesThroughLostLeaders(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	c := startDevCluster(t)
	c.setUp(t, "first", r.url)
	l, producing := newLedger(), new(load)
	for range 3 {
		producing.wg.Go(func() {
			for !producing.over.Load() {
				if sent, _ := l.count(); sent > maxEvents {
					return
				}
				l.postBatch(t, c.caller)
				time.Sleep(producerPause)
			}
		})
	}
	t.Cleanup(producing.stop)
	kills := [][]int{nil, {1, 2, 3}} // nil: the leader
	if testing.Short() {
		kills = kills[:1]
	}
	for _, nodes := range kills {
		awaitMore(t, l)
		leader := c.awaitHealth(t, 1, 2, 3)
		if nodes == nil {
			nodes = []int{leader}
		}
		c.kill(t, nodes...)
		c.awaitHealth(t, 1, 2, 3)
	}
	awaitMore(t, l)
	producing.stop()
	checkDelivered(t, l, r)
	kept := c.events(t, 1+rand.IntN(clusterSize))
	if len(kept) != len(l.acknowledged) {
		t.Errorf("%d events were acknowledged, and %d are kept", len(l.acknowledged), len(kept))
	}
	for event, times := range kept {
		if times != 1 {
			t.Errorf("event %d was applied %d times", event, times)
		}
	}
}
