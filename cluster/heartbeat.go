package cluster

import (
	"time"

	"github.com/hashicorp/raft"
)

// heartbeatPatience is how long Raft may be too busy to take a heartbeat before this node answers
// in its place. A leader sends one each 80 to 160 ms, and steps down when it has heard no majority
// for 750 ms.
const heartbeatPatience = 50 * time.Millisecond

// heartbeat hands a heartbeat to Raft, or answers it while Raft is busy. Raft handles all calls in
// one goroutine, in which it also waits for the disk and receives the state of a leader. Its
// leader must not take it for dead meanwhile: if both followers are writing much, or one is
// installing the state and the other is briefly slow, a cluster in which all is well would lose its
// leader.
//
// The response says no more than Raft itself would say: that the term of this node was that of the
// leader after the heartbeat arrived. It changes nothing in Raft, neither the term nor the state,
// which is what makes Raft's own fast path dangerous (hashicorp/raft #695). Raft needs no heartbeat
// while it is busy, because it does not look at its election timer until it has finished.
func (t *safeTransport) heartbeat(rpc raft.RPC) {
	if !t.admit(rpc) {
		return
	}
	patience := time.NewTimer(heartbeatPatience)
	defer patience.Stop()
	select {
	case t.saner <- rpc:
		return
	case <-patience.C:
	case <-t.node.ctx.Done():
		return
	}
	request, ok := rpc.Command.(*raft.AppendEntriesRequest)
	if ok && t.node.follows(request) {
		rpc.Respond(&raft.AppendEntriesResponse{RPCHeader: t.node.rpcHeader(), Term: request.Term,
			LastLog: t.node.raft.LastIndex(), Success: true}, nil)
		return
	}
	select {
	case t.saner <- rpc:
	case <-t.node.ctx.Done():
	}
}

// follows reports whether this node is a follower of the sender of a heartbeat, in its term.
func (n *Node) follows(heartbeat *raft.AppendEntriesRequest) bool {
	_, leader := n.raft.LeaderWithID()
	return n.raft.State() == raft.Follower && string(leader) == string(heartbeat.ID) && n.raft.CurrentTerm() == heartbeat.Term
}

func (n *Node) rpcHeader() raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(n.identity.Server), Addr: []byte(n.raftAddress())}
}
