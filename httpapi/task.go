package httpapi

import (
	"fmt"
	"math"
	"time"

	"github.com/tidwall/gjson"

	"hookwheel/wal"
	"hookwheel/webhook"
)

const (
	recoverWindow = 14*24*time.Hour + 5*time.Minute // as with Svix
	countPatience = 3 * time.Second                 // for counting the messages of a replay
)

// taskOut is a task in responses. The SDKs do not know all statuses: a paused task is shown as
// running and a canceled one as finished; data has the real status.
type taskOut struct {
	ID        string             `json:"id"`
	Status    webhook.TaskStatus `json:"status"`
	Task      webhook.TaskKind   `json:"task"`
	UpdatedAt time.Time          `json:"updatedAt"`
	Data      taskData           `json:"data"`
}

type taskData struct {
	State           webhook.TaskStatus   `json:"state"`
	AppID           string               `json:"appId"`
	EndpointID      string               `json:"endpointId"`
	CreatedAt       time.Time            `json:"createdAt"`
	Since           time.Time            `json:"since"`
	Until           time.Time            `json:"until"`
	Messages        webhook.ReplayStatus `json:"messages"` // which of them
	EventTypes      []string             `json:"eventTypes"`
	Channel         *string              `json:"channel"`
	Tag             *string              `json:"tag"`
	StatusCodeClass *uint16              `json:"statusCodeClass"`
	Rate            *uint16              `json:"rate"`
	Total           *int64               `json:"total"` // counted before the task began; null: too many to count
	Looked          int64                `json:"looked"`
	Taken           int64                `json:"taken"`
	Delivered       int64                `json:"delivered"`
	Failed          int64                `json:"failed"`
	Waiting         int64                `json:"waiting"`
	Position        time.Time            `json:"position"`     // all messages up to then were examined
	MessagesSent    int64                `json:"messagesSent"` // the name of Svix: attempted
}

func showTask(t *webhook.Task) taskOut {
	out := taskOut{ID: t.ID.Text(webhook.KindTask), Status: t.Status, Task: t.Kind, UpdatedAt: t.UpdatedAt, Data: taskData{
		State: t.Status, AppID: t.App.Text(webhook.KindApplication), EndpointID: t.Endpoint.Text(webhook.KindEndpoint), CreatedAt: t.CreatedAt,
		Since: t.Since, Until: t.Until, Messages: t.Which, EventTypes: t.EventTypes, Channel: optional(t.Channel), Tag: optional(t.Tag),
		StatusCodeClass: t.CodeClass, Rate: optional(t.Rate), Looked: t.Looked, Taken: t.Taken, Delivered: t.Delivered, Failed: t.Failed,
		Waiting: t.Waiting(), Position: t.Position.Time(), MessagesSent: t.Delivered + t.Failed}}
	if t.Total >= 0 {
		out.Data.Total = &t.Total
	}
	switch t.Status {
	case webhook.TaskPaused:
		out.Status = webhook.TaskRunning
	case webhook.TaskCanceled:
		out.Status = webhook.TaskFinished
	}
	return out
}

// parseTask reads what to replay. With dry, the messages are to be counted only.
func parseTask(kind webhook.TaskKind, which webhook.ReplayStatus, text []byte, now time.Time) (t webhook.Task, dry bool, err error) {
	b, err := parseBody(text)
	if err != nil {
		return t, false, err
	}
	t = webhook.Task{Kind: kind, Which: which}
	decided := false
	b.each(func(name string, v gjson.Result) {
		switch name {
		case "dryRun":
			if decided { // the last one would count, but to send is not to be taken back
				b.fail(name, "is given twice")
			}
			dry, decided = !isNull(v) && b.bool(name, v), true
		case "since":
			t.Since = b.optionalTime(name, v)
		case "until":
			t.Until = b.optionalTime(name, v)
		default:
			if kind == webhook.TaskReplay {
				b.choice(name, v, &t)
			}
		}
	})
	until := t.Until
	if until.IsZero() || until.After(now) {
		until = now
	}
	switch {
	case b.err() != nil:
	case t.Since.IsZero():
		b.fail("since", "is missing: from when on messages are sent again, such as 2026-01-31T12:00:00Z")
	case !until.After(t.Since):
		b.fail("since", "must be before until, and in the past")
	case kind == webhook.TaskRecover && until.Sub(t.Since) > recoverWindow:
		b.fail("since", "the time between since and until must be at most 14 days; bulk-replay takes any")
	}
	if err := b.err(); err != nil {
		return t, false, err
	}
	return t, dry, t.Validate()
}

