package httpapi

import (
	"time"

	"github.com/valyala/fasthttp"

	"hookwheel/webhook"
)

const (
	maxStatsRange = 28 * day
	statsSlack    = 5 * time.Minute // of the clocks of clients
)

// statsOut counts what an endpoint was sent, to the hour, and what waits for it now.
type statsOut struct {
	Success  uint64 `json:"success"`
	Pending  uint64 `json:"pending"`
	Sending  uint64 `json:"sending"`
	Fail     uint64 `json:"fail"`
	Canceled uint64 `json:"canceled"`
}

func (s *Server) getStats(ctx *fasthttp.RequestCtx) (answer, error) {
	args, now := ctx.QueryArgs(), time.Now()
	since, err := parseTime(args, "since")
	if err != nil {
		return answer{}, err
	}
	until, err := parseTime(args, "until")
	if err != nil {
		return answer{}, err
	}
	if until.IsZero() {
		until = now
	}
	if since.IsZero() {
		since = until.Add(-maxStatsRange)
	}
	invalid := func(detail string) (answer, error) {
		return answer{}, &webhook.Error{Code: webhook.CodeInvalidRange, Detail: detail}
	}
	switch {
	case until.After(now.Add(statsSlack)):
		return invalid("until must not be in the future")
	case since.After(until):
		return invalid("since must not be after until")
	case until.Sub(since) > maxStatsRange+statsSlack:
		return invalid("between since and until there may be at most 28 days")
	}
	endpoint, err := s.endpoint(ctx)
	if err != nil {
		return answer{}, err
	}
	n, err := s.config.Store.Stats(endpoint.ID, since, until)
	if err != nil {
		return answer{}, err
	}
	backlogs, err := s.config.Store.Backlogs([]*webhook.Endpoint{endpoint})
	if err != nil {
		return answer{}, err
	}
	n.Pending += backlogs[0].Behind
	return answer{fasthttp.StatusOK, statsOut{Success: n.Succeeded, Pending: n.Pending, Sending: n.Retrying, Fail: n.Failed, Canceled: n.Canceled}}, nil
}
