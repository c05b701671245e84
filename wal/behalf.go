package wal

import (
	"encoding/json"
	"fmt"

	"hookwheel/webhook"
)

// encodeBehalf: bytes of the actor | the actor as JSON | the command that it asks for.
func encodeBehalf(actor *webhook.Actor, command []byte) ([]byte, error) {
	text, err := json.Marshal(actor)
	if err != nil {
		return nil, fmt.Errorf("wal: encoding an actor: %w", err)
	}
	dst := make([]byte, 0, 4+len(text)+len(command))
	dst = appendBytes(append(dst, byte(kindBehalf), commandVersion), text)
	return append(dst, command...), nil
}

func decodeBehalf(body []byte) (actor webhook.Actor, command []byte, err error) {
	r := newReader(body, commandVersion)
	text := r.bytes()
	if r.err == nil && (len(r.rest) < 2 || kind(r.rest[0]) == kindBehalf) {
		r.fail()
	}
	if r.err != nil {
		return actor, nil, r.err
	}
	if err := json.Unmarshal(text, &actor); err != nil {
		return actor, nil, fmt.Errorf("wal: decoding an actor: %w", err)
	}
	return actor, r.rest, nil
}

// behalf is the body of kindBehalf: a command that somebody asks for.
type behalf struct {
	actor  webhook.Actor
	within action
}

func decodeBehalfOf(body []byte) (action, error) {
	actor, command, err := decodeBehalf(body)
	if err != nil {
		return nil, err
	}
	within, err := decodeCommand(command)
	return &behalf{actor, within}, err
}

func (c *behalf) validate() error {
	if err := c.actor.Validate(); err != nil {
		return err
	}
	return c.within.validate()
}

func (c *behalf) apply(e *entry) ([]byte, error) {
	e.actor = c.actor
	defer func() { e.actor = webhook.Actor{} }()
	return c.within.apply(e)
}

// namesActor reports whether commands of this kind record who asked for them.
func (k kind) namesActor() bool {
	switch k {
	case kindCreateMessage, kindCreateMessages, kindRecordProgress, kindStepTask, kindFingerprint, kindResend, kindTouchKeys, kindRetain, kindSweep, kindKeepAnswer:
		return false
	default:
		return true
	}
}

// innerCommand returns the command that has the effect, without what wraps it.
func innerCommand(body []byte) []byte {
	for len(body) > 0 {
		command, err := body, error(nil)
		switch kind(body[0]) {
		case kindBehalf:
			_, command, err = decodeBehalf(body[1:])
		case kindIdempotent:
			_, _, command, err = decodeIdempotent(body[1:])
		default:
			return body
		}
		if err != nil {
			return body
		}
		body = command
	}
	return body
}

// recordMember is the body of kindRecordMember. The cluster itself keeps its members elsewhere.
type recordMember struct {
	Change webhook.Change `json:"change"`
	Member string         `json:"member"` // name or address
}

func (c *recordMember) validate() error {
	if c.Change != webhook.MemberAdded && c.Change != webhook.MemberRemoved {
		return impossible("there is no such change of a member")
	}
	return storable(c, "the name of the member", maxSmall)
}

func (c *recordMember) apply(e *entry) ([]byte, error) {
	e.changed(webhook.StateChange{Change: c.Change, Member: c.Member})
	return nil, nil
}