// choice reads a field that narrows down a bulk replay.
func (b *body) choice(name string, v gjson.Result, t *webhook.Task) {
	switch name {
	case "status":
		t.Which = b.replayStatus(name, v)
	case "eventTypes":
		t.EventTypes = b.strings(name, v)
	case "channel":
		t.Channel = b.optionalString(name, v)
	case "tag":
		t.Tag = b.optionalString(name, v)
	case "rate":
		t.Rate = b.positive(name, v)
	case "statusCodeClass":
		if isNull(v) {
			return
		}
		if class := v.Num; v.Type == gjson.Number && class >= 0 && class <= 500 && math.Mod(class, 100) == 0 {
			t.CodeClass = new(uint16(class))
		} else {
			b.fail(name, "must be 0 (no answer), 100, 200, 300, 400 or 500")
		}
	}
}

// replayStatus reads which messages are sent again: a word, or the number of a status as in the
// Svix API.
func (b *body) replayStatus(field string, v gjson.Result) webhook.ReplayStatus {
	switch word := webhook.ReplayStatus(v.String()); {
	case isNull(v):
		return webhook.ReplayAll
	case v.Type == gjson.Number && v.Num == float64(webhook.StatusSuccess):
		return webhook.ReplayDelivered
	case v.Type == gjson.Number && v.Num == float64(webhook.StatusFail):
		return webhook.ReplayFailed
	case v.Type == gjson.String && (word == webhook.ReplayAll || word == webhook.ReplayDelivered || word == webhook.ReplayFailed || word == webhook.ReplayNeverAttempted):
		return word
	}
	b.fail(field, "must be all, failed (or 2), delivered (or 0) or never-attempted")
	return ""
}

// replay returns the handler that creates a task of that kind, or counts what it would send.
func replay(kind webhook.TaskKind, which webhook.ReplayStatus) handler {
	return func(r *request) (*response, error) {
		now := time.Now()
		task, dry, err := parseTask(kind, which, r.body(), now)
		if err != nil {
			return nil, err
		}
		endpoint, err := r.named().endpoint()
		if err != nil {
			return nil, err
		}
		task.App, task.Endpoint = endpoint.App, endpoint.ID
		if dry {
			return respondCount(r, &task, now)
		}
		if err := r.admitManual(replayCost, now); err != nil {
			return nil, err
		}
		count, err := countReplay(r, &task, now)
		if err != nil {
			return nil, err
		}
		if task.Total = count.total; !count.exact {
			task.Total = -1
		}
		made, err := r.callerWriter().CreateTask(r.context(), task)
		if err != nil {
			return nil, err
		}
		return accepted(showTask(made)), nil
	}
}

// replayCountOut is what a replay would send if it began now.
type replayCountOut struct {
	Task       webhook.TaskKind     `json:"task"`
	EndpointID string               `json:"endpointId"`
	Since      time.Time            `json:"since"`
	Until      time.Time            `json:"until"`
	Messages   webhook.ReplayStatus `json:"messages"`
	Total      int64                `json:"total"`
	Exact      bool                 `json:"exact"` // false: there may be more than Total
	Looked     int64                `json:"looked"`
	Position   time.Time            `json:"position"` // all messages up to then were counted
}

func respondCount(r *request, task *webhook.Task, now time.Time) (*response, error) {
	for _, name := range task.EventTypes {
		if _, err := r.named().visibleEventType(name); webhook.ErrorCode(err) == webhook.CodeNotFound {
			return nil, wal.UnknownEventType(name)
		} else if err != nil {
			return nil, err
		}
	}
	count, err := countReplay(r, task, now)
	if err != nil {
		return nil, err
	}
	until := task.Until
	if until.IsZero() || until.After(now) {
		until = now.UTC().Truncate(time.Millisecond)
	}
	position := count.position
	if count.exact || position.After(until) {
		position = until
	}
	return ok(replayCountOut{Task: task.Kind, EndpointID: task.Endpoint.Text(webhook.KindEndpoint), Since: task.Since, Until: until, Messages: task.Which,
		Total: count.total, Exact: count.exact, Looked: count.looked, Position: position}), nil
}

