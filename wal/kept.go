package wal

import (
	"time"

	"hookwheel/webhook"
)

// Kept is the reply to a request that took effect under an idempotency key. Later changes of the
// object do not affect it. The field that is set says what was requested; none is set if the reply
// was empty.
type Kept struct {
	Message     webhook.ID // a message was created
	Payload     []byte     // of that, if it is an example
	Answer      []byte     // what KeepAnswer was given
	Messages    []PlacedID // messages of a batch were
	Application *webhook.Application
	Endpoint    *webhook.Endpoint
	EventType   *webhook.EventType
	Task        *webhook.Task
	Key         *webhook.APIKey
	Created     bool // the request created the object
}

// Kept returns the reply that is kept under an idempotency key at the given time, as far as this
// node has applied the log, or nil if there is none. If the key came with a different request, the
// error is a *webhook.Error.
func (r *Reader) Kept(once *Once, now time.Time) (*Kept, error) {
	var kept keptReply
	found := false
	err := r.read(func(v dbView) error {
		data, is, err := v.get(replyKey(once.Key[:]))
		if found = is; found && err == nil {
			kept, err = decodeKeptReply(data)
		}
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, nil
	case now.Sub(kept.entry.Time()) >= IdempotencyWindow:
		return nil, nil
	case kept.fingerprint != once.Fingerprint:
		return nil, errKeyReused
	}
	return kept.open()
}

// open decodes the reply.
func (a *keptReply) open() (*Kept, error) {
	k := new(Kept)
	switch a.kind {
	case kindCreateMessage:
		if len(a.reply) < idSize {
			return nil, errCut
		}
		k.Message, k.Payload, k.Created = webhook.ID(a.reply[:idSize]), a.reply[idSize:], true
		return k, nil
	case kindKeepAnswer:
		k.Answer = a.reply
		return k, nil
	case kindCreateMessages:
		list, err := readPlaced(a.reply)
		k.Messages = append([]PlacedID{}, list...) // even an empty list
		return k, err
	case kindCreateApplication:
		var made createApplication
		err := decodeJSON(a.reply, &made)
		k.Application, k.Created = &made.Application, made.Created
		return k, err
	case kindCreateEndpoint, kindUpdateEndpoint, kindMoveCursor:
		k.Endpoint, k.Created = new(webhook.Endpoint), a.kind == kindCreateEndpoint
		return k, decodeJSON(a.reply, k.Endpoint)
	case kindCreateEventType:
		k.EventType, k.Created = new(webhook.EventType), true
		return k, decodeJSON(a.reply, k.EventType)
	case kindCreateTask, kindChangeTask:
		k.Task, k.Created = new(webhook.Task), a.kind == kindCreateTask
		return k, decodeJSON(a.reply, k.Task)
	case kindCreateKey:
		k.Key, k.Created = new(webhook.APIKey), true
		return k, decodeJSON(a.reply, k.Key)
	default:
		return k, nil
	}
}
