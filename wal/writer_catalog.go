package wal

import (
	"context"

	"hookwheel/webhook"
)

// The updates replace an object with an edited copy, whose Revision names the state that was
// edited. If another update came first, the error has webhook.CodeChanged: the caller reads the
// object again and retries.

// UpdateApplication changes the fields that a producer may choose.
func (w *Writer) UpdateApplication(ctx context.Context, app webhook.Application) (*webhook.Application, error) {
	return proposeObject[webhook.Application](ctx, &w.client, kindUpdateApplication, app)
}

// DeleteApplication removes an application with its endpoints, its log and its history. They are
// invisible at once; the disk space is freed step by step.
func (w *Writer) DeleteApplication(ctx context.Context, app webhook.ID) error {
	return w.client.proposeEnd(ctx, kindDeleteApplication, deleteApplication{app})
}

// UpdateEndpoint changes the fields that a producer may choose, and the secrets. Event types that
// the endpoint did not name before must exist.
func (w *Writer) UpdateEndpoint(ctx context.Context, endpoint webhook.Endpoint) (*webhook.Endpoint, error) {
	return proposeObject[webhook.Endpoint](ctx, &w.client, kindUpdateEndpoint, updateEndpoint{Endpoint: endpoint, Viewer: w.viewer})
}

// ResealEndpoint is like UpdateEndpoint, but for an endpoint whose secrets were only encrypted with
// another key: no operational webhook reports it.
func (w *Writer) ResealEndpoint(ctx context.Context, endpoint webhook.Endpoint) (*webhook.Endpoint, error) {
	return proposeObject[webhook.Endpoint](ctx, &w.client, kindUpdateEndpoint, updateEndpoint{Endpoint: endpoint, Resealed: true})
}

// ResumeEndpoint ends a pause. If to is a message, those up to it that were not attempted yet are
// skipped. If to is zero, none are.
func (w *Writer) ResumeEndpoint(ctx context.Context, app, endpoint, to webhook.ID) (*webhook.Endpoint, error) {
	return proposeObject[webhook.Endpoint](ctx, &w.client, kindMoveCursor, moveCursor{app, endpoint, to})
}

// CreateEventType may take the name of an archived event type.
func (w *Writer) CreateEventType(ctx context.Context, t webhook.EventType) (*webhook.EventType, error) {
	return proposeObject[webhook.EventType](ctx, &w.client, kindCreateEventType, createEventType{t, w.limits.Load().EventTypes})
}

// UpdateEventType changes all fields except the name.
func (w *Writer) UpdateEventType(ctx context.Context, t webhook.EventType) (*webhook.EventType, error) {
	return proposeObject[webhook.EventType](ctx, &w.client, kindUpdateEventType, t)
}

// MemberChanged returns a command that records that a member was added to the cluster or removed
// from it. Whoever makes the change proposes it.
func (w *Writer) MemberChanged(ctx context.Context, change webhook.Change, member string) ([]byte, error) {
	command, err := encodeCommand(kindRecordMember, recordMember{change, member})
	if err != nil {
		return nil, err
	}
	command, _, err = w.client.wrap(ctx, command)
	return command, err
}

// DeleteEventType archives an event type, or forgets it.
func (w *Writer) DeleteEventType(ctx context.Context, name string, expunge bool) error {
	return w.client.proposeEnd(ctx, kindDeleteEventType, deleteEventType{name, expunge})
}
