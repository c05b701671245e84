package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"time"
)

const (
	outcomeOK       = 0
	outcomeNotTaken = 1
	outcomeUnknown  = 2
)

// maxDelay is how long a caller waits at most before it gets its reply, whatever a leader asks for.
const maxDelay = time.Second

// forward sends a batch to the leader and finishes each proposal with its outcome.
func (n *Node) forward(batch []*proposal) {
	address, _ := n.raft.LeaderWithID()
	if address == "" {
		finishAll(batch, errNotTaken)
		return
	}
	response, sent, err := n.peers.call(address, callPropose, appendCommands(make([]byte, 0, batchSize(batch)), batch), callTimeout)
	switch {
	case !sent:
		finishAll(batch, errNotTaken)
	case err != nil:
		finishAll(batch, errUnknown)
	default:
		finishForwarded(batch, response)
	}
}

func finishForwarded(batch []*proposal, response []byte) {
	for i, p := range batch {
		o, rest, err := cutOutcome(response)
		if err != nil {
			finishAll(batch[i:], errUnknown)
			return
		}
		response = rest
		p.delay = o.delay
		p.finish(o.reply, o.err)
	}
}

// appendOutcome and cutOutcome encode and decode the response to one command.
func appendOutcome(response []byte, o *outcome) []byte {
	switch {
	case o.err == nil:
		response = append(response, outcomeOK)
		response = binary.AppendUvarint(response, uint64(o.delay/time.Microsecond))
		return append(binary.AppendUvarint(response, uint64(len(o.reply))), o.reply...)
	case errors.Is(o.err, errNotTaken):
		return append(response, outcomeNotTaken)
	default:
		return append(response, outcomeUnknown)
	}
}

func cutOutcome(response []byte) (o outcome, rest []byte, err error) {
	if len(response) == 0 {
		return o, nil, errDamaged
	}
	kind, rest := response[0], response[1:]
	switch kind {
	case outcomeOK:
	case outcomeNotTaken:
		return outcome{err: errNotTaken}, rest, nil
	default:
		return outcome{err: errUnknown}, rest, nil
	}
	delay, n := binary.Uvarint(rest)
	if n <= 0 {
		return o, nil, errDamaged
	}
	rest = rest[n:]
	size, n := binary.Uvarint(rest)
	if n <= 0 || size > uint64(len(rest)-n) {
		return o, nil, errDamaged
	}
	rest = rest[n:]
	o.delay = time.Duration(min(delay, uint64(maxDelay/time.Microsecond))) * time.Microsecond
	o.reply = rest[:size:size]
	return o, rest[size:], nil
}

func (s *callServer) serveProposals(ctx context.Context, body []byte, from string) []byte {
	commands, err := decodeCommands(body)
	if err != nil || len(commands) > maxBatchCommands {
		return nil
	}
	batch := make([]*proposal, len(commands))
	for i := range commands {
		batch[i] = &proposal{command: commands[i], forwarded: true}
		queue := s.node.enqueue(batch[i], from)
		defer queue.remove(batch[i])
	}
	var response []byte
	for _, p := range batch {
		select {
		case <-p.done:
			response = appendOutcome(response, &p.outcome)
		case <-ctx.Done():
			response = append(response, outcomeUnknown)
		}
	}
	return response
}
