package httpapi

import (
	"fmt"
	"strings"
	"time"

	"hookwheel/wal"
	"hookwheel/webhook"
)

// explanationOut is what has become of a message: when it was accepted and, except for portals, at
// which place of the replicated log, which grows with the traffic of all customers; then a page of
// the application's endpoints.
type explanationOut struct {
	MsgID      string    `json:"msgId"`
	EventType  string    `json:"eventType"`
	EventID    *string   `json:"eventId"`
	AcceptedAt time.Time `json:"acceptedAt"`
	Index      *uint64   `json:"index,omitempty"` // of the entry of the log
	Place      *uint32   `json:"place,omitempty"` // among what that entry made
	Text       string    `json:"text"`
	listResponse
}

// deliveryOut is what has become of a message at one endpoint, for programs and in words.
type deliveryOut struct {
	EndpointID  string            `json:"endpointId"`
	EndpointUID *string           `json:"endpointUid"`
	URL         string            `json:"url"`
	State       wal.DeliveryState `json:"state"`
	Text        string            `json:"text"`
	Attempts    int               `json:"attempts"`
	AttemptID   *string           `json:"attemptId"` // that the state comes from
	At          *time.Time        `json:"at"`        // of that attempt
	NextAttempt *time.Time        `json:"nextAttempt"`
	Rule        *string           `json:"rule"`
	TaskID      *string           `json:"taskId"` // that had it sent again
	Since       *time.Time        `json:"since"`  // of the endpoint, of its filters, or when it was skipped
	Trace       *traceOut         `json:"trace"`  // of the attempt AttemptID
}

func explainMessage(r *request) (*response, error) {
	q := r.query()
	l := q.listing(webhook.KindEndpoint, true)
	if q.err != nil {
		return nil, q.err
	}
	m, err := r.named().message()
	if err != nil {
		return nil, err
	}
	endpoints, more := r.store().Endpoints(m.App, l.Page)
	list, err := r.store().Deliveries().Explain(m, endpoints)
	if err != nil {
		return nil, err
	}
	var next webhook.ID
	if more || len(list) < len(endpoints) {
		next = list[len(list)-1].Endpoint.ID
	}
	page, err := fillPage(l, list, next, func(x *wal.Explanation) webhook.ID { return x.Endpoint.ID },
		func(x *wal.Explanation) (deliveryOut, error) { return showDelivery(x, r.byCustomer()), nil })
	if err != nil {
		return nil, err
	}
	out := explanationOut{MsgID: m.ID.Text(webhook.KindMessage), EventType: m.EventType, EventID: optional(m.EventID),
		AcceptedAt: m.ID.Time(), listResponse: page}
	out.Text = "accepted at " + words(out.AcceptedAt)
	if !r.byCustomer() {
		out.Index, out.Place = new(m.ID.Index()), new(m.ID.Place())
		out.Text += fmt.Sprintf(" as number %d of entry %d of the log", *out.Place+1, *out.Index)
	}
	if m.Expunged {
		out.Text += "; its payload was expunged"
	}
	return ok(out), nil
}

func showDelivery(x *wal.Explanation, toCustomer bool) deliveryOut {
	out := deliveryOut{EndpointID: x.Endpoint.ID.Text(webhook.KindEndpoint), EndpointUID: optional(x.Endpoint.UID), URL: webhook.MaskURL(x.Endpoint.URL),
		State: x.State, Text: explainDelivery(x), Attempts: x.Attempts, NextAttempt: optional(x.Due), Rule: optional(string(x.Rule)), Since: optional(x.Since)}
	task := x.Manual.Task
	if x.Last != nil {
		out.AttemptID, out.At = new(x.Last.ID.Text(webhook.KindAttempt)), optional(x.Last.Start)
		out.Trace = showTrace(x.Last, toCustomer)
		if task.IsZero() {
			task = x.Last.Task
		}
	}
	if !task.IsZero() {
		out.TaskID = new(task.Text(webhook.KindTask))
	}
	return out
}

