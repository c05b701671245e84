package systemtest

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"hookwheel/httpapi/apitest"
	"hookwheel/systemtest/wait"
	"hookwheel/webhook"
)

// TestTailSurvivesLeaders follows a cluster while its leader is killed under load: each event once,
// in order.
func TestTailSurvivesLeaders(t *testing.T) {
	t.Parallel()
	c := startDevCluster(t)
	r := newReceiver(t)
	c.setUp(t, "first", r.url)
	start := url.QueryEscape(time.Now().Add(-time.Minute).UTC().Format(time.RFC3339))
	tail := apitest.Follow(t, systemToken, "from="+start, c.nodes...)
	l := newLedger()
	producing := startLoad(t, c.caller, l)
	awaitMore(t, l)
	c.kill(t, c.awaitHealth(t, 1, 2, 3))
	c.awaitHealth(t, 1, 2, 3)
	awaitMore(t, l)
	producing.stop()
	checkDelivered(t, l, r)
	arrived, _ := r.count()
	successes := func() (ids map[string]bool) {
		ids = make(map[string]bool)
		for _, e := range tail.Events() {
			if _, rest, found := strings.Cut(e.Data, `"msgId":"`); found && e.Name == "attempt" && strings.Contains(e.Data, `"status":0`) {
				id, _, _ := strings.Cut(rest, `"`)
				ids[id] = true
			}
		}
		return ids
	}
	wait.For(t, "the tail has told of all deliveries", func() bool { return len(successes()) >= arrived })
	tail.End()
	last := webhook.ID{}
	for i, e := range tail.Events() {
		if e.ID == "" {
			continue
		}
		id, err := webhook.ParseID(webhook.KindEvent, e.ID)
		if err != nil || !id.After(last) {
			t.Fatalf("event %d, %s, does not come after the one before; %v", i, e.ID, err)
		}
		last = id
	}
	t.Logf("%d events of %d deliveries", len(tail.Events()), arrived)
}
