package httpapi

import (
	"encoding/json"
	"time"

	"hookwheel/wal"
	"hookwheel/webhook"
)

// maxOutcomes is about how many deliveries a page of messages with outcomes covers: an application
// with many endpoints gets shorter pages.
const maxOutcomes = 1000

// outcomesOut is the number of endpoints at which a message was delivered, waits, or failed. The
// endpoints that it does not go to are not counted, nor are deleted ones.
type outcomesOut struct {
	Delivered int `json:"delivered"`
	Pending   int `json:"pending"`
	Failed    int `json:"failed"`
}

// count counts the state at one endpoint.
func (o *outcomesOut) count(state wal.DeliveryState) {
	switch state {
	case wal.StateDelivered:
		o.Delivered++
	case wal.StateCanceled, wal.StateGivenUp:
		o.Failed++
	case wal.StateFiltered, wal.StateEarlier, wal.StateSkipped:
	default:
		o.Pending++
	}
}

// listMessages lists messages, newest first. A search that does not fill its page says how far it
// has looked.
func listMessages(r *request) (*response, error) {
	q := r.query()
	withContent, withStatus := q.bool("with_content", true), q.bool("with_status", false)
	l, filter := q.listingByTime(webhook.KindMessage), q.messageFilter()
	filter.Text = q.search()
	if q.err != nil {
		return nil, q.err
	}
	app, err := r.named().application()
	if err != nil {
		return nil, err
	}
	var endpoints []*webhook.Endpoint
	if withStatus {
		endpoints, _ = r.store().Endpoints(app.ID, wal.Page{Ascending: true, Limit: int(^uint(0)>>1) - 1})
		l.Limit = min(l.Limit, max(1, maxOutcomes/max(1, len(endpoints))))
	}
	l.Bytes, filter.WithoutPayload = pageBytes, !withContent
	list, next, err := r.store().Messages(app.ID, l.Page, filter)
	if err != nil {
		return nil, err
	}
	id := func(m *webhook.Message) webhook.ID { return m.ID }
	page, err := fillPage(l, list, next, id, func(m *webhook.Message) (rawJSON, error) {
		if !withStatus {
			return appendMessageOut(nil, m, withContent), nil
		}
		outcomes, err := countOutcomes(r, m, endpoints)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(struct {
			Outcomes outcomesOut `json:"outcomes"`
		}{outcomes})
		if err != nil {
			return nil, err
		}
		text[0] = ',' // continues the object of the message
		return appendMessageOut(nil, m, withContent, text[:len(text)-1]...), nil
	})
	if err != nil {
		return nil, err
	}
	var more []byte
	if filter.Text != "" && !page.Done && !next.IsZero() {
		more = append(next.Time().AppendFormat([]byte(`,"searchedTo":"`), time.RFC3339Nano), '"')
	}
	text, err := page.encode(more...)
	if err != nil {
		return nil, err
	}
	return ok(text), nil
}

// countOutcomes counts what has become of a message at these endpoints.
func countOutcomes(r *request, m *webhook.Message, endpoints []*webhook.Endpoint) (out outcomesOut, err error) {
	for len(endpoints) > 0 {
		list, err := r.store().Deliveries().Explain(m, endpoints)
		if err != nil {
			return out, err
		}
		for i := range list {
			out.count(list[i].State)
		}
		endpoints = endpoints[len(list):]
	}
	return out, nil
}
