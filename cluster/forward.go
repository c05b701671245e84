package cluster

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/hashicorp/raft"
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
	answer, sent, err := n.peers.call(address, callPropose, appendCommands(make([]byte, 0, batchSize(batch)), batch), callTimeout)
	switch {
	case !sent:
		finishAll(batch, errNotTaken)
	case err != nil:
		finishAll(batch, errUnknown)
	default:
		finishForwarded(batch, answer)
	}
}

func finishForwarded(batch []*proposal, answer []byte) {
	for i, p := range batch {
		outcome, reply, rest, err := cutOutcome(answer)
		if err != nil {
			finishAll(batch[i:], errUnknown)
			return
		}
		answer = rest
		p.finish(reply, outcome)
	}
}

// appendOutcome and cutOutcome encode and decode the answer to one command.
func appendOutcome(answer []byte, p *proposal) []byte {
	switch {
	case p.err == nil:
		answer = append(answer, outcomeOK)
		return append(binary.AppendUvarint(answer, uint64(len(p.reply))), p.reply...)
	case errors.Is(p.err, errNotTaken):
		return append(answer, outcomeNotTaken)
	default:
		return append(answer, outcomeUnknown)
	}
}

func cutOutcome(answer []byte) (outcome error, reply, rest []byte, err error) {
	if len(answer) == 0 {
		return nil, nil, nil, errDamaged
	}
	switch answer[0] {
	case outcomeOK:
		size, n := binary.Uvarint(answer[1:])
		if n <= 0 || size > uint64(len(answer)-1-n) {
			return nil, nil, nil, errDamaged
		}
		answer = answer[1+n:]
		return nil, answer[:size:size], answer[size:], nil
	case outcomeNotTaken:
		return errNotTaken, nil, answer[1:], nil
	default:
		return errUnknown, nil, answer[1:], nil
	}
}

func (n *Node) serveProposals(ctx context.Context, body []byte) []byte {
	commands, err := decodeCommands(body)
	if err != nil {
		return nil
	}
	batch := make([]*proposal, len(commands))
	for i := range commands {
		batch[i] = &proposal{command: commands[i], forwarded: true, done: make(chan struct{})}
		if n.raft.State() != raft.Leader {
			batch[i].finish(nil, errNotTaken)
			continue
		}
		select {
		case n.batches.queue <- batch[i]:
		case <-ctx.Done():
			batch[i].finish(nil, errNotTaken)
		}
	}
	var answer []byte
	for _, p := range batch {
		select {
		case <-p.done:
			answer = appendOutcome(answer, p)
		case <-ctx.Done():
			answer = append(answer, outcomeUnknown)
		}
	}
	return answer
}
