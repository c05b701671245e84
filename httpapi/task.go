package httpapi

import (
	"fmt"
	"math"
	"time"

	"github.com/tidwall/gjson"
	"github.com/valyala/fasthttp"

	"hookwheel/wal"
	"hookwheel/webhook"
)

const (
	recoverWindow = 14*24*time.Hour + 5*time.Minute // as with Svix
	countPatience = 3 * time.Second                 // for counting what a replay will send, before it begins
)

// taskOut is a task as the API shows it. The SDKs know fewer statuses than there are: a paused task is one that runs, a canceled one
// is finished, and data has the whole truth.
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
	Total           *int64               `json:"total"` // counted before it began; null: too many to count
	Looked          int64                `json:"looked"`
	Taken           int64                `json:"taken"`
	Delivered       int64                `json:"delivered"`
	Failed          int64                `json:"failed"`
	Waiting         int64                `json:"waiting"`
	Position        time.Time            `json:"position"`     // all messages up to then are looked at
	MessagesSent    int64                `json:"messagesSent"` // as Svix has it: attempted
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

// parseTask reads what is to be replayed; what Svix calls status stands in it by its words or ours.
func parseTask(kind webhook.TaskKind, which webhook.ReplayStatus, text []byte, now time.Time) (t webhook.Task, err error) {
	b, err := parseBody(text)
	if err != nil {
		return t, err
	}
	t = webhook.Task{Kind: kind, Which: which}
	b.each(func(name string, v gjson.Result) {
		switch name {
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
		return t, err
	}
	return t, t.Validate()
}

// choice reads a field that narrows a bulk replay.
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

// replayStatus reads which messages are sent again: a word, or the number that Svix gives the status of a message.
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

// replay begins a task.
func (s *Server) replay(kind webhook.TaskKind, which webhook.ReplayStatus) handler {
	return func(ctx *fasthttp.RequestCtx) (answer, error) {
		now := time.Now()
		task, err := parseTask(kind, which, ctx.PostBody(), now)
		if err != nil {
			return answer{}, err
		}
		endpoint, err := s.endpoint(ctx)
		if err != nil {
			return answer{}, err
		}
		if err := s.manual.admit(caller(ctx), replayCost, now); err != nil {
			return answer{}, err
		}
		task.App, task.Endpoint = endpoint.App, endpoint.ID
		if task.Total, err = s.countReplay(task, now); err != nil {
			return answer{}, err
		}
		hold, cancel := s.hold(ctx)
		defer cancel()
		made, err := s.writer(ctx).CreateTask(hold, task)
		if err != nil {
			return answer{}, err
		}
		return answer{fasthttp.StatusAccepted, showTask(made)}, nil
	}
}

// countReplay goes through the log as the task will; -1: there is too much of it.
func (s *Server) countReplay(task webhook.Task, now time.Time) (total int64, err error) {
	if ahead := now.Add(time.Hour); task.Until.IsZero() || task.Until.After(ahead) {
		task.Until = ahead // as is perhaps the clock of the log
	}
	task.Position = task.Begin()
	for end := now.Add(countPatience); task.End().After(task.Position); {
		step, err := s.config.Store.NextStep(&task, math.MaxInt)
		if err != nil {
			return 0, err
		}
		total += int64(len(step.Messages))
		task.Position = step.To
		if time.Now().After(end) {
			return -1, nil
		}
	}
	return total, nil
}

// task is the one that the path names, as of now.
func (s *Server) task(ctx *fasthttp.RequestCtx) (*webhook.Task, error) {
	if err := s.current(); err != nil {
		return nil, err
	}
	id, err := webhook.ParseID(webhook.KindTask, pathValue(ctx, "task"))
	if err != nil {
		return nil, errNoTask
	}
	t, err := s.config.Store.Task(id)
	if err == nil && caller(ctx).Role == webhook.RoleApplication && caller(ctx).App != t.App {
		return nil, errNoTask
	}
	return t, err
}

var errNoTask = &webhook.Error{Code: webhook.CodeNotFound, Detail: "Background task not found"}

func (s *Server) getTask(ctx *fasthttp.RequestCtx) (answer, error) {
	t, err := s.task(ctx)
	if err != nil {
		return answer{}, err
	}
	return answer{fasthttp.StatusOK, showTask(t)}, nil
}

// changeTask has a task be paused, running or canceled.
func (s *Server) changeTask(status webhook.TaskStatus) handler {
	return func(ctx *fasthttp.RequestCtx) (answer, error) {
		t, err := s.task(ctx)
		if err != nil {
			return answer{}, err
		}
		hold, cancel := s.hold(ctx)
		defer cancel()
		if t, err = s.config.Writer.ChangeTask(hold, t.ID, status); err != nil {
			return answer{}, err
		}
		return answer{fasthttp.StatusOK, showTask(t)}, nil
	}
}

// listTasks lists the newest first.
func (s *Server) listTasks(ctx *fasthttp.RequestCtx) (answer, error) {
	args := ctx.QueryArgs()
	filter, err := parseTaskFilter(args)
	if err != nil {
		return answer{}, err
	}
	ascending, err := parseOrder(args, false)
	if err != nil {
		return answer{}, err
	}
	l, err := parseListing(args, webhook.KindTask, ascending)
	if err != nil {
		return answer{}, err
	}
	if err := s.current(); err != nil {
		return answer{}, err
	}
	if caller(ctx).Role == webhook.RoleApplication {
		filter.App = caller(ctx).App
	}
	list, more := s.config.Store.Tasks(l.Page, filter)
	return respond(l, list, more, func(t **webhook.Task) webhook.ID { return (*t).ID }, func(t **webhook.Task) taskOut { return showTask(*t) })
}

func parseTaskFilter(args *fasthttp.Args) (filter wal.TaskFilter, err error) {
	switch status := webhook.TaskStatus(args.Peek("status")); {
	case !args.Has("status"):
	case status == webhook.TaskRunning:
		filter.Statuses = []webhook.TaskStatus{webhook.TaskRunning, webhook.TaskPaused}
	case status == webhook.TaskFinished:
		filter.Statuses = []webhook.TaskStatus{webhook.TaskFinished, webhook.TaskCanceled}
	case status == webhook.TaskPaused, status == webhook.TaskCanceled, status == webhook.TaskFailed:
		filter.Statuses = []webhook.TaskStatus{status}
	default:
		return filter, badQuery("status", "must be running, paused, finished, canceled or failed")
	}
	switch kind := webhook.TaskKind(args.Peek("task")); {
	case !args.Has("task"):
	case kind == webhook.TaskRecover, kind == webhook.TaskReplay, kind == webhook.TaskReplayMissing:
		filter.Kind = kind
	default:
		return filter, badQuery("task", fmt.Sprintf("must be %s, %s or %s", webhook.TaskRecover, webhook.TaskReplayMissing, webhook.TaskReplay))
	}
	return filter, nil
}
