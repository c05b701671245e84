package wal

import (
	"context"
	"errors"
	"time"

	"hookwheel/webhook"
)

// Proposer puts a command into the replicated log and returns the state machine's reply once it is
// committed and applied. An error means that the outcome is unknown or that the command was not
// accepted; the command is applied at most once either way. Without an error, the command is not
// used after the call. *cluster.Node is one.
type Proposer interface {
	Propose(ctx context.Context, command []byte) (reply []byte, err error)
}

// client sends commands to the state machine, and takes its replies.
type client struct {
	proposer Proposer
	actor    *webhook.Actor // nil: nobody is named
}

// wrap adds to a command the idempotency key of the request, if it has one, and who makes it.
func (c *client) wrap(ctx context.Context, command []byte) (_ []byte, once *Once, err error) {
	once, _ = ctx.Value(onceContext{}).(*Once)
	changes := c.actor != nil && kind(command[0]).namesActor()
	if once != nil {
		command = encodeIdempotent(once.Key, once.Fingerprint, command)
	}
	if changes {
		command, err = encodeBehalf(c.actor, command)
	}
	return command, once, err
}

func (c *client) propose(ctx context.Context, command []byte) ([]byte, error) {
	command, once, err := c.wrap(ctx, command)
	if err != nil {
		return nil, err
	}
	body, err := c.proposeWithRoom(ctx, command)
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
	roomPatience = 5 * time.Second       // how long a command waits for room that is being made
	roomPause    = 50 * time.Millisecond // between two tries
)

// proposeWithRoom proposes a command. If the store is full, it is proposed again while old
// messages are being removed to make room. That takes less time than a client would wait before its
// next try.
func (c *client) proposeWithRoom(ctx context.Context, command []byte) ([]byte, error) {
	for begin := time.Now(); ; {
		reply, err := c.proposer.Propose(ctx, command)
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

// proposeObject proposes a command whose reply is the object that it created or changed.
func proposeObject[T any](ctx context.Context, c *client, k kind, v any) (*T, error) {
	command, err := encodeCommand(k, v)
	if err != nil {
		return nil, err
	}
	body, err := c.propose(ctx, command)
	if err != nil {
		return nil, err
	}
	made := new(T)
	return made, decodeJSON(body, made)
}

// proposeEnd proposes a command whose reply is empty.
func (c *client) proposeEnd(ctx context.Context, k kind, v any) error {
	command, err := encodeCommand(k, v)
	if err != nil {
		return err
	}
	_, err = c.propose(ctx, command)
	return err
}
