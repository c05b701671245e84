package wal

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"hookwheel/webhook"
)

// replayWorld is an endpoint whose log has messages in each state, by name.
type replayWorld struct {
	*testing.T
	s        *Store
	w        *Writer
	app      webhook.ID
	endpoint *webhook.Endpoint
	names    map[webhook.ID]string
}

func newReplayWorld(t *testing.T) *replayWorld {
	s, w, app, _ := newWorld(t)
	r := &replayWorld{T: t, s: s, w: w, app: app.ID, names: make(map[webhook.ID]string)}
	send := func(name string, m webhook.Message) webhook.ID {
		m.App, m.Payload = app.ID, []byte("{}")
		if m.EventType == "" {
			m.EventType = "a"
		}
		id, err := w.CreateMessage(t.Context(), &m)
		if err != nil {
			t.Fatal(err)
		}
		r.names[id] = name
		return id
	}
	send("before", webhook.Message{})
	for _, name := range []string{"a", "b", "z"} {
		if _, err := w.CreateEventType(t.Context(), webhook.EventType{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if r.endpoint, err = w.CreateEndpoint(t.Context(), webhook.Endpoint{App: app.ID, URL: "http://x/", EventTypes: []string{"a", "b"}, Keys: testKeys}); err != nil {
		t.Fatal(err)
	}
	later := time.UnixMilli(testClock + 3_600_000)
	delivered := send("delivered", webhook.Message{Tags: []string{"t"}})
	failed := send("failed", webhook.Message{EventType: "b"})
	retried := send("retried", webhook.Message{Channels: []string{"c"}})
	send("unwanted", webhook.Message{EventType: "z"})
	scheduled := send("scheduled", webhook.Message{DeliverAt: later})
	held := send("held", webhook.Message{OrderingKey: "k"})
	skipped := send("skipped", webhook.Message{})
	send("to come", webhook.Message{})
	attempt := func(id webhook.ID, status webhook.Status, code uint16, next time.Time) webhook.Outcome {
		return webhook.Outcome{Attempt: webhook.Attempt{Message: id, Endpoint: r.endpoint.ID, Number: 1, Status: status, StatusCode: code, Next: next, Start: later}, Spent: 1}
	}
	tolerate(t, "without any attempt") // what was skipped
	r.record(webhook.Progress{Endpoint: r.endpoint.ID, Cursor: skipped, Outcomes: []webhook.Outcome{
		attempt(delivered, webhook.StatusSuccess, 204, time.Time{}), attempt(failed, webhook.StatusFail, 503, time.Time{}), attempt(retried, webhook.StatusFail, 0, later),
		{Attempt: webhook.Attempt{Message: scheduled, Next: later}},
		{Attempt: webhook.Attempt{Message: held}, Hold: true, Key: webhook.OrderingKeyHash("k")}}})
	return r
}

func (r *replayWorld) record(p webhook.Progress) {
	r.Helper()
	if err := r.w.Leader(1).RecordProgress(r.Context(), []webhook.Progress{p}); err != nil {
		r.Fatal(err)
	}
}

func (r *replayWorld) start(task webhook.Task) *webhook.Task {
	r.Helper()
	task.App, task.Endpoint = r.app, r.endpoint.ID
	if task.Since.IsZero() {
		task.Since = time.UnixMilli(testClock - 1000)
	}
	made, err := r.w.CreateTask(r.Context(), task)
	if err != nil {
		r.Fatal(err)
	}
	return made
}

func (r *replayWorld) task(id webhook.ID) *webhook.Task {
	r.Helper()
	t, err := r.s.Task(id)
	if err != nil {
		r.Fatal(err)
	}
	return t
}

// step makes the next step of a task, and says what it takes.
func (r *replayWorld) step(id webhook.ID, limit int) (names []string) {
	r.Helper()
	step, err := r.s.NextStep(r.task(id), limit)
	if err != nil {
		r.Fatal(err)
	}
	if err := r.w.Leader(1).StepTask(r.Context(), &step); err != nil {
		r.Fatal(err)
	}
	for _, m := range step.Messages {
		names = append(names, r.names[m])
	}
	return names
}

// attempt settles the lines of the manual set.
func (r *replayWorld) attempt(status webhook.Status, next time.Time) {
	r.Helper()
	lines, err := r.s.Deliveries().Manual(r.endpoint.ID, true, 1000)
	if err != nil {
		r.Fatal(err)
	}
	for _, line := range lines {
		r.record(webhook.Progress{Endpoint: r.endpoint.ID, Outcomes: []webhook.Outcome{{Source: webhook.SourceManual, Spent: 1, Attempt: webhook.Attempt{
			Message: line.Message, Endpoint: r.endpoint.ID, Number: line.Number, Trigger: webhook.TriggerManual, Task: line.Task, Status: status, Next: next}}}})
	}
}

func TestTaskChooses(t *testing.T) {
	r := newReplayWorld(t)
	tests := map[string]struct {
		task webhook.Task
		want string
	}{
		"all":              {webhook.Task{Which: webhook.ReplayAll}, "[before delivered failed retried skipped]"},
		"delivered":        {webhook.Task{Which: webhook.ReplayDelivered}, "[delivered]"},
		"failed":           {webhook.Task{Which: webhook.ReplayFailed}, "[failed retried]"},
		"never attempted":  {webhook.Task{Which: webhook.ReplayNeverAttempted}, "[before skipped]"},
		"one event type":   {webhook.Task{Which: webhook.ReplayAll, EventTypes: []string{"b"}}, "[failed]"},
		"unwanted type":    {webhook.Task{Which: webhook.ReplayAll, EventTypes: []string{"z"}}, "[]"},
		"a channel":        {webhook.Task{Which: webhook.ReplayAll, Channel: "c"}, "[retried]"},
		"a tag":            {webhook.Task{Which: webhook.ReplayAll, Tag: "t"}, "[delivered]"},
		"no answer":        {webhook.Task{Which: webhook.ReplayAll, CodeClass: new(uint16)}, "[retried]"},
		"answers 5xx":      {webhook.Task{Which: webhook.ReplayFailed, CodeClass: new(uint16(500))}, "[failed]"},
		"an unknown":       {webhook.Task{Which: "odd"}, "[]"},
		"nothing in range": {webhook.Task{Which: webhook.ReplayAll, Since: time.UnixMilli(testClock - 1000), Until: time.UnixMilli(testClock - 500)}, "[]"},
		"the first":        {webhook.Task{Which: webhook.ReplayAll, Until: r.endpoint.CreatedAt.Add(-4 * time.Millisecond)}, "[before]"},
	}
	for name, test := range tests {
		task := r.start(test.task)
		if got := fmt.Sprint(r.step(task.ID, webhook.MaxTaskStep)); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
		if _, err := r.w.ChangeTask(t.Context(), task.ID, webhook.TaskCanceled); err != nil && r.task(task.ID).Status != webhook.TaskFinished {
			t.Fatal(err)
		}
	}
}

func TestTaskRuns(t *testing.T) {
	r := newReplayWorld(t)
	told, woken := 0, 0
	r.s.Watch(func(c webhook.Changes) {
		woken += len(c.Manual)
		if c.Tasks || len(c.Manual) > 0 {
			told++
		}
	})
	task := r.start(webhook.Task{Kind: webhook.TaskReplay, Which: webhook.ReplayAll, Total: 5})
	first := *task
	if names := r.step(task.ID, 2); !slices.Equal(names, []string{"before", "delivered"}) {
		t.Error(names)
	}
	late := webhook.TaskStep{Task: task.ID, From: first.Position, To: first.End()} // of a leader that does not know the step before
	wantCode(t, r.w.Leader(1).StepTask(t.Context(), &late), webhook.CodeConflict)
	late.From = r.task(task.ID).Position
	wantCode(t, r.w.Leader(2).StepTask(t.Context(), &late), webhook.CodeConflict)
	if _, err := r.w.ChangeTask(t.Context(), task.ID, webhook.TaskPaused); err != nil {
		t.Fatal(err)
	}
	wantCode(t, r.w.Leader(1).StepTask(t.Context(), &late), webhook.CodeConflict)
	if len(r.s.RunningTasks()) != 0 || r.s.Deliveries().TaskRuns(task.ID) {
		t.Error("a paused task is running")
	}
	if lines, err := r.s.Deliveries().Manual(r.endpoint.ID, true, 10); err != nil || len(lines) != 0 {
		t.Errorf("of a paused task there is to be sent %+v %v", lines, err)
	}
	toldBefore := woken
	if _, err := r.w.ChangeTask(t.Context(), task.ID, webhook.TaskRunning); err != nil {
		t.Fatal(err)
	}
	if woken != toldBefore+1 {
		t.Error("the endpoint does not learn that its lines may be sent again")
	}
	r.attempt(webhook.StatusSuccess, time.Time{})
	if names := r.step(task.ID, 64); !slices.Equal(names, []string{"failed", "retried", "skipped"}) {
		t.Error(names)
	}
	other := r.start(webhook.Task{Which: webhook.ReplayFailed})
	r.step(other.ID, 64)
	if got := r.task(other.ID); got.Taken != 2 {
		t.Errorf("the newer task does not take what waits for the other: %+v", got)
	}
	retry := time.UnixMilli(testClock + 5000).UTC()
	r.attempt(webhook.StatusFail, retry)
	got := r.task(task.ID)
	if got.Status != webhook.TaskFinished || got.Taken != 3 || got.Delivered != 2 || got.Failed != 1 || got.Total != 5 || got.Looked != 9 {
		t.Errorf("%+v", got)
	}
	lines, err := r.s.Deliveries().Retries(r.endpoint.ID, webhook.Retry{Due: retry}, 10)
	if err != nil || len(lines) != 4 || r.names[lines[0].Message] != "failed" || r.names[lines[1].Message] != "skipped" || lines[1].Made != 0 {
		t.Errorf("a replay that failed is not tried again: %+v %v", lines, err)
	}
	_, err = r.w.ChangeTask(t.Context(), task.ID, webhook.TaskCanceled)
	wantCode(t, err, webhook.CodeConflict)
	_, err = r.w.ChangeTask(t.Context(), r.app, webhook.TaskCanceled)
	wantCode(t, err, webhook.CodeNotFound)
	if told < 5 {
		t.Errorf("the leader was told %d times", told)
	}
}

// A message that waits for a task and that a user or a newer task asks for is sent for that one,
// whatever becomes of the first.
func TestTaskGivesWay(t *testing.T) {
	r := newReplayWorld(t)
	task := r.start(webhook.Task{Which: webhook.ReplayAll})
	r.step(task.ID, 64)
	newer := r.start(webhook.Task{Which: webhook.ReplayFailed})
	r.step(newer.ID, 64)
	older := r.task(task.ID)
	for id, name := range r.names {
		if name == "delivered" || name == "failed" {
			if err := r.w.Resend(t.Context(), r.app, r.endpoint.ID, id); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := r.task(task.ID); older.Taken != 3 || got.Taken != 2 || got.Status != webhook.TaskRunning {
		t.Errorf("the older has %d, then %+v", older.Taken, got)
	}
	if got := r.task(newer.ID); got.Taken != 1 || got.Looked != 9 {
		t.Errorf("the newer has %+v", got)
	}
	if _, err := r.w.ChangeTask(t.Context(), task.ID, webhook.TaskCanceled); err != nil {
		t.Fatal(err)
	}
	owners := make(map[string]webhook.ID)
	lines, err := r.s.Deliveries().Manual(r.endpoint.ID, true, 10)
	for _, line := range lines {
		owners[r.names[line.Message]] = line.Task
	}
	if want := map[string]webhook.ID{"delivered": {}, "failed": {}, "retried": newer.ID}; err != nil || !maps.Equal(owners, want) {
		t.Errorf("%v %v", owners, err)
	}
	r.attempt(webhook.StatusSuccess, time.Time{})
	if got := r.task(newer.ID); got.Status != webhook.TaskFinished || got.Delivered != 1 {
		t.Errorf("%+v", got)
	}
}

// A task with a rate has no more waiting than one second brings.
func TestTaskRoom(t *testing.T) {
	r := newReplayWorld(t)
	task := r.start(webhook.Task{Which: webhook.ReplayAll, Rate: 2})
	step, err := r.s.NextStep(r.task(task.ID), 3)
	if err != nil {
		t.Fatal(err)
	}
	wantCode(t, r.w.Leader(1).StepTask(t.Context(), &step), webhook.CodeConflict)
	r.step(task.ID, 2)
	if room := r.task(task.ID).Room(); room != 0 {
		t.Errorf("there is room for %d", room)
	}
	r.attempt(webhook.StatusSuccess, time.Time{})
	if names := r.step(task.ID, 2); !slices.Equal(names, []string{"failed", "retried"}) {
		t.Error(names)
	}
}

func TestTaskEnds(t *testing.T) {
	r := newReplayWorld(t)
	task := r.start(webhook.Task{Which: webhook.ReplayAll})
	r.step(task.ID, 3)
	for id, name := range r.names {
		if name != "skipped" {
			continue
		}
		if err := r.w.Resend(t.Context(), r.app, r.endpoint.ID, id); err != nil {
			t.Fatal(err)
		}
	}
	canceled, err := r.w.ChangeTask(t.Context(), task.ID, webhook.TaskCanceled)
	if err != nil || canceled.Status != webhook.TaskCanceled || canceled.Waiting() != 0 {
		t.Errorf("%+v %v", canceled, err)
	}
	if lines, err := r.s.Deliveries().Manual(r.endpoint.ID, true, 100); err != nil || len(lines) != 1 || r.names[lines[0].Message] != "skipped" {
		t.Errorf("a cancel leaves %+v %v", lines, err)
	}
	second := r.start(webhook.Task{Which: webhook.ReplayAll})
	r.step(second.ID, 3)
	for range maxEndpointTasks - 1 {
		r.start(webhook.Task{Which: webhook.ReplayAll})
	}
	_, err = r.w.CreateTask(t.Context(), webhook.Task{App: r.app, Endpoint: r.endpoint.ID})
	wantCode(t, err, webhook.CodeConflict)
	_, err = r.w.CreateTask(t.Context(), webhook.Task{App: r.endpoint.ID, Endpoint: r.endpoint.ID})
	wantCode(t, err, webhook.CodeNotFound)
	if err := r.w.DeleteEndpoint(t.Context(), r.app, r.endpoint.ID); err != nil {
		t.Fatal(err)
	}
	if got := r.task(second.ID); got.Status != webhook.TaskFailed || got.Waiting() != 0 {
		t.Errorf("of an endpoint that is gone: %+v", got)
	}
	if got := r.task(task.ID); got.Status != webhook.TaskCanceled {
		t.Errorf("what was over is now %s", got.Status)
	}
	if list, more := r.s.Tasks(Page{Limit: 5}, TaskFilter{Statuses: []webhook.TaskStatus{webhook.TaskFailed}}); len(list) != 5 || !more {
		t.Errorf("%d listed, %v", len(list), more)
	}
}

// TestTasksOfApplication begins as many replays as one application may have; another may have more.
func TestTasksOfApplication(t *testing.T) {
	_, w, app, _ := newWorld(t)
	begin := func(app webhook.ID, n int) (err error) {
		for n > 0 && err == nil {
			endpoint, made := w.CreateEndpoint(t.Context(), webhook.Endpoint{App: app, URL: "http://x/", Keys: testKeys})
			if made != nil {
				t.Fatal(made)
			}
			for range min(n, maxEndpointTasks) {
				task := webhook.Task{App: app, Endpoint: endpoint.ID, Kind: webhook.TaskReplay, Which: webhook.ReplayAll, Since: time.UnixMilli(testClock - 3_600_000)}
				if _, err = w.CreateTask(t.Context(), task); err != nil {
					break
				}
				n--
			}
		}
		return err
	}
	if err := begin(app.ID, maxAppTasks); err != nil {
		t.Fatal(err)
	}
	wantCode(t, begin(app.ID, 1), webhook.CodeConflict)
	other, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "other"}, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := begin(other.ID, 1); err != nil {
		t.Error(err)
	}
}

// Of the tasks that are over only the newest are kept, and those of other applications than the one
// that has the most.
func TestTasksAreForgotten(t *testing.T) {
	s, w, app, endpoint := newWorld(t)
	other, _, err := w.CreateApplication(t.Context(), webhook.Application{Name: "other"}, false)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := w.CreateEndpoint(t.Context(), webhook.Endpoint{App: other.ID, URL: "http://x/", Keys: testKeys})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := w.CreateTask(t.Context(), webhook.Task{App: other.ID, Endpoint: theirs.ID, Since: time.UnixMilli(testClock + 3_600_000)})
	if err != nil {
		t.Fatal(err)
	}
	var first, last webhook.ID
	for i := range maxTasksOver + 3 { // each is over at once: there is nothing before its end
		task, err := w.CreateTask(t.Context(), webhook.Task{App: app.ID, Endpoint: endpoint.ID, Since: time.UnixMilli(testClock + 3_600_000)})
		if err != nil {
			t.Fatal(err)
		}
		if last = task.ID; i == 0 {
			first = last
		}
	}
	if _, err := s.Task(kept.ID); err != nil {
		t.Errorf("the task of another application: %v", err)
	}
	_, err = s.Task(first)
	wantCode(t, err, webhook.CodeNotFound)
	if got, err := s.Task(last); err != nil || got.Status != webhook.TaskFinished {
		t.Errorf("%+v %v", got, err)
	}
	if list, _ := s.Tasks(Page{Limit: 5000}, TaskFilter{}); len(list) != maxTasksOver {
		t.Errorf("%d are kept", len(list))
	}
}

// Where messages have many attempts at other endpoints, a step takes fewer of them, and Apply looks
// at a bounded number of attempts.
func TestStepAmongManyAttempts(t *testing.T) {
	const endpoints, messages = 400, 64
	s, w, app, endpoint := newWorld(t)
	var ids []webhook.ID
	for range messages {
		id, err := w.CreateMessage(t.Context(), &webhook.Message{App: app.ID, EventType: "a", Payload: []byte("{}")})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	at := endpoint.ID
	for range endpoints {
		p := webhook.Progress{Endpoint: at, Cursor: ids[messages-1]}
		for _, id := range ids {
			p.Outcomes = append(p.Outcomes, webhook.Outcome{Attempt: webhook.Attempt{Message: id, Number: 1, URL: "http://x/", Start: time.UnixMilli(testClock)}})
		}
		if err := w.Leader(1).RecordProgress(t.Context(), []webhook.Progress{p}); err != nil {
			t.Fatal(err)
		}
		next, err := w.CreateEndpoint(t.Context(), webhook.Endpoint{App: app.ID, URL: "http://x/", Keys: testKeys})
		if err != nil {
			t.Fatal(err)
		}
		at = next.ID
	}
	task, err := w.CreateTask(t.Context(), webhook.Task{App: app.ID, Endpoint: endpoint.ID, Since: time.UnixMilli(testClock - 1000), Which: webhook.ReplayAll})
	if err != nil {
		t.Fatal(err)
	}
	for task.Status == webhook.TaskRunning {
		step, err := s.NextStep(task, messages)
		if err != nil {
			t.Fatal(err)
		}
		before := s.pending.seen
		if err := w.Leader(1).StepTask(t.Context(), &step); err != nil {
			t.Fatal(err)
		}
		if seen := s.pending.seen - before; seen > maxStepLines+endpoints+100 {
			t.Errorf("a step of %d messages passes %d records", len(step.Messages), seen)
		}
		if task, err = s.Task(task.ID); err != nil {
			t.Fatal(err)
		}
		if task.Position == task.End() {
			break
		}
	}
	if task.Taken != messages {
		t.Errorf("%d messages are taken", task.Taken)
	}
}
