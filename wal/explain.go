package wal

import (
	"time"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/webhook"
)

// Fate is what has become of a message at an endpoint.
type Fate string

// The fates of a message.
const (
	FateDelivered Fate = "delivered"
	FateRetrying  Fate = "retrying"  // attempted before, and attempted again when due
	FateScheduled Fate = "scheduled" // not sent before its due time
	FateSending   Fate = "sending"   // for the first time, without a response yet; later messages have overtaken it
	FateHeld      Fate = "held"      // behind another message of the same ordering key
	FateRequested Fate = "requested" // a user or a task wants it sent now
	FateWaiting   Fate = "waiting"   // in the log, not reached by the cursor yet
	FateFiltered  Fate = "filtered"
	FateEarlier   Fate = "earlier" // older than the endpoint, or than its present filters
	FateSkipped   Fate = "skipped" // by a user
	FateCanceled  Fate = "canceled"
	FateGivenUp   Fate = "given up"
)

// Explanation describes what has become of a message at an endpoint, and why.
type Explanation struct {
	Endpoint *webhook.Endpoint
	Fate     Fate
	Attempts int              // the number of recorded attempts
	Last     *webhook.Attempt // the attempt that decided the fate, or nil
	Due      time.Time        // for FateRetrying and FateScheduled
	Manual   webhook.Manual   // for FateRequested
	Paused   bool             // with Manual: its task is paused
	Rule     webhook.Rule     // for FateFiltered
	Since    time.Time        // for FateEarlier: when the endpoint or its filters were created; for FateSkipped: when the user skipped it
	Health   webhook.Health
}

// Explain returns what has become of a message at each of these endpoints, in their order. The list
// may end early when there are very many attempts.
func (s *Store) Explain(m *webhook.Message, endpoints []*webhook.Endpoint) (list []Explanation, err error) {
	err = s.view(func(txn *badger.Txn) error {
		index := newIndexReader(txn)
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
	for _, endpoint := range endpoints {
		if looked += len(attempts[endpoint.ID]); looked > maxLooked && len(list) > 0 {
			return list, nil
		}
		e := explainer{txn: r.txn, m: m, x: Explanation{Endpoint: endpoint}}
		if e.attempts, err = readAttempts(r.txn, endpoint.ID, attempts[endpoint.ID]); err != nil {
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
	txn      *badger.Txn
	m        *webhook.Message
	attempts []webhook.Attempt
	x        Explanation
}

func (e *explainer) explain() error {
	c := new(cursor)
	value, found, err := e.get(idKey(keyCursor, e.x.Endpoint.ID))
	if err == nil && found {
		err = c.decode(value)
	}
	if err != nil {
		return err
	}
	e.x.Health, e.x.Attempts = c.health, len(e.attempts)
	planned, err := e.explainPlanned()
	if err != nil || planned {
		return err
	}
	switch {
	case len(e.attempts) == 0:
		e.explainPlace(c)
	case c.fresh(e.m.ID) && e.x.Endpoint.Wants(e.m): // sent early for a user or a task
		e.x.Fate = FateWaiting
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
			e.x.Fate, e.x.Last = FateDelivered, a
			return true, nil
		}
		e.x.Last = a
	}
	endpoint := e.x.Endpoint.ID
	key := idKey(keyManual, endpoint, e.m.ID)
	value, found, err := e.get(key)
	if err != nil {
		return false, err
	}
	if found {
		e.x.Fate = FateRequested
		if e.x.Manual, err = decodeManual(key, value); err == nil {
			e.x.Paused, err = e.paused(e.x.Manual.Task)
		}
		return true, err
	}
	if planned, err := e.explainRetry(); planned || err != nil {
		return planned, err
	}
	_, found, err = e.get(heldKey(endpoint, webhook.OrderingKeyHash(e.m.OrderingKey), e.m.ID))
	if found {
		e.x.Fate = FateHeld
	}
	return found, err
}

// explainRetry looks for a line in the retry set. A line without an attempt belongs to a message
// that must not be sent before its time, or to one that is being sent for the first time and was
// overtaken.
func (e *explainer) explainRetry() (planned bool, err error) {
	key := plannedKey(e.m.ID, e.x.Endpoint.ID)
	value, found, err := e.get(key)
	if err != nil || !found {
		return false, err
	}
	if key, err = plannedLine(key, value); err != nil {
		return false, err
	}
	value, found, err = e.get(key)
	if err != nil || !found {
		return false, err
	}
	line, err := decodeRetry(key, value)
	if e.x.Fate, e.x.Due = FateRetrying, line.Due; line.Made == 0 && len(e.attempts) == 0 {
		e.x.Fate = FateScheduled
		if e.m.DeliverAt.IsZero() {
			e.x.Fate, e.x.Due = FateSending, time.Time{}
		}
	}
	return true, err
}

func (e *explainer) paused(task webhook.ID) (bool, error) {
	value, found, err := e.get(idKey(keyTask, task))
	if !found {
		return false, err
	}
	var t webhook.Task
	err = decodeJSON(value, &t)
	return t.Status == webhook.TaskPaused, err
}

// explainLast explains a message for which nothing is planned any more.
func (e *explainer) explainLast() {
	if e.x.Fate = FateGivenUp; e.x.Last.Status == webhook.StatusCanceled {
		e.x.Fate = FateCanceled
	}
}

// explainPlace explains a message that was never attempted.
func (e *explainer) explainPlace(c *cursor) {
	x, at := &e.x, e.m.ID
	skipTime, skipped := c.skipped(at)
	switch {
	case x.Endpoint.ID.After(at):
		x.Fate, x.Since = FateEarlier, x.Endpoint.ID.Time()
	case skipped:
		x.Fate, x.Since = FateSkipped, skipTime
	case !x.Endpoint.Wants(e.m):
		x.Fate, x.Rule = FateFiltered, x.Endpoint.Filter(e.m)
	case !c.fresh(at) && x.Endpoint.FilterSince.After(at):
		x.Fate, x.Since = FateEarlier, x.Endpoint.FilterSince.Time()
	default:
		x.Fate = FateWaiting
	}
}

func (e *explainer) get(key []byte) (value []byte, found bool, err error) {
	return getRecord(e.txn, key)
}
