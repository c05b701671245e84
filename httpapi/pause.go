package httpapi

import (
	"fmt"
	"strings"
	"time"

	"github.com/tidwall/gjson"
	"github.com/valyala/fasthttp"

	"hookwheel/wal"
	"hookwheel/webhook"
)

// healthOut is how an endpoint fares, for programs and in words.
type healthOut struct {
	State        string     `json:"state"` // healthy, failing, parked, paused, disabled
	Text         string     `json:"text"`
	Since        *time.Time `json:"since"`        // of parked
	FailingSince *time.Time `json:"failingSince"` // of the first failure after the last success
	NextProbe    *time.Time `json:"nextProbe"`    // of parked
	Waiting      uint64     `json:"waiting"`      // messages in the retry set
	Held         uint64     `json:"held"`         // messages behind others of their ordering key
	Requested    uint64     `json:"requested"`    // messages to be sent by hand or by a replay
	Behind       uint64     `json:"behind"`       // messages in the log that the cursor has not reached
	BehindMore   bool       `json:"behindMore"`   // there may be more than that
	Oldest       *time.Time `json:"oldest"`       // when the oldest of all that waits was accepted
	Expired      uint64     `json:"expired"`      // messages that left the log before they were delivered or given up
}

func showHealth(e *webhook.Endpoint, at wal.Standing, backlog *wal.Backlog) healthOut {
	h := at.Health
	out := healthOut{FailingSince: optional(h.FailingSince), Waiting: backlog.Retrying, Held: backlog.Held,
		Requested: backlog.Requested, Behind: backlog.Behind, BehindMore: backlog.More, Oldest: optional(backlog.Oldest),
		Expired: at.Expired}
	var text strings.Builder
	switch {
	case e.Disabled:
		out.State = "disabled"
		text.WriteString("disabled: nothing is sent; messages wait in the log until it is enabled")
	case e.Paused:
		out.State = "paused"
		text.WriteString("paused by a person: nothing is sent; messages wait in the log until it is resumed")
	case h.Parked:
		out.State, out.Since, out.NextProbe = "parked", optional(h.Since), optional(h.NextProbe)
		fmt.Fprintf(&text, "parked since %s; next probe at %s", words(h.Since), words(h.NextProbe))
		if h.Probes > 0 {
			fmt.Fprintf(&text, ", after %d that failed", h.Probes)
		}
	case !h.FailingSince.IsZero():
		out.State = "failing"
		text.WriteString("failing")
	default:
		out.State = "healthy"
		text.WriteString("healthy")
	}
	if !h.FailingSince.IsZero() {
		fmt.Fprintf(&text, "; no success since %s", words(h.FailingSince))
		if h.LastFailure != "" {
			fmt.Fprintf(&text, "; last failure: %s", h.LastFailure)
		}
	}
	if h.Rests.After(time.Now()) {
		fmt.Fprintf(&text, "; it asked to be left alone until %s", words(h.Rests))
	}
	if out.BehindMore && out.Behind > 0 {
		fmt.Fprintf(&text, "; at least %d messages wait in the log", out.Behind)
	} else {
		count(&text, out.Behind, "waits in the log", "wait in the log")
	}
	count(&text, out.Waiting, "waits in the retry set", "wait in the retry set")
	count(&text, out.Requested, "is to be sent again on request", "are to be sent again on request")
	count(&text, out.Held, "waits behind another of its ordering key", "wait behind others of their ordering keys")
	if !backlog.Oldest.IsZero() {
		fmt.Fprintf(&text, "; the oldest is from %s", words(backlog.Oldest))
	}
	count(&text, at.Expired, "has expired undelivered", "have expired undelivered")
	out.Text = text.String()
	return out
}

// words is a time for people.
func words(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func count(text *strings.Builder, n uint64, one, many string) {
	switch n {
	case 0:
	case 1:
		fmt.Fprintf(text, "; 1 message %s", one)
	default:
		fmt.Fprintf(text, "; %d messages %s", n, many)
	}
}

// pauseEndpoint stops the sending until a person resumes it; what comes waits in the log.
func (s *Server) pauseEndpoint(ctx *fasthttp.RequestCtx) (answer, error) {
	hold, cancel := s.hold(ctx)
	defer cancel()
	made, err := changeThing(ctx, s, hold, func() (*webhook.Endpoint, error) {
		before, err := s.endpoint(ctx)
		if err != nil || before.Paused && onceOf(ctx) == nil { // a key is kept though nothing changes
			return before, err
		}
		endpoint := *before
		endpoint.Paused = true
		return s.config.Writer.UpdateEndpoint(hold, endpoint)
	})
	if err != nil {
		return answer{}, err
	}
	return s.respondEndpoint(ctx, fasthttp.StatusOK, made)
}

// What a resumed endpoint does with the messages that wait in the log.
const (
	fromCursor = "cursor" // sends them all, the oldest first
	fromNow    = "now"    // passes over them
	fromTime   = "time"   // passes over those from before a time, which is what the API is given
)

// resumeEndpoint goes on where the endpoint stood, or passes over what waits in the log, all of it or up to a time. What it had been sent
// since an earlier time is sent again by a task. What waits in the retry set stays there in any case.
func (s *Server) resumeEndpoint(ctx *fasthttp.RequestCtx) (answer, error) {
	from, at, err := parseResume(ctx.PostBody(), time.Now())
	if err != nil {
		return answer{}, err
	}
	endpoint, err := s.endpoint(ctx)
	if err != nil {
		return answer{}, err
	}
	hold, cancel := s.hold(ctx)
	defer cancel()
	place := webhook.NewID(at.UnixMilli(), 0, 0)
	switch position := s.config.Store.Place(endpoint.ID).Position; {
	case from == fromTime && position.After(place):
		from = fromCursor
		again := webhook.Task{Kind: webhook.TaskReplay, Which: webhook.ReplayAll, App: endpoint.App, Endpoint: endpoint.ID,
			Since: at, Until: position.Time(), Total: -1}
		if err := s.manual.admit(caller(ctx), replayCost, time.Now()); err != nil {
			return answer{}, err
		}
		if _, err := s.config.Writer.CreateTask(partOf(ctx, hold, "replay"), again); err != nil {
			return answer{}, err
		}
	case from != fromTime:
		place = webhook.ID{}
	}
	made, err := changeThing(ctx, s, hold, func() (*webhook.Endpoint, error) {
		var to webhook.ID
		if from != fromCursor {
			if to, err = s.lastBefore(endpoint.App, place); err != nil {
				return nil, err
			}
		}
		return s.config.Writer.ResumeEndpoint(hold, endpoint.App, endpoint.ID, to)
	})
	if err != nil {
		return answer{}, err
	}
	return s.respondEndpoint(ctx, fasthttp.StatusOK, made)
}

// parseResume reads where to go on; at is set if that is neither the cursor nor now.
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

// lastBefore is the last message of a log before a place; zero: none. A zero place is the end.
func (s *Server) lastBefore(app, place webhook.ID) (last webhook.ID, err error) {
	list, _, err := s.config.Store.Messages(app, wal.Page{Limit: 1, High: place}, wal.MessageFilter{})
	if err != nil || len(list) == 0 {
		return last, err
	}
	return list[0].ID, nil
}
