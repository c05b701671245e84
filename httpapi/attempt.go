package httpapi

import (
	"cmp"
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
	TaskID             *string         `json:"taskId,omitempty"`
	Msg                messageOut      `json:"msg,omitempty"`
}

func showAttempt(a *webhook.Attempt, withContent bool) attemptOut {
	out := attemptOut{ID: a.ID.Text(webhook.KindAttempt), URL: webhook.MaskURL(a.URL), Response: "{}", ResponseStatusCode: a.StatusCode,
		ResponseDurationMs: a.Duration.Milliseconds(), Status: a.Status, StatusText: a.Status.String(), TriggerType: a.Trigger,
		MsgID: a.Message.Text(webhook.KindMessage), EndpointID: a.Endpoint.Text(webhook.KindEndpoint), Timestamp: a.Start,
		Number: a.Number, NextAttempt: optional(a.Next)}
	if !a.Task.IsZero() {
		out.TaskID = new(a.Task.Text(webhook.KindTask))
	}
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
	if filter.Status, err = parseStatus(args); err != nil {
		return l, filter, false, err
	}
	if args.Has("status_code_class") {
		class, err := args.GetUint("status_code_class")
		if err != nil || class%100 != 0 || class > 500 {
			return l, filter, false, badQuery("status_code_class", "must be 0, 100, 200, 300, 400 or 500")
		}
		filter.CodeClass = &class
	}
	l.Bytes = pageBytes
	filter.Message, err = parseMessageFilter(args)
	return l, filter, withContent, err
}

// parseStatus reads a status; nil: there is none.
func parseStatus(args *fasthttp.Args) (*webhook.Status, error) {
	if !args.Has("status") {
		return nil, nil
	}
	status, err := args.GetUint("status")
	if err != nil || status > int(webhook.StatusCanceled) {
		return nil, badQuery("status", "must be 0 (success), 1 (pending), 2 (fail), 3 (sending) or 4 (canceled)")
	}
	return new(webhook.Status(status)), nil
}

func attemptID(a *webhook.Attempt) webhook.ID { return a.ID }

// listAttemptsByMessage also answers the older path that names the endpoint too.
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
	if name := cmp.Or(pathValue(ctx, "endpoint"), string(args.Peek("endpoint_id"))); name != "" {
		if filter.EndpointID, err = s.endpointID(app, name); err != nil {
			return answer{}, err
		}
	}
	filter.App = app.ID
	list, next, err := s.config.Store.AttemptsByMessage(m.ID, l.Page, filter)
	if err != nil {
		return answer{}, err
	}
	return s.respondAttempts(ctx, app.ID, l, list, next, withContent)
}

// endpointID is that of an endpoint of the application; one that is given by its id may be gone, for its history stays.
func (s *Server) endpointID(app *webhook.Application, name string) (webhook.ID, error) {
	if id, err := webhook.ParseID(webhook.KindEndpoint, name); err == nil {
		return id, nil
	}
	endpoint, err := s.config.Store.Endpoint(app.ID, name)
	if err != nil {
		return webhook.ID{}, err
	}
	return endpoint.ID, nil
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
	filter.App = endpoint.App
	list, next, err := s.config.Store.AttemptsByEndpoint(endpoint.ID, l.Page, filter)
	if err != nil {
		return answer{}, err
	}
	return s.respondAttempts(ctx, endpoint.App, l, list, next, withContent)
}

// respondAttempts shows a page of attempts, with their messages if they are wanted.
func (s *Server) respondAttempts(ctx *fasthttp.RequestCtx, app webhook.ID, l listing, list []webhook.Attempt, next webhook.ID, withContent bool) (answer, error) {
	withMessage, err := parseBool(ctx.QueryArgs(), "with_msg", false)
	if err != nil {
		return answer{}, err
	}
	var shown messageOut // of the message with the id of: attempts of one often stand together
	var of webhook.ID
	return respondUpTo(l, list, next, attemptID, func(a *webhook.Attempt) (attemptOut, error) {
		out := showAttempt(a, withContent)
		if withMessage && a.Message != of {
			m, err := s.config.Store.MessageByID(app, a.Message)
			if err != nil && webhook.ErrorCode(err) != webhook.CodeNotFound { // else it is gone, and the attempt in a moment
				return out, err
			}
			if shown, of = nil, a.Message; err == nil {
				shown = appendMessageOut(nil, m, withContent)
			}
		}
		if withMessage {
			out.Msg = shown
		}
		return out, nil
	})
}

// attempt is the one that the path names, and its application.
func (s *Server) attempt(ctx *fasthttp.RequestCtx) (*webhook.Application, *webhook.Attempt, error) {
	app, m, err := s.message(ctx)
	if err != nil {
		return nil, nil, err
	}
	id, err := webhook.ParseID(webhook.KindAttempt, pathValue(ctx, "attempt"))
	if err != nil {
		return nil, nil, &webhook.Error{Code: webhook.CodeNotFound, Detail: "Attempt not found"}
	}
	a, err := s.config.Store.Attempt(m.ID, id)
	return app, a, err
}

func (s *Server) getAttempt(ctx *fasthttp.RequestCtx) (answer, error) {
	_, a, err := s.attempt(ctx)
	if err != nil {
		return answer{}, err
	}
	return answer{fasthttp.StatusOK, showAttempt(a, true)}, nil
}

// resend asks for one more attempt. An endpoint that is paused or disabled gets it when it is sent to again.
func (s *Server) resend(ctx *fasthttp.RequestCtx) (answer, error) {
	_, m, err := s.message(ctx)
	if err != nil {
		return answer{}, err
	}
	endpoint, err := s.endpoint(ctx)
	if err != nil {
		return answer{}, err
	}
	if err := s.manual.admit(caller(ctx), 1, time.Now()); err != nil {
		return answer{}, err
	}
	hold, cancel := s.hold(ctx)
	defer cancel()
	if err := s.config.Writer.Resend(hold, m.App, endpoint.ID, m.ID); err != nil {
		return answer{}, err
	}
	return answer{fasthttp.StatusAccepted, struct{}{}}, nil
}

func (s *Server) expungeAttempt(ctx *fasthttp.RequestCtx) (answer, error) {
	app, a, err := s.attempt(ctx)
	if err != nil {
		return answer{}, err
	}
	hold, cancel := s.hold(ctx)
	defer cancel()
	if err := s.config.Writer.ExpungeAttempt(hold, app.ID, a.Message, a.ID); err != nil {
		return answer{}, err
	}
	return answer{status: fasthttp.StatusNoContent}, nil
}
