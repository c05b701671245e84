package wal

import (
	"context"
	"encoding/binary"
	"sync"
	"sync/atomic"

	"hookwheel/webhook"
)

// commands are buffers for the commands that are made most often.
var commands = sync.Pool{New: func() any { return new([]byte) }}

// maxKept is how large a buffer is kept.
const maxKept = 16 << 10

// Limits are the numbers of objects that may exist; 0: any number. They travel in the commands that
// create them.
type Limits struct {
	Applications int
	EventTypes   int
	Endpoints    int // of an application that has no limit of its own
	Replays      int // unfinished ones of an application
}

// Writer proposes changes of the replicated state. If the state machine refuses one, the error is a
// *webhook.Error.
type Writer struct {
	client client
	limits *atomic.Pointer[Limits] // shared by all copies
	viewer *viewer
}

// NewWriter returns a Writer without limits.
func NewWriter(p Proposer) *Writer {
	w := &Writer{client: client{proposer: p}, limits: new(atomic.Pointer[Limits])}
	w.Limit(Limits{})
	return w
}

// Limit sets the limits of w and all copies of it.
func (w *Writer) Limit(l Limits) { w.limits.Store(&l) }

// Portal returns a copy of w for a portal with these feature flags: the event types that it names
// must be visible to the portal.
func (w *Writer) Portal(featureFlags []string) *Writer {
	portal := *w
	portal.viewer = &viewer{FeatureFlags: featureFlags}
	return &portal
}

// By returns a copy of w whose changes are recorded as those of the actor.
func (w *Writer) By(actor webhook.Actor) *Writer {
	by := *w
	by.client.actor = &actor
	return &by
}

// CreateApplication assigns app its ID and its times. With getIfExists an existing application with
// the same uid is returned unchanged, and created is false.
func (w *Writer) CreateApplication(ctx context.Context, app webhook.Application, getIfExists bool) (_ *webhook.Application, created bool, err error) {
	command, err := encodeCommand(kindCreateApplication, createApplication{Application: app, GetIfExists: getIfExists, Max: w.limits.Load().Applications})
	if err != nil {
		return nil, false, err
	}
	body, err := w.client.propose(ctx, command)
	if err != nil {
		return nil, false, err
	}
	var reply createApplication
	if err := decodeJSON(body, &reply); err != nil {
		return nil, false, err
	}
	return &reply.Application, reply.Created, nil
}

// CreateEndpoint assigns endpoint its ID and its times.
func (w *Writer) CreateEndpoint(ctx context.Context, endpoint webhook.Endpoint) (*webhook.Endpoint, error) {
	return proposeObject[webhook.Endpoint](ctx, &w.client, kindCreateEndpoint, createEndpoint{endpoint, w.limits.Load().Endpoints, w.viewer})
}

// DeleteEndpoint removes an endpoint with its cursor and its retry set, but keeps its history.
func (w *Writer) DeleteEndpoint(ctx context.Context, app, endpoint webhook.ID) error {
	return w.client.proposeEnd(ctx, kindDeleteEndpoint, deleteEndpoint{app, endpoint})
}

// CreateMessage appends m to the log of m.App. When it returns the ID, the message is on stable
// storage on a majority of the nodes.
func (w *Writer) CreateMessage(ctx context.Context, m *webhook.Message) (id webhook.ID, err error) {
	buffer := commands.Get().(*[]byte)
	command := appendCreateMessage((*buffer)[:0], m)
	body, err := w.client.propose(ctx, command)
	if err != nil {
		return webhook.ID{}, err // the command may still be on its way
	}
	if cap(command) <= maxKept {
		*buffer = command
		commands.Put(buffer)
	}
	if len(body) < idSize { // an example has more
		return webhook.ID{}, errCut
	}
	copy(id[:], body)
	return id, nil
}

// Resend sends a message to an endpoint once more, soon.
func (w *Writer) Resend(ctx context.Context, app, endpoint, message webhook.ID) error {
	return w.client.proposeEnd(ctx, kindResend, resend{app, endpoint, message})
}

// ExpungeMessage deletes the payload of a message permanently.
func (w *Writer) ExpungeMessage(ctx context.Context, app, message webhook.ID) error {
	return w.client.proposeEnd(ctx, kindExpungeMessage, expunge{App: app, Message: message})
}

// ExpungeAttempt deletes the receiver's response to an attempt permanently.
func (w *Writer) ExpungeAttempt(ctx context.Context, app, message, attempt webhook.ID) error {
	return w.client.proposeEnd(ctx, kindExpungeAttempt, expunge{App: app, Message: message, Attempt: attempt})
}

// Fingerprint makes every node compute a fingerprint of its state as of one entry, and returns the
// index of that entry. Some time later, each node's Store.Fingerprint returns the sum.
func (w *Writer) Fingerprint(ctx context.Context) (index uint64, err error) {
	body, err := w.client.propose(ctx, encodeFingerprint())
	if err != nil {
		return 0, err
	}
	if len(body) != 8 {
		return 0, errCut
	}
	return binary.BigEndian.Uint64(body), nil
}

// CreateTask begins a replay. It uses Total and the fields of the task that say what to replay.
func (w *Writer) CreateTask(ctx context.Context, task webhook.Task) (*webhook.Task, error) {
	return proposeObject[webhook.Task](ctx, &w.client, kindCreateTask, createTask{task, w.limits.Load().Replays, w.viewer})
}

// ChangeTask resumes a task (running), pauses it (paused; what it has asked for is still sent) or
// cancels it (canceled; what was not sent yet is dropped).
func (w *Writer) ChangeTask(ctx context.Context, id webhook.ID, status webhook.TaskStatus) (*webhook.Task, error) {
	return proposeObject[webhook.Task](ctx, &w.client, kindChangeTask, changeTask{id, status})
}
