package httpapi

import (
	"time"

	"github.com/tidwall/gjson"
	"github.com/valyala/fasthttp"

	"hookwheel/wal"
	"hookwheel/webhook"
)

// pauseEndpoint stops deliveries until a user resumes the endpoint. New messages wait in the log.
func pauseEndpoint(r *request) (*response, error) {
	made, err := update(r, func() (*webhook.Endpoint, error) {
		before, err := r.named().endpoint()
		if err != nil || before.Paused && r.once().key() == nil { // a key is recorded even if nothing changes
			return before, err
		}
		endpoint := *before
		endpoint.Paused = true
		return r.writer().UpdateEndpoint(r.context(), endpoint)
	})
	if err != nil {
		return nil, err
	}
	return respondEndpoint(r, fasthttp.StatusOK, made)
}

// From where a resumed endpoint continues with the messages that wait in the log.
const (
	fromCursor = "cursor" // sends them all, the oldest first
	fromNow    = "now"    // skips them
	fromTime   = "time"   // skips those before a time, which is in the body instead of this word
)

// resumeEndpoint continues deliveries at the cursor, or skips what waits in the log, all of it or
// up to a time. If the time is before the cursor then a task sends the messages since that time
// again. The retry set is not changed.
func resumeEndpoint(r *request) (*response, error) {
	from, at, err := parseResume(r.body(), time.Now())
	if err != nil {
		return nil, err
	}
	endpoint, err := r.named().endpoint()
	if err != nil {
		return nil, err
	}
	position := webhook.NewID(at.UnixMilli(), 0, 0)
	switch cursor := r.store().Deliveries().Place(endpoint.ID).Position; {
	case from == fromTime && cursor.After(position):
		from = fromCursor
		again := webhook.Task{Kind: webhook.TaskReplay, Which: webhook.ReplayAll, App: endpoint.App, Endpoint: endpoint.ID,
			Since: at, Until: cursor.Time(), Total: -1}
		if err := r.admitManual(replayCost, time.Now()); err != nil {
			return nil, err
		}
		if _, err := r.writer().CreateTask(r.once().contextOf("replay"), again); err != nil {
			return nil, err
		}
	case from != fromTime:
		position = webhook.ID{}
	}
	made, err := update(r, func() (*webhook.Endpoint, error) {
		var to webhook.ID
		if from != fromCursor {
			if to, err = lastBefore(r, endpoint.App, position); err != nil {
				return nil, err
			}
		}
		return r.writer().ResumeEndpoint(r.context(), endpoint.App, endpoint.ID, to)
	})
	if err != nil {
		return nil, err
	}
	return respondEndpoint(r, fasthttp.StatusOK, made)
}

// parseResume reads where to continue; at is set if that is a time.
func parseResume(text []byte, now time.Time) (from string, at time.Time, err error) {
	from = fromCursor
	b, err := parseOptionalBody(text)
	if err != nil {
		return "", at, err
	}
	b.each(func(name string, v gjson.Result) {
		if name == "from" && !isNull(v) {
			from = b.string(name, v)
		}
	})
	if err := b.err(); err != nil {
		return "", at, err
	}
	if from == fromCursor || from == fromNow {
		return from, at, nil
	}
	at, valid := parseInstant(from)
	if !valid || at.After(now) {
		return "", at, webhook.Invalid("from", "must be cursor, now, or a time in the past such as 2026-01-31T12:00:00Z")
	}
	return fromTime, at, nil
}

// lastBefore returns the last message of a log before a position, or zero. A zero position is the
// end.
func lastBefore(r *request, app, position webhook.ID) (last webhook.ID, err error) {
	list, _, err := r.store().Messages(app, wal.Page{Limit: 1, High: position}, wal.MessageFilter{})
	if err != nil || len(list) == 0 {
		return last, err
	}
	return list[0].ID, nil
}
