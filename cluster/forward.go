package cluster

import (
	"context"
	"encoding/binary"
	"errors"
)

const (
	outcomeOK       = 0
	outcomeNotTaken = 1
	outcomeUnknown  = 2
)

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
		outcome, reply, rest, err := cutOutcome(response)
		if err != nil {
			finishAll(batch[i:], errUnknown)
			return
		}
		response = rest
		p.finish(reply, outcome)
	}
}

// appendOutcome and cutOutcome encode and decode the response to one command.
func appendOutcome(response []byte, p *proposal) []byte {
	switch {
	case p.err == nil:
		response = append(response, outcomeOK)
		return append(binary.AppendUvarint(response, uint64(len(p.reply))), p.reply...)
	case errors.Is(p.err, errNotTaken):
		return append(response, outcomeNotTaken)
	default:
		return append(response, outcomeUnknown)
	}
}

func cutOutcome(response []byte) (outcome error, reply, rest []byte, err error) {
	if len(response) == 0 {
		return nil, nil, nil, errDamaged
	}
	switch response[0] {
	case outcomeOK:
		size, n := binary.Uvarint(response[1:])
		if n <= 0 || size > uint64(len(response)-1-n) {
			return nil, nil, nil, errDamaged
		}
		response = response[1+n:]
		return nil, response[:size:size], response[size:], nil
	case outcomeNotTaken:
		return errNotTaken, nil, response[1:], nil
	default:
		return errUnknown, nil, response[1:], nil
	}
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
			response = appendOutcome(response, p)
		case <-ctx.Done():
			response = append(response, outcomeUnknown)
		}
	}
	return response
}
