package httpapi

import (
	"encoding/base64"
	"time"
	"unicode/utf8"

	"github.com/valyala/fasthttp"

	"hookwheel/wal"
	"hookwheel/webhook"
)

// attemptOut is an attempt as the API shows it. number and nextAttempt are ours; the SDKs pass over them.
type attemptOut struct {
	ID                 string          `json:"id"`
	URL                string          `json:"url"`
	Response           string          `json:"response"`
	ResponseStatusCode uint16          `json:"responseStatusCode"`
	ResponseDurationMs int64           `json:"responseDurationMs"`
	Status             webhook.Status  `json:"status"`
	StatusText         string          `json:"statusText"`
	TriggerType        webhook.Trigger `json:"triggerType"`
	MsgID              string          `json:"msgId"`
	EndpointID         string          `json:"endpointId"`
	Timestamp          time.Time       `json:"timestamp"`
	Number             uint32          `json:"number"`
	NextAttempt        *time.Time      `json:"nextAttempt"`
}

func showAttempt(a *webhook.Attempt, withContent bool) attemptOut {
	out := attemptOut{ID: a.ID.Text(webhook.KindAttempt), URL: a.URL, Response: "{}", ResponseStatusCode: a.StatusCode,
		ResponseDurationMs: a.Duration.Milliseconds(), Status: a.Status, StatusText: a.Status.String(), TriggerType: a.Trigger,
		MsgID: a.Message.Text(webhook.KindMessage), EndpointID: a.Endpoint.Text(webhook.KindEndpoint), Timestamp: a.Start,
		Number: a.Number, NextAttempt: optional(a.Next)}
	if withContent {
		out.Response = showResponse(a.Response)
	}
	return out
}

// showResponse writes what is not UTF-8 as base64. The last character may have been cut.
func showResponse(response []byte) string {
	if len(response) == webhook.MaxResponse {
		for cut := 1; cut < utf8.UTFMax; cut++ {
			if shorter := response[:len(response)-cut]; utf8.Valid(shorter) && !utf8.Valid(response) {
				return string(shorter)
			}
		}
	}
	if utf8.Valid(response) {
		return string(response)
	}
	return base64.StdEncoding.EncodeToString(response)
}

// parseAttempts reads what both lists of attempts understand.
func parseAttempts(args *fasthttp.Args) (l listing, filter wal.AttemptFilter, withContent bool, err error) {
	if withContent, err = parseBool(args, "with_content", true); err != nil {
		return l, filter, false, err
	}
	if l, err = parseListing(args, webhook.KindAttempt, false); err != nil {
		return l, filter, false, err
	}
	if err = l.parseTimes(args); err != nil {
		return l, filter, false, err
	}
	if args.Has("status") {
		status, err := args.GetUint("status")
		if err != nil || status > 4 {
			return l, filter, false, badQuery("status", "must be 0 (success), 1 (pending), 2 (fail), 3 (sending) or 4 (canceled)")
		}
		filter.Status = new(webhook.Status(status))
	}
	if args.Has("status_code_class") {
		class, err := args.GetUint("status_code_class")
		if err != nil || class%100 != 0 || class > 500 {
			return l, filter, false, badQuery("status_code_class", "must be 0, 100, 200, 300, 400 or 500")
		}
		filter.CodeClass = &class
	}
	return l, filter, withContent, nil
}

func attemptID(a *webhook.Attempt) webhook.ID { return a.ID }

func (s *Server) listAttemptsByMessage(ctx *fasthttp.RequestCtx) (answer, error) {
	args := ctx.QueryArgs()
	l, filter, withContent, err := parseAttempts(args)
	if err != nil {
		return answer{}, err
	}
	app, m, err := s.message(ctx)
	if err != nil {
		return answer{}, err
	}
	if name := string(args.Peek("endpoint_id")); name != "" {
		endpoint, err := s.config.Store.Endpoint(app.ID, name)
		if err != nil {
			return answer{}, err
		}
		filter.EndpointID = endpoint.ID
	}
	list, more, err := s.config.Store.AttemptsByMessage(m.ID, l.Page, filter)
	if err != nil {
		return answer{}, err
	}
	return respond(l, list, more, attemptID, func(a *webhook.Attempt) attemptOut { return showAttempt(a, withContent) }), nil
}

func (s *Server) listAttemptsByEndpoint(ctx *fasthttp.RequestCtx) (answer, error) {
	l, filter, withContent, err := parseAttempts(ctx.QueryArgs())
	if err != nil {
		return answer{}, err
	}
	endpoint, err := s.endpoint(ctx)
	if err != nil {
		return answer{}, err
	}
	list, more, err := s.config.Store.AttemptsByEndpoint(endpoint.ID, l.Page, filter)
	if err != nil {
		return answer{}, err
	}
	return respond(l, list, more, attemptID, func(a *webhook.Attempt) attemptOut { return showAttempt(a, withContent) }), nil
}
