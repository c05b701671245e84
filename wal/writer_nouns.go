package wal

import (
	"context"
	"time"

	"hookwheel/webhook"
)

// proposeNoun proposes a command that is answered with the noun that it made or changed.
func proposeNoun[T any](ctx context.Context, w *Writer, k kind, v any) (*T, error) {
	command, err := encodeCommand(k, v)
	if err != nil {
		return nil, err
	}
	body, err := w.propose(ctx, command)
	if err != nil {
		return nil, err
	}
	made := new(T)
	return made, decodeJSON(body, made)
}

// proposeEnd proposes a command that is answered with nothing.
func (w *Writer) proposeEnd(ctx context.Context, k kind, v any) error {
	command, err := encodeCommand(k, v)
	if err != nil {
		return err
	}
	_, err = w.propose(ctx, command)
	return err
}

// The updates put a noun in the place of the one that it was made from, which its Revision names. If that is there no more, because another
// update came first, the error has webhook.CodeChanged: the caller reads anew and tries again.

// UpdateApplication changes what a producer may choose.
func (w *Writer) UpdateApplication(ctx context.Context, app webhook.Application) (*webhook.Application, error) {
	return proposeNoun[webhook.Application](ctx, w, kindUpdateApplication, app)
}

// DeleteApplication removes an application with its endpoints, its log and its history. They are out of sight at once; the disk
// is freed bit by bit.
func (w *Writer) DeleteApplication(ctx context.Context, app webhook.ID) error {
	return w.proposeEnd(ctx, kindDeleteApplication, deleteApplication{app})
}

// UpdateEndpoint changes what a producer may choose, and its secrets. Event types that it did not name before must exist.
func (w *Writer) UpdateEndpoint(ctx context.Context, endpoint webhook.Endpoint) (*webhook.Endpoint, error) {
	return proposeNoun[webhook.Endpoint](ctx, w, kindUpdateEndpoint, updateEndpoint{endpoint, w.viewer})
}

// DisableEndpoint is for the leader of that term: an endpoint has failed since then, and is sent nothing more until a person
// enables it. What comes waits in the log.
func (w *Writer) DisableEndpoint(ctx context.Context, term uint64, endpoint webhook.ID, failSince time.Time) error {
	return w.proposeEnd(ctx, kindDisableEndpoint, disableEndpoint{term, endpoint, failSince.UTC()})
}

// ResumeEndpoint ends a pause. With a message, those up to it that were not yet attempted are passed over; with a zero one none are.
func (w *Writer) ResumeEndpoint(ctx context.Context, app, endpoint, to webhook.ID) (*webhook.Endpoint, error) {
	return proposeNoun[webhook.Endpoint](ctx, w, kindMoveCursor, moveCursor{app, endpoint, to})
}

// CreateEventType takes the name of an archived event type too.
func (w *Writer) CreateEventType(ctx context.Context, t webhook.EventType) (*webhook.EventType, error) {
	return proposeNoun[webhook.EventType](ctx, w, kindCreateEventType, createEventType{t, w.limits.EventTypes})
}

// UpdateEventType changes all but the name.
func (w *Writer) UpdateEventType(ctx context.Context, t webhook.EventType) (*webhook.EventType, error) {
	return proposeNoun[webhook.EventType](ctx, w, kindUpdateEventType, t)
}

// DeleteEventType archives an event type, or forgets it.
func (w *Writer) DeleteEventType(ctx context.Context, name string, expunge bool) error {
	return w.proposeEnd(ctx, kindDeleteEventType, deleteEventType{name, expunge})
}
