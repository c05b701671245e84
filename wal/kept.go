package wal

import (
	"time"

	"hookwheel/webhook"
)

// Kept is the reply to a request that took effect under an idempotency key. Later changes of the
// object do not affect it, unless it is a large application that was there already. The field that
// is set says what was requested; none is set if the reply was empty.
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
	var kept *Kept
	err := r.read(func(v dbView) error {
		data, found, err := v.get(replyKey(once.Key[:]))
		if err != nil || !found {
			return err
		}
		reply, err := decodeKeptReply(data)
		switch {
		case err != nil:
			return err
		case now.Sub(reply.entry.Time()) >= IdempotencyWindow:
			return nil
		case reply.fingerprint != once.Fingerprint:
			return errKeyReused
		}
		if reply.reply, err = reply.whole(v.get); err != nil {
			return err
		}
		kept, err = reply.open()
		return err
	})
	if err != nil {
		return nil, err
	}
	return kept, nil
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
