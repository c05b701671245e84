package httpapi

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"hookwheel/wal"
	"hookwheel/webhook"
)

// actorOut is who made a change.
type actorOut struct {
	Type      webhook.ActorType `json:"type"`
	Role      *webhook.Role     `json:"role"`
	KeyID     *string           `json:"keyId"`
	Name      *string           `json:"name"`
	AppID     *string           `json:"appId"`
	SessionID *string           `json:"sessionId"`
}

func showActor(a *webhook.Actor) *actorOut {
	return &actorOut{Type: a.Kind(), Role: optional(a.Role), KeyID: optionalID(a.Key, webhook.KindAPIKey), Name: optional(a.Name),
		AppID: optionalID(a.App, webhook.KindApplication), SessionID: optional(a.Session)}
}

// changeOut is a change of state, in the audit list and in the tail.
type changeOut struct {
	Change     webhook.Change `json:"change"`
	Actor      *actorOut      `json:"actor"` // nil: not for this caller
	AppID      *string        `json:"appId"`
	EndpointID *string        `json:"endpointId"`
	TaskID     *string        `json:"taskId"`
	MessageID  *string        `json:"messageId"`
	AttemptID  *string        `json:"attemptId"`
	KeyID      *string        `json:"keyId"`
	EventType  *string        `json:"eventType"`
	Member     *string        `json:"member"`
	Timestamp  time.Time      `json:"timestamp"`
}

func showChange(c *webhook.StateChange) changeOut {
	return changeOut{Change: c.Change, Actor: showActor(&c.By), AppID: optionalID(c.App, webhook.KindApplication),
		EndpointID: optionalID(c.Endpoint, webhook.KindEndpoint), TaskID: optionalID(c.Task, webhook.KindTask),
		MessageID: optionalID(c.Message, webhook.KindMessage), AttemptID: optionalID(c.Attempt, webhook.KindAttempt),
		KeyID: optionalID(c.Key, webhook.KindAPIKey), EventType: optional(c.EventType), Member: optional(c.Member), Timestamp: c.ID.Time()}
}

// auditOut is a change in the audit list.
type auditOut struct {
	ID string `json:"id"` // the same as in the tail
	changeOut
}

// auditPage is a page of the audit list.
type auditPage struct {
	listResponse
	Removed *removedOut `json:"removed"` // nil: nothing was removed early
}

// removedOut says how many changes were removed early, to make room.
type removedOut struct {
	Count  uint64    `json:"count"`
	Before time.Time `json:"before"` // all of them were made before
}

func showRemoved(removed wal.RemovedChanges) *removedOut {
	if removed.Count == 0 {
		return nil
	}
	return &removedOut{removed.Count, removed.Before}
}

// listAudit lists who changed what, newest first. A search that does not fill its page says where
// the next one continues.
func listAudit(r *request) (*response, error) {
	q := r.query()
	l, filter := q.listingByTime(webhook.KindEvent), wal.AuditFilter{Changes: q.changes()}
	filter.Type, filter.Key = q.actor()
	if q.err != nil {
		return nil, q.err
	}
	if err := r.current(); err != nil {
		return nil, err
	}
	if name := q.text("app"); name != "" {
		id, err := webhook.ParseID(webhook.KindApplication, name) // it may be deleted by now
		if err != nil {
			app, err := r.store().Application(name)
			if err != nil {
				return nil, err
			}
			id = app.ID
		}
		filter.App = id
	}
	list, next, err := r.store().Audit(l.Page, filter)
	if err != nil {
		return nil, err
	}
	id := func(c *webhook.StateChange) webhook.ID { return c.ID }
	page, err := fillPage(l, list, next, id, func(c *webhook.StateChange) (auditOut, error) {
		return auditOut{c.ID.Text(webhook.KindEvent), showChange(c)}, nil
	})
	if err != nil {
		return nil, err
	}
	return ok(auditPage{page, showRemoved(r.store().RemovedChanges(filter.App))}), nil
}

// changes returns the kinds of changes that a list is narrowed to; nil: all.
func (q *query) changes() (list []webhook.Change) {
	for _, name := range q.list("change") {
		if !slices.Contains(webhook.AuditedChanges, webhook.Change(name)) {
			q.fail("change", fmt.Sprintf("may hold only %s", joinWords(webhook.AuditedChanges)))
			return nil
		}
		list = append(list, webhook.Change(name))
	}
	return list
}

// actor returns the type of actor, or the key, that a list is narrowed to.
func (q *query) actor() (t webhook.ActorType, key webhook.ID) {
	text := q.text("actor")
	if text == "" || slices.Contains(webhook.ActorTypes, webhook.ActorType(text)) {
		return webhook.ActorType(text), key
	}
	key, err := webhook.ParseID(webhook.KindAPIKey, text)
	if err != nil {
		q.fail("actor", fmt.Sprintf("must be the id of an API key, or one of %s", joinWords(webhook.ActorTypes)))
	}
	return "", key
}

func joinWords[T ~string](list []T) string {
	words := make([]string, len(list))
	for i, word := range list {
		words[i] = string(word)
	}
	return strings.Join(words, ", ")
}
