package wal

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"hookwheel/webhook"
)

// Proposer puts a command into the replicated log and returns the state machine's reply once it is committed and applied.
// An error means that the outcome is unknown or that the command was not taken; the command is applied at most once
// either way. *cluster.Node is one.
type Proposer interface {
	Propose(ctx context.Context, command []byte) (reply []byte, err error)
}

// Limits are how many things there may be; 0: any number. They travel in the commands that make one.
type Limits struct {
	Applications int
	EventTypes   int
	Endpoints    int // of an application, unless it says so itself
	Replays      int // of an application that are not over
}

// Writer asks for changes of the replicated state. What the state machine refuses comes back as a *webhook.Error.
type Writer struct {
	proposer Proposer
	limits   Limits
	viewer   *viewer
}

// NewWriter returns a Writer without limits.
func NewWriter(p Proposer) *Writer { return &Writer{proposer: p} }

// Limit is w with limits.
func (w *Writer) Limit(l Limits) *Writer { return &Writer{proposer: w.proposer, limits: l} }

// Portal is w for a portal with these feature flags: what it names must be visible to it.
func (w *Writer) Portal(featureFlags []string) *Writer {
	return &Writer{proposer: w.proposer, limits: w.limits, viewer: &viewer{featureFlags}}
}

func (w *Writer) propose(ctx context.Context, command []byte) ([]byte, error) {
	once, _ := ctx.Value(onceContext{}).(*Once)
	if once != nil {
		command = encodeIdempotent(once.Key, once.Fingerprint, command)
	}
	body, err := w.proposeWithRoom(ctx, command)
	if err != nil || once == nil {
		return body, err
	}
	if len(body) == 0 {
		return nil, errCut
	}
	if once.Repeated = body[0] == replyRepeated; !once.Repeated {
		once.Size = len(body)
	}
	return body[1:], nil
}

const (
	roomPatience = 2 * time.Second       // how long a command waits for room that is being made
	roomPause    = 50 * time.Millisecond // between two tries
)

// proposeWithRoom proposes a command. One for which there is no room is proposed again while old
// messages are leaving to make room, which takes less time than a client would wait before it tries
// again.
func (w *Writer) proposeWithRoom(ctx context.Context, command []byte) ([]byte, error) {
	for begin := time.Now(); ; {
		reply, err := w.proposer.Propose(ctx, command)
		if err != nil {
			return nil, err
		}
		body, err := decodeReply(reply)
		var refused *webhook.Error
		if !errors.As(err, &refused) || refused.Code != webhook.CodeMakingRoom {
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

// CreateApplication gives app its ID and its times. With getIfExists an application that has the same uid is returned as
// it is, and created is false.
func (w *Writer) CreateApplication(ctx context.Context, app webhook.Application, getIfExists bool) (_ *webhook.Application, created bool, err error) {
	command, err := encodeCommand(kindCreateApplication, createApplication{Application: app, GetIfExists: getIfExists, Max: w.limits.Applications})
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

// CreateEndpoint gives endpoint its ID and its times.
func (w *Writer) CreateEndpoint(ctx context.Context, endpoint webhook.Endpoint) (*webhook.Endpoint, error) {
	return proposeNoun[webhook.Endpoint](ctx, w, kindCreateEndpoint, createEndpoint{endpoint, w.limits.Endpoints, w.viewer})
}

// DeleteEndpoint removes an endpoint with its cursor and its retry set; its history stays.
func (w *Writer) DeleteEndpoint(ctx context.Context, app, endpoint webhook.ID) error {
	return w.proposeEnd(ctx, kindDeleteEndpoint, deleteEndpoint{app, endpoint})
}

// CreateMessage appends m to the log of m.App. When it returns the ID, the message is on stable storage on a majority.
func (w *Writer) CreateMessage(ctx context.Context, m *webhook.Message) (id webhook.ID, err error) {
	body, err := w.propose(ctx, encodeCreateMessage(m))
	if err != nil {
		return webhook.ID{}, err
	}
	if len(body) != idSize {
		return webhook.ID{}, errCut
	}
	copy(id[:], body)
	return id, nil
}

// Resend has a message sent to an endpoint once more, soon.
func (w *Writer) Resend(ctx context.Context, app, endpoint, message webhook.ID) error {
	return w.proposeEnd(ctx, kindResend, resend{app, endpoint, message})
}

// ExpungeMessage takes the payload of a message away for good.
func (w *Writer) ExpungeMessage(ctx context.Context, app, message webhook.ID) error {
	return w.proposeEnd(ctx, kindExpungeMessage, expunge{App: app, Message: message})
}

// ExpungeAttempt takes the receiver's answer to an attempt away for good.
func (w *Writer) ExpungeAttempt(ctx context.Context, app, message, attempt webhook.ID) error {
	return w.proposeEnd(ctx, kindExpungeAttempt, expunge{App: app, Message: message, Attempt: attempt})
}

// RecordProgress keeps what delivery has done under the leader of that term. It is refused when there is another by now.
func (w *Writer) RecordProgress(ctx context.Context, term uint64, list []webhook.Progress) error {
	_, err := w.propose(ctx, encodeProgress(term, list))
	return err
}

// Fingerprint has every node sum up its whole state as of one entry, and returns the index of that entry. Store.Fingerprint
// of each node gives the sum, some time later.
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

// CreateTask begins a replay: of the task's fields, those that say what is replayed count, and Total.
func (w *Writer) CreateTask(ctx context.Context, task webhook.Task) (*webhook.Task, error) {
	return proposeNoun[webhook.Task](ctx, w, kindCreateTask, createTask{task, w.limits.Replays, w.viewer})
}

// ChangeTask has a task go on (running), wait (paused; what it has taken is sent all the same) or end (canceled; what it has taken
// and was not sent yet is not).
func (w *Writer) ChangeTask(ctx context.Context, id webhook.ID, status webhook.TaskStatus) (*webhook.Task, error) {
	return proposeNoun[webhook.Task](ctx, w, kindChangeTask, changeTask{id, status})
}

// StepTask moves a task under the leader of that term. It is refused when there is another by now, or the task was moved or changed.
func (w *Writer) StepTask(ctx context.Context, term uint64, step *webhook.TaskStep) error {
	_, err := w.propose(ctx, encodeStepTask(term, step))
	return err
}
