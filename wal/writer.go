package wal

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"hookwheel/webhook"
)

// commands are buffers for the commands that are made most often.
var commands = sync.Pool{New: func() any { return new([]byte) }}

// maxKept is how large a buffer is kept.
const maxKept = 16 << 10

// Proposer puts a command into the replicated log and returns the state machine's reply once it is
// committed and applied. An error means that the outcome is unknown or that the command was not
// accepted; the command is applied at most once either way. Without an error, the command is not
// used after the call. *cluster.Node is one.
type Proposer interface {
	Propose(ctx context.Context, command []byte) (reply []byte, err error)
}

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
	proposer Proposer
	limits   *atomic.Pointer[Limits] // shared by all copies
	viewer   *viewer
	actor    *webhook.Actor
}

// NewWriter returns a Writer without limits.
func NewWriter(p Proposer) *Writer {
	w := &Writer{proposer: p, limits: new(atomic.Pointer[Limits])}
	w.Limit(Limits{})
	return w
}

// Limit sets the limits of w and all copies of it.
func (w *Writer) Limit(l Limits) { w.limits.Store(&l) }

// Portal returns a copy of w for a portal with these feature flags: the event types that it names
// must be visible to the portal.
func (w *Writer) Portal(featureFlags []string) *Writer {
	portal := *w
	portal.viewer = &viewer{featureFlags}
	return &portal
}

// By returns a copy of w whose changes are recorded as those of the actor.
func (w *Writer) By(actor webhook.Actor) *Writer {
	by := *w
	by.actor = &actor
	return &by
}

// wrap adds to a command the idempotency key of the request, if it has one, and who makes it.
func (w *Writer) wrap(ctx context.Context, command []byte) (_ []byte, once *Once, err error) {
	once, _ = ctx.Value(onceContext{}).(*Once)
	changes := w.actor != nil && kind(command[0]).namesActor()
	if once != nil {
		command = encodeIdempotent(once.Key, once.Fingerprint, command)
	}
	if changes {
		command, err = encodeBehalf(w.actor, command)
	}
	return command, once, err
}

func (w *Writer) propose(ctx context.Context, command []byte) ([]byte, error) {
	command, once, err := w.wrap(ctx, command)
	if err != nil {
		return nil, err
	}
	body, err := w.proposeWithRoom(ctx, command)
	if err != nil || once == nil {
		return body, err
	}
	if len(body) == 0 {
		return nil, errCut
	}
	if once.Repeated = body[0] == replyRepeated; !once.Repeated {
		once.Size = keptOverhead + len(body)
	}
	return body[1:], nil
}

const (
	roomPatience = 2 * time.Second       // how long a command waits for room
	roomPause    = 50 * time.Millisecond // between two tries
)

// proposeWithRoom proposes a command. If the store is full, it is proposed again while old
// messages are being removed to make room. That takes less time than a client would wait before its
// next try.
func (w *Writer) proposeWithRoom(ctx context.Context, command []byte) ([]byte, error) {
	for begin := time.Now(); ; {
		reply, err := w.proposer.Propose(ctx, command)
		if err != nil {
			return nil, err
		}
		body, err := decodeReply(reply)
		refused, is := errors.AsType[*webhook.Error](err)
		if !is || refused.Code != webhook.CodeMakingRoom {
			return body, err
		}
		if time.Since(begin) > roomPatience {
			return nil, &webhook.Error{Code: webhook.CodeNoSpace, Detail: refused.Detail}
		}
		select {
		case <-time.After(roomPause):
		case <-ctx.Done():
			return nil, &webhook.Error{Code: webhook.CodeNoSpace, Detail: refused.Detail}
		}
	}
}

// CreateApplication assigns app its ID and its times. With getIfExists an existing application with
// the same uid is returned unchanged, and created is false.
func (w *Writer) CreateApplication(ctx context.Context, app webhook.Application, getIfExists bool) (_ *webhook.Application, created bool, err error) {
	command, err := encodeCommand(kindCreateApplication, createApplication{Application: app, GetIfExists: getIfExists, Max: w.limits.Load().Applications})
	if err != nil {
		return nil, false, err
	}
	body, err := w.propose(ctx, command)
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
	return proposeObject[webhook.Endpoint](ctx, w, kindCreateEndpoint, createEndpoint{endpoint, w.limits.Load().Endpoints, w.viewer})
}

// DeleteEndpoint removes an endpoint with its cursor and its retry set, but keeps its history.
func (w *Writer) DeleteEndpoint(ctx context.Context, app, endpoint webhook.ID) error {
	return w.proposeEnd(ctx, kindDeleteEndpoint, deleteEndpoint{app, endpoint})
}

// CreateMessage appends m to the log of m.App. When it returns the ID, the message is on stable
// storage on a majority of the nodes.
func (w *Writer) CreateMessage(ctx context.Context, m *webhook.Message) (id webhook.ID, err error) {
	buffer := commands.Get().(*[]byte)
	command := appendCreateMessage((*buffer)[:0], m)
	body, err := w.propose(ctx, command)
	if err != nil {
		return webhook.ID{}, err // the command may still be on its way
	}
	if cap(command) <= maxKept {
		*buffer = command
		commands.Put(buffer)
	}
	if len(body) != idSize {
		return webhook.ID{}, errCut
	}
	copy(id[:], body)
	return id, nil
}

// Resend sends a message to an endpoint once more, soon.
func (w *Writer) Resend(ctx context.Context, app, endpoint, message webhook.ID) error {
	return w.proposeEnd(ctx, kindResend, resend{app, endpoint, message})
}

// ExpungeMessage deletes the payload of a message permanently.
func (w *Writer) ExpungeMessage(ctx context.Context, app, message webhook.ID) error {
	return w.proposeEnd(ctx, kindExpungeMessage, expunge{App: app, Message: message})
}

// ExpungeAttempt deletes the receiver's response to an attempt permanently.
func (w *Writer) ExpungeAttempt(ctx context.Context, app, message, attempt webhook.ID) error {
	return w.proposeEnd(ctx, kindExpungeAttempt, expunge{App: app, Message: message, Attempt: attempt})
}

// RecordProgress records deliveries made under the leader of this term. It is refused once there is
// another leader.
func (w *Writer) RecordProgress(ctx context.Context, term uint64, list []webhook.Progress) error {
	_, err := w.propose(ctx, encodeProgress(term, list))
	return err
}

// Fingerprint makes every node compute a fingerprint of its state as of one entry, and returns the
// index of that entry. Some time later, each node's Store.Fingerprint returns the sum.
func (w *Writer) Fingerprint(ctx context.Context) (index uint64, err error) {
	body, err := w.propose(ctx, encodeFingerprint())
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
	return proposeObject[webhook.Task](ctx, w, kindCreateTask, createTask{task, w.limits.Load().Replays, w.viewer})
}

// ChangeTask resumes a task (running), pauses it (paused; what it has asked for is still sent) or
// cancels it (canceled; what was not sent yet is dropped).
func (w *Writer) ChangeTask(ctx context.Context, id webhook.ID, status webhook.TaskStatus) (*webhook.Task, error) {
	return proposeObject[webhook.Task](ctx, w, kindChangeTask, changeTask{id, status})
}

// StepTask moves a task forward under the leader of this term. It is refused if there is another
// leader, or if the task was moved or changed meanwhile.
func (w *Writer) StepTask(ctx context.Context, term uint64, step *webhook.TaskStep) error {
	_, err := w.propose(ctx, encodeStepTask(term, step))
	return err
}
