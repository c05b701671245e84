package wal

import (
	"context"
	"fmt"
	"time"

	"hookwheel/webhook"
)

// MaxMessages is how many messages one command creates at most.
const MaxMessages = 128

// lineCost is roughly what the records beside a message take: its event ID and its expiry.
const lineCost = 64

// placeTaken marks, in a reply, the place of a message whose event ID was taken. Places are below
// it.
const placeTaken = 0x80

// PlacedMessage is a message of a part of a batch.
type PlacedMessage struct {
	Place int // in the part, from 0 to MaxMessages-1
	webhook.Message
}

// PlacedID is what became of such a message.
type PlacedID struct {
	Place int
	ID    webhook.ID // zero: its event ID was taken
}

// createMessages is the body of kindCreateMessages. Messages are in order of their places.
type createMessages struct {
	app  webhook.ID
	list []PlacedMessage
}

// encodeCreateMessages: application 20 | number of messages 1 | number of traces 1, at most 1 |
// the trace that all messages have | for each: place 1 | as appendMessage, without the trace.
func encodeCreateMessages(app webhook.ID, list []PlacedMessage) []byte {
	size := 2 + idSize + 2 + traceBytes
	for i := range list {
		m := &list[i].Message
		size += len(m.Payload) + len(m.EventType) + len(m.EventID) + 64
	}
	dst := make([]byte, 0, size)
	dst = append(append(dst, byte(kindCreateMessages), commandVersion), app[:]...)
	dst = append(dst, byte(len(list)))
	if len(list) > 0 && list[0].Trace != nil {
		dst = appendTraceContext(append(dst, 1), list[0].Trace)
	} else {
		dst = append(dst, 0)
	}
	for i := range list {
		m := list[i].Message
		m.Trace = nil
		dst = appendMessage(append(dst, byte(list[i].Place)), &m)
	}
	return dst
}

// messagesIn returns the number of messages of such a command.
func messagesIn(command []byte) int {
	if len(command) <= 2+idSize {
		return 0
	}
	return int(command[2+idSize])
}

func decodeCreateMessages(body []byte) (*createMessages, error) {
	r := newReader(body, commandVersion)
	c := &createMessages{app: r.id()}
	n := r.byte()
	var trace *webhook.TraceContext
	switch r.byte() {
	case 0:
	case 1:
		trace = readTraceContext(r)
	default:
		r.fail()
	}
	for ; n > 0 && r.err == nil; n-- {
		m := PlacedMessage{Place: int(r.byte()), Message: webhook.Message{App: c.app}}
		if readMessage(r, &m.Message); m.Trace != nil {
			r.fail()
		}
		m.Trace = trace
		c.list = append(c.list, m)
	}
	return c, r.end()
}

func (c *createMessages) validate() error {
	if len(c.list) > MaxMessages {
		return impossible(fmt.Sprintf("one command creates at most %d messages", MaxMessages))
	}
	size, now := 0, time.Now()
	for i := range c.list {
		m := &c.list[i]
		if m.Place >= MaxMessages || i > 0 && m.Place <= c.list[i-1].Place {
			return impossible("the messages of a command must be in order")
		}
		if size += len(m.Payload); size > maxPayload {
			return tooLarge("the payload", maxPayload)
		}
		if err := m.Validate(now); err != nil {
			return err
		}
	}
	return nil
}

// apply appends the messages to the log, except those whose event ID is taken. The reply is
//
//	ID of the first one appended 20 | for each message: its place, or placeTaken + its place
//
// The IDs of the others follow the first, as nothing comes between them.
func (c *createMessages) apply(e *entry) ([]byte, error) {
	if err := e.acceptsMessages(c.app); err != nil {
		return nil, err
	}
	reply := make([]byte, idSize, idSize+len(c.list))
	none := true
	for i := range c.list {
		m := &c.list[i]
		taken, err := e.isTaken(&m.Message)
		if err != nil {
			return nil, err
		}
		if taken {
			reply = append(reply, placeTaken|byte(m.Place))
			continue
		}
		if err := e.appendToLog(&m.Message); err != nil {
			return nil, err
		}
		if none {
			copy(reply, m.ID[:])
			none = false
		}
		reply = append(reply, byte(m.Place))
	}
	return reply, nil
}

// readPlaced reads the reply to kindCreateMessages.
func readPlaced(reply []byte) ([]PlacedID, error) {
	if len(reply) < idSize {
		return nil, errCut
	}
	first := webhook.ID(reply[:idSize])
	var list []PlacedID
	made := uint32(0)
	for _, place := range reply[idSize:] {
		p := PlacedID{Place: int(place &^ placeTaken)}
		if place&placeTaken == 0 {
			p.ID = webhook.NewID(first.Millis(), first.Index(), first.Place()+made)
			made++
		}
		list = append(list, p)
	}
	return list, nil
}

// CreateMessages appends messages of one application to its log, in their order and next to each
// other, except those whose event ID is taken. All have the trace of the first. When it returns,
// they are on stable storage on a majority of the nodes.
func (w *Writer) CreateMessages(ctx context.Context, app webhook.ID, list []PlacedMessage) ([]PlacedID, error) {
	body, err := w.client.propose(ctx, encodeCreateMessages(app, list))
	if err != nil {
		return nil, err
	}
	return readPlaced(body)
}