// countReplay counts the messages of a replay. As it reads, it waits for a turn to read.
func countReplay(r *request, task *webhook.Task, now time.Time) (taskCount, error) {
	endTurn, err := r.awaitRead()
	if err != nil {
		return taskCount{}, err
	}
	defer endTurn()
	return countTask(*task, now, time.Now().Add(countPatience), r.store().NextStep)
}

// taskCount counts the messages that a task would take.
type taskCount struct {
	total, looked int64
	exact         bool      // everything was counted
	position      time.Time // up to which all messages were
}

// countTask goes through the log as the task will, until everything or until the deadline.
func countTask(task webhook.Task, now, deadline time.Time, next func(*webhook.Task, int) (webhook.TaskStep, error)) (count taskCount, err error) {
	if ahead := now.Add(time.Hour); task.Until.IsZero() || task.Until.After(ahead) {
		task.Until = ahead // the clock of the log may be ahead
	}
	task.Position = task.Begin()
	for task.End().After(task.Position) {
		step, err := next(&task, math.MaxInt)
		if err != nil {
			return count, err
		}
		count.total += int64(len(step.Messages))
		count.looked += int64(step.Looked)
		task.Position = step.To
		if time.Now().After(deadline) {
			break
		}
	}
	count.exact, count.position = !task.End().After(task.Position), task.Position.Time()
	return count, nil
}

var errNoTask = &webhook.Error{Code: webhook.CodeNotFound, Detail: "Background task not found"}

func getTask(r *request) (*response, error) {
	t, err := r.named().task()
	if err != nil {
		return nil, err
	}
	return ok(showTask(t)), nil
}

// changeTask returns the handler that pauses, resumes or cancels a task.
func changeTask(status webhook.TaskStatus) handler {
	return func(r *request) (*response, error) {
		t, err := r.named().task()
		if err != nil {
			return nil, err
		}
		if t, err = r.writer().ChangeTask(r.context(), t.ID, status); err != nil {
			return nil, err
		}
		return ok(showTask(t)), nil
	}
}

// listTasks lists the newest tasks first by default.
func listTasks(r *request) (*response, error) {
	q := r.query()
	filter := q.taskFilter()
	l := q.listing(webhook.KindTask, q.ascending(false))
	if q.err != nil {
		return nil, q.err
	}
	if err := r.current(); err != nil {
		return nil, err
	}
	var err error
	if filter.App, filter.Endpoint, err = r.named().scope(); err != nil {
		return nil, err
	}
	list, more := r.store().Tasks(l.Page, filter)
	return respondPage(l, list, more, func(t **webhook.Task) webhook.ID { return (*t).ID }, func(t **webhook.Task) taskOut { return showTask(*t) })
}

func (q *query) taskFilter() (filter wal.TaskFilter) {
	switch status := webhook.TaskStatus(q.text("status")); {
	case !q.has("status"):
	case status == webhook.TaskRunning:
		filter.Statuses = []webhook.TaskStatus{webhook.TaskRunning, webhook.TaskPaused}
	case status == webhook.TaskFinished:
		filter.Statuses = []webhook.TaskStatus{webhook.TaskFinished, webhook.TaskCanceled}
	case status == webhook.TaskPaused, status == webhook.TaskCanceled, status == webhook.TaskFailed:
		filter.Statuses = []webhook.TaskStatus{status}
	default:
		q.fail("status", "must be running, paused, finished, canceled or failed")
	}
	switch kind := webhook.TaskKind(q.text("task")); {
	case !q.has("task"):
	case kind == webhook.TaskRecover, kind == webhook.TaskReplay, kind == webhook.TaskReplayMissing:
		filter.Kind = kind
	default:
		q.fail("task", fmt.Sprintf("must be %s, %s or %s", webhook.TaskRecover, webhook.TaskReplayMissing, webhook.TaskReplay))
	}
	return filter
}