// explainDelivery describes the state of a delivery in words.
func explainDelivery(x *wal.Explanation) string {
	switch x.State {
	case wal.StateDelivered:
		return fmt.Sprintf("delivered at %s by %s: the endpoint responded with %d", words(x.Last.Start), attemptWords(x.Last), x.Last.StatusCode)
	case wal.StateRetrying:
		return fmt.Sprintf("%s; the next attempt is at %s", failureWords(x.Last), words(x.Due)) + standstill(x)
	case wal.StateScheduled:
		return fmt.Sprintf("scheduled: not sent before %s", words(x.Due)) + standstill(x)
	case wal.StateSending:
		return "being sent: the endpoint has not responded yet" + standstill(x)
	case wal.StateHeld:
		return "waiting for an earlier message with the same ordering key" + standstill(x)
	case wal.StateRequested:
		if !x.Manual.Task.IsZero() {
			text := fmt.Sprintf("task %s will resend it", x.Manual.Task.Text(webhook.KindTask))
			if x.Paused {
				text += "; the task is paused"
			}
			return text + standstill(x)
		}
		return "a resend was requested" + standstill(x)
	case wal.StateWaiting:
		text := "waiting in the log: the endpoint has not reached it yet"
		if x.Last != nil {
			text = failureWords(x.Last) + "; " + text
		}
		return text + standstill(x)
	case wal.StateFiltered:
		return fmt.Sprintf("filtered out: it does not match the endpoint's filters (%s)", x.Rule)
	case wal.StateEarlier:
		if x.Since.Equal(x.Endpoint.ID.Time()) {
			return fmt.Sprintf("not sent: the endpoint was created later, at %s", words(x.Since))
		}
		return fmt.Sprintf("not sent: the endpoint had passed it before the current filters took effect, at %s", words(x.Since))
	case wal.StateSkipped:
		return fmt.Sprintf("not sent: it was skipped on request, at %s", words(x.Since))
	case wal.StateCanceled:
		return fmt.Sprintf("canceled at %s: %s", words(x.Last.Start), x.Last.Response)
	default:
		text := "given up: "
		if x.Attempts != 1 {
			text = fmt.Sprintf("given up after %d attempts: ", x.Attempts)
		}
		return text + failureWords(x.Last) + controlWords(x.Last)
	}
}

// controlWords returns what a response has asked for, which ended the attempts.
func controlWords(a *webhook.Attempt) string {
	if a == nil || a.Trace == nil {
		return ""
	}
	switch a.Trace.Control {
	case webhook.ControlAbort:
		return "; it asked for no further attempts (webhook-delivery: abort-message)"
	case webhook.ControlDisable:
		return "; it asked to disable the endpoint (webhook-delivery: disable)"
	default:
		return ""
	}
}

// attemptWords returns what to call an attempt.
func attemptWords(a *webhook.Attempt) string {
	switch {
	case !a.Task.IsZero():
		return fmt.Sprintf("the attempt of task %s", a.Task.Text(webhook.KindTask))
	case a.Trigger == webhook.TriggerManual:
		return fmt.Sprintf("manual attempt %d", a.Number)
	default:
		return fmt.Sprintf("attempt %d", a.Number)
	}
}

// failureWords returns how an attempt failed.
func failureWords(a *webhook.Attempt) string {
	if a == nil { // deleted together with the attempts of an earlier message
		return "it was not delivered"
	}
	end := fmt.Sprintf("got status %d", a.StatusCode)
	if a.StatusCode == 0 {
		text := showResponse(a.Response)
		if why, notSent := strings.CutPrefix(text, "not sent: "); notSent {
			end = fmt.Sprintf("was not sent (%s)", why)
		} else {
			end = fmt.Sprintf("got no response (%s)", text)
		}
	}
	return fmt.Sprintf("%s at %s %s", attemptWords(a), words(a.Start), end)
}

// standstill returns why nothing is being sent to an endpoint, or an empty string if something may
// be.
func standstill(x *wal.Explanation) string {
	switch h := &x.Health; {
	case x.Endpoint.Disabled:
		return "; the endpoint is disabled"
	case x.Endpoint.Paused:
		return "; the endpoint is paused"
	case h.Parked:
		return fmt.Sprintf("; the endpoint has been parked since %s (%s); the next probe is at %s", words(h.Since), h.LastFailure, words(h.NextProbe))
	case h.Rests.After(time.Now()):
		return fmt.Sprintf("; the endpoint asked for no requests before %s", words(h.Rests))
	default:
		return ""
	}
}
