package httpapi

import (
	"time"

	"hookwheel/webhook"
)

const (
	maxStatsRange = 28 * day
	statsSlack    = 5 * time.Minute // for the clocks of clients
)

// statsOut counts the deliveries of an endpoint, in whole hours, and its present backlog.
type statsOut struct {
	Success  uint64 `json:"success"`
	Pending  uint64 `json:"pending"`
	Sending  uint64 `json:"sending"`
	Fail     uint64 `json:"fail"`
	Canceled uint64 `json:"canceled"`
}

func getStats(r *request) (*response, error) {
	q, now := r.query(), time.Now()
	since, until := q.time("since"), q.time("until")
	if q.err != nil {
		return nil, q.err
	}
	if until.IsZero() {
		until = now
	}
	if since.IsZero() {
		since = until.Add(-maxStatsRange)
	}
	invalid := func(detail string) (*response, error) {
		return nil, &webhook.Error{Code: webhook.CodeInvalidRange, Detail: detail}
	}
	switch {
	case until.After(now.Add(statsSlack)):
		return invalid("until must not be in the future")
	case since.After(until):
		return invalid("since must not be after until")
	case until.Sub(since) > maxStatsRange+statsSlack:
		return invalid("between since and until there may be at most 28 days")
	}
	endpoint, err := r.named().endpoint()
	if err != nil {
		return nil, err
	}
	n, err := r.store().Stats(endpoint.ID, since, until)
	if err != nil {
		return nil, err
	}
	backlogs, err := r.store().Deliveries().Backlogs([]*webhook.Endpoint{endpoint})
	if err != nil {
		return nil, err
	}
	n.Pending += backlogs[0].Behind
	return ok(statsOut{Success: n.Succeeded, Pending: n.Pending, Sending: n.Retrying, Fail: n.Failed, Canceled: n.Canceled}), nil
}
