package httpapi

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"time"
	"unicode/utf8"

	"hookwheel/wal"
	"hookwheel/webhook"
)

// attemptOut is an attempt in responses. number, nextAttempt and trace are additions that the SDKs
// ignore.
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
	Trace              *traceOut       `json:"trace"`
	Headers            *headersOut     `json:"headers,omitempty"` // of a test
}

func showAttempt(a *webhook.Attempt, withContent, toCustomer bool) attemptOut {
	out := attemptOut{ID: a.ID.Text(webhook.KindAttempt), URL: webhook.MaskURL(a.URL), Response: "{}", ResponseStatusCode: a.StatusCode,
		ResponseDurationMs: a.Duration.Milliseconds(), Status: a.Status, StatusText: a.Status.String(), TriggerType: a.Trigger,
		MsgID: a.Message.Text(webhook.KindMessage), EndpointID: a.Endpoint.Text(webhook.KindEndpoint), Timestamp: a.Start,
		Number: a.Number, NextAttempt: optional(a.Next), Trace: showTrace(a, toCustomer)}
	if !a.Task.IsZero() {
		out.TaskID = new(a.Task.Text(webhook.KindTask))
	}
	if withContent {
		out.Response = showResponse(a.Response)
	}
	return out
}

// showResponse encodes a response that is not UTF-8 as base64. The last character may be cut off.
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

// attemptQuery is what both lists of attempts understand.
type attemptQuery struct {
	listing
	filter      wal.AttemptFilter
	withContent bool
	withMessage bool
}

func (q *query) attempts() (a attemptQuery) {
	a.withContent = q.bool("with_content", true)
	a.listing = q.attemptsByTime(&a.filter)
	a.filter.Status = q.status()
	if q.has("status_code_class") {
		class, valid := q.number("status_code_class")
		if !valid || class%100 != 0 || class > 500 {
			q.fail("status_code_class", "must be 0, 100, 200, 300, 400 or 500")
		}
		a.filter.CodeClass = &class
	}
	a.Bytes = pageBytes
	a.filter.Message = q.messageFilter()
	a.withMessage = q.bool("with_msg", false)
	return a
}

// listAttemptsByMessage also serves the older path that names the endpoint too.
func listAttemptsByMessage(r *request) (*response, error) {
	q := r.query()
	a := q.attempts()
	if q.err != nil {
		return nil, q.err
	}
	m, err := r.named().message()
	if err != nil {
		return nil, err
	}
	if name := cmp.Or(r.path("endpoint"), q.text("endpoint_id")); name != "" {
		if a.filter.EndpointID, err = endpointID(r, m.App, name); err != nil {
			return nil, err
		}
	}
	a.filter.App = m.App
	list, next, err := r.store().Attempts().ByMessage(m.ID, a.Page, a.filter)
	if err != nil {
		return nil, err
	}
	return respondAttempts(r, a, list, next)
}

// listAttemptsByApplication lists the attempts at all present endpoints.
func listAttemptsByApplication(r *request) (*response, error) {
	q := r.query()
	a := q.attempts()
	if q.err != nil {
		return nil, q.err
	}
	app, err := r.named().application()
	if err != nil {
		return nil, err
	}
	if name := q.text("endpoint_id"); name != "" {
		endpoint, err := r.store().Endpoint(app.ID, name) // an ID may be another application's
		if err != nil {
			return nil, err
		}
		a.filter.EndpointID = endpoint.ID
	}
	a.filter.App = app.ID
	list, next, err := r.store().Attempts().ByApplication(a.Page, a.filter)
	if err != nil {
		return nil, err
	}
	return respondAttempts(r, a, list, next)
}

// endpointID returns the ID of an endpoint of the application. An endpoint that is given by its ID
// may be deleted, as its history is kept.
func endpointID(r *request, app webhook.ID, name string) (webhook.ID, error) {
	if id, err := webhook.ParseID(webhook.KindEndpoint, name); err == nil {
		return id, nil
	}
	endpoint, err := r.store().Endpoint(app, name)
	if err != nil {
		return webhook.ID{}, err
	}
	return endpoint.ID, nil
}

func listAttemptsByEndpoint(r *request) (*response, error) {
	q := r.query()
	a := q.attempts()
	if q.err != nil {
		return nil, q.err
	}
	endpoint, err := r.named().endpoint()
	if err != nil {
		return nil, err
	}
	a.filter.App = endpoint.App
	list, next, err := r.store().Attempts().ByEndpoint(endpoint.ID, a.Page, a.filter)
	if err != nil {
		return nil, err
	}
	return respondAttempts(r, a, list, next)
}

// respondAttempts responds with a page of attempts, and with their messages if the query asks for
// them.
func respondAttempts(r *request, q attemptQuery, list []webhook.Attempt, next webhook.ID) (*response, error) {
	// The message that was encoded last: attempts of the same message are often consecutive.
	var encoded []byte
	var last webhook.ID
	id := func(a *webhook.Attempt) webhook.ID { return a.ID }
	return respondSearch(q.listing, list, next, id, func(a *webhook.Attempt) (rawJSON, error) {
		out, err := json.Marshal(showAttempt(a, q.withContent, r.byCustomer()))
		if err != nil || !q.withMessage {
			return out, err
		}
		if a.Message != last {
			m, err := r.store().Deliveries().MessageByID(q.filter.App, a.Message)
			// A message that is gone takes its attempts along in a moment.
			if err != nil && webhook.ErrorCode(err) != webhook.CodeNotFound {
				return out, err
			}
			if encoded, last = nil, a.Message; err == nil {
				encoded = appendMessageOut(nil, m, q.withContent)
			}
		}
		if encoded == nil {
			return out, nil
		}
		out = append(out[:len(out)-1], `,"msg":`...) // continues the object of the attempt
		return append(append(out, encoded...), '}'), nil
	})
}

func getAttempt(r *request) (*response, error) {
	_, a, err := r.named().attempt()
	if err != nil {
		return nil, err
	}
	return ok(showAttempt(a, true, r.byCustomer())), nil
}

// resendMessage requests an additional attempt. If the endpoint is paused or disabled, it is made
// once deliveries continue.
func resendMessage(r *request) (*response, error) {
	m, err := r.named().message()
	if err != nil {
		return nil, err
	}
	endpoint, err := r.named().endpoint()
	if err != nil {
		return nil, err
	}
	if err := r.admitManual(1, time.Now()); err != nil {
		return nil, err
	}
	if err := r.writer().Resend(r.context(), m.App, endpoint.ID, m.ID); err != nil {
		return nil, err
	}
	return accepted(struct{}{}), nil
}

func expungeAttempt(r *request) (*response, error) {
	m, a, err := r.named().attempt()
	if err != nil {
		return nil, err
	}
	if err := r.writer().ExpungeAttempt(r.context(), m.App, a.Message, a.ID); err != nil {
		return nil, err
	}
	return noContent(), nil
}
