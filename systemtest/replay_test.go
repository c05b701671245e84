package systemtest

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"hookwheel/systemtest/wait"
)

// replayTask is a background task as a client reads it.
type replayTask struct {
	ID, Status, Task string
	UpdatedAt        time.Time
	Data             struct {
		State                                     string
		Total                                     *int64
		Looked, Taken, Delivered, Failed, Waiting int64
		MessagesSent                              int64
	}
}

// TestReplaySurvivesLeaders kills the leader twice in the middle of a replay to a new endpoint.
func TestReplaySurvivesLeaders(t *testing.T) {
	t.Parallel()
	const messages, rate = 600, 120
	c := startDevCluster(t)
	r := newReceiver(t)
	c.setUp(t, "before", r.url+"/unused")
	c.must(t, 1, "DELETE", "/app/demo/endpoint/before", "", 204, nil)
	l := newLedger()
	var producers sync.WaitGroup
	for range 8 {
		producers.Go(func() {
			for range messages / 8 {
				l.mustPost(t, c.caller, 1)
			}
		})
	}
	producers.Wait()
	c.must(t, 1, "POST", "/app/demo/endpoint", fmt.Sprintf(`{"uid": "new", "url": %q}`, r.url), 201, nil)
	var task replayTask
	c.must(t, 2, "POST", "/app/demo/endpoint/new/bulk-replay", fmt.Sprintf(`{"since":%q,"rate":%d}`, time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), rate), 202, &task)
	if task.Data.Total == nil || *task.Data.Total != messages {
		t.Errorf("counted %v", task.Data.Total)
	}
	for _, after := range []int{messages / 4, messages / 2} {
		wait.For(t, fmt.Sprintf("%d messages have arrived", after), func() bool { arrived, _ := r.count(); return arrived >= after })
		c.kill(t, c.awaitHealth(t, 1, 2, 3))
		c.awaitHealth(t, 1, 2, 3)
	}
	wait.For(t, "the replay is finished", func() bool {
		response, err := c.call(3, "GET", "/background-task/"+task.ID, "")
		return err == nil && json.Unmarshal(response.body, &task) == nil && task.Status == "finished"
	})
	checkDelivered(t, l, r)
	_, duplicates := r.count()
	t.Logf("%+v; %d duplicates", task.Data, duplicates)
	if d := task.Data; d.Looked != messages || d.Taken != messages || d.Delivered != messages {
		t.Errorf("%+v", d)
	}
	if duplicates > rate { // what was under way or not recorded yet at a kill
		t.Errorf("%d arrived twice", duplicates)
	}
}
