package wal

import (
	"time"

	"hookwheel/webhook"
)

// DeliveryState is what has become of a message at an endpoint.
type DeliveryState string

// The states of a delivery.
const (
	StateDelivered DeliveryState = "delivered"
	StateRetrying  DeliveryState = "retrying"  // attempted before, and attempted again when due
	StateScheduled DeliveryState = "scheduled" // not sent before its due time
	StateSending   DeliveryState = "sending"   // for the first time, without a response yet; later messages have overtaken it
	StateHeld      DeliveryState = "held"      // behind another message of the same ordering key
	StateRequested DeliveryState = "requested" // a user or a task wants it sent now
	StateWaiting   DeliveryState = "waiting"   // in the log, not reached by the cursor yet
	StateFiltered  DeliveryState = "filtered"
	StateEarlier   DeliveryState = "earlier" // older than the endpoint, or than its present filters
	StateSkipped   DeliveryState = "skipped" // by a user
	StateCanceled  DeliveryState = "canceled"
	StateGivenUp   DeliveryState = "given up"
)

// Explanation describes what has become of a message at an endpoint, and why.
type Explanation struct {
	Endpoint *webhook.Endpoint
	State    DeliveryState
	Attempts int              // the number of recorded attempts
	Last     *webhook.Attempt // the attempt that decided the state, or nil
	Due      time.Time        // for StateRetrying and StateScheduled
	Manual   webhook.Manual   // for StateRequested
	Paused   bool             // with Manual: its task is paused
	Rule     webhook.Rule     // for StateFiltered
	Since    time.Time        // for StateEarlier: when the endpoint or its filters were created; for StateSkipped: when the user skipped it
	Health   webhook.Health
}

// Explain returns what has become of a message at each of these endpoints, in their order. The
// list may end early when there are very many attempts.
func (d Deliveries) Explain(m *webhook.Message, endpoints []*webhook.Endpoint) (list []Explanation, err error) {
	err = d.store.read(func(v dbView) error {
		index := newIndexReader(v)
		defer index.close()
		list, err = index.explain(m, endpoints)
		return err
	})
	return list, err
}

func (r *indexReader) explain(m *webhook.Message, endpoints []*webhook.Endpoint) (list []Explanation, err error) {
	ids := make([]webhook.ID, len(endpoints))
	for i, endpoint := range endpoints {
		ids[i] = endpoint.ID
	}
	attempts, err := r.attemptsAt(m.ID, ids)
	if err != nil {
		return nil, err
	}
	looked := 0
	v := r.db.view
	for _, endpoint := range endpoints {
		if looked += len(attempts[endpoint.ID]); looked > maxLooked && len(list) > 0 {
			return list, nil
		}
		e := explainer{view: v, m: m, x: Explanation{Endpoint: endpoint}}
		if e.attempts, err = v.attempts(endpoint.ID, attempts[endpoint.ID]); err != nil {
			return nil, err
		}
		if err := e.explain(); err != nil {
			return nil, err
		}
		list = append(list, e.x)
	}
	return list, nil
}

// explainer examines one message at one endpoint.
type explainer struct {
	view     view
	m        *webhook.Message
	attempts []webhook.Attempt
	x        Explanation
}

func (e *explainer) explain() error {
	c, err := e.view.cursor(e.x.Endpoint.ID)
	if err != nil {
		return err
	}
	if c == nil {
		c = new(cursor)
	}
	e.x.Health, e.x.Attempts = c.health(), len(e.attempts)
	planned, err := e.explainPlanned()
	if err != nil || planned {
		return err
	}
	switch {
	case len(e.attempts) == 0:
		e.explainPlace(c)
	case c.isFresh(e.m.ID) && e.x.Endpoint.Wants(e.m): // sent early for a user or a task
		e.x.State = StateWaiting
	default:
		e.explainLast()
	}
	return nil
}

// explainPlanned looks for a success, and without one for a planned attempt.
func (e *explainer) explainPlanned() (planned bool, err error) {
	for i := range e.attempts {
		a := &e.attempts[i]
		if a.Status == webhook.StatusSuccess {
			e.x.State, e.x.Last = StateDelivered, a
			return true, nil
		}
		e.x.Last = a
	}
	endpoint := e.x.Endpoint.ID
	manual, found, err := e.view.manual(endpoint, e.m.ID)
	if err != nil {
		return false, err
	}
	if found {
		e.x.State, e.x.Manual = StateRequested, manual
		e.x.Paused, err = e.paused(manual.Task)
		return true, err
	}
	if planned, err := e.explainRetry(); planned || err != nil {
		return planned, err
	}
	found, err = e.view.isHeld(endpoint, e.m)
	if found {
		e.x.State = StateHeld
	}
	return found, err
}

// explainRetry looks for a line in the retry set. A line without an attempt belongs to a message
// that must not be sent before its time, or to one that is being sent for the first time and was
// overtaken.
func (e *explainer) explainRetry() (planned bool, err error) {
	line, found, err := e.view.retry(e.x.Endpoint.ID, e.m.ID)
	if err != nil || !found {
		return false, err
	}
	if e.x.State, e.x.Due = StateRetrying, line.Due; line.Made == 0 && len(e.attempts) == 0 {
		e.x.State = StateScheduled
		if e.m.DeliverAt.IsZero() {
			e.x.State, e.x.Due = StateSending, time.Time{}
		}
	}
	return true, nil
}

func (e *explainer) paused(task webhook.ID) (bool, error) {
	value, found, err := e.view.get(idKey(keyTask, task))
	if !found {
		return false, err
	}
	var t webhook.Task
	err = decodeJSON(value, &t)
	return t.Status == webhook.TaskPaused, err
}

// explainLast explains a message for which nothing is planned any more.
func (e *explainer) explainLast() {
	if e.x.State = StateGivenUp; e.x.Last.Status == webhook.StatusCanceled {
		e.x.State = StateCanceled
	}
}

// explainPlace explains a message that was never attempted.
func (e *explainer) explainPlace(c *cursor) {
	x, at := &e.x, e.m.ID
	skipTime, skipped := c.skipped(at)
	switch {
	case x.Endpoint.ID.After(at):
		x.State, x.Since = StateEarlier, x.Endpoint.ID.Time()
	case skipped:
		x.State, x.Since = StateSkipped, skipTime
	case !x.Endpoint.Wants(e.m):
		x.State, x.Rule = StateFiltered, x.Endpoint.Filter(e.m)
	case !c.isFresh(at) && x.Endpoint.FilterSince.After(at):
		x.State, x.Since = StateEarlier, x.Endpoint.FilterSince.Time()
	default:
		x.State = StateWaiting
	}
}
