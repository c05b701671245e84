package cluster

import (
	"fmt"

	"github.com/hashicorp/raft"
)

// Raft trusts its members. Terms are stored permanently and only grow, so one absurd term would
// prevent elections permanently; an entry that can't be decoded would stop the node at every start.
// So RPCs that no sane member sends do not reach Raft.
const (
	// maxTermJump is how far the term of a member may be ahead. With an election each second, that
	// takes 136 years.
	maxTermJump = 1 << 32
	// maxNumber is larger than any term or index will ever be, but leaves room for increments.
	maxNumber = 1 << 62
)

// safeTransport lets only sane RPCs of members through. Also, it never lets Raft install its fast
// path for heartbeats, on which a deposed leader can write entries under the term of its successor
// (hashicorp/raft #695); see heartbeat.go.
type safeTransport struct {
	*raft.NetworkTransport
	node  *Node
	saner chan raft.RPC
}

// SetHeartbeatHandler does nothing, which raft.Transport allows.
func (t *safeTransport) SetHeartbeatHandler(func(raft.RPC)) {}

// Consumer returns the RPCs that filter accepts.
func (t *safeTransport) Consumer() <-chan raft.RPC { return t.saner }

var _ raft.WithPreVote = (*safeTransport)(nil)

// filter runs until the node closes.
func (t *safeTransport) filter() {
	for {
		select {
		case rpc := <-t.NetworkTransport.Consumer():
			if !t.admit(rpc) {
				continue
			}
			select {
			case t.saner <- rpc:
			case <-t.node.ctx.Done():
				return
			}
		case <-t.node.ctx.Done():
			return
		}
	}
}

// admit reports whether an RPC may reach Raft, and answers it otherwise.
func (t *safeTransport) admit(rpc raft.RPC) bool {
	err := t.checkRPC(rpc.Command)
	if err != nil {
		t.node.warnings.log("refused an RPC: " + err.Error())
		t.node.metrics.refusedRPCs.Inc()
		rpc.Respond(nil, err)
	}
	return err == nil
}

// checkRPC returns what is wrong with an RPC from another server, or nil.
func (t *safeTransport) checkRPC(command any) error {
	with, ok := command.(raft.WithRPCHeader)
	if !ok {
		return fmt.Errorf("a Raft RPC of the unknown type %T", command)
	}
	header := with.GetRPCHeader()
	from := string(header.ID)
	if server, _ := splitRaftAddress(raft.ServerAddress(header.Addr)); server != from {
		return fmt.Errorf("it is from server %q at an address of server %q", from, server)
	}
	if !t.node.members.has(from) {
		return fmt.Errorf("it is from %q, which is not a member of the cluster", from)
	}
	var err error
	switch c := command.(type) {
	case *raft.AppendEntriesRequest:
		if err = t.checkNumbers(c.Term, c.PrevLogTerm, c.PrevLogEntry, c.LeaderCommitIndex); err == nil {
			err = checkEntries(c)
		}
	case *raft.RequestVoteRequest:
		err = t.checkNumbers(c.Term, c.LastLogTerm, c.LastLogIndex)
	case *raft.RequestPreVoteRequest:
		err = t.checkNumbers(c.Term, c.LastLogTerm, c.LastLogIndex)
	case *raft.InstallSnapshotRequest:
		if err = t.checkNumbers(c.Term, c.LastLogTerm, c.LastLogIndex, c.ConfigurationIndex); err == nil {
			err = checkSnapshot(c)
		}
		if err == nil {
			t.node.snapshots.expected.Store(c.Size)
		}
	case *raft.TimeoutNowRequest:
	default:
		err = fmt.Errorf("a Raft RPC of the unknown type %T", command)
	}
	if err != nil {
		return fmt.Errorf("from node %s: %w", nodeOf(from), err)
	}
	return nil
}

// checkNumbers checks the term of an RPC, the term of the log that it refers to, and indices.
func (t *safeTransport) checkNumbers(term, logTerm uint64, indices ...uint64) error {
	if err := checkTerm(term, t.node.raft.CurrentTerm()); err != nil {
		return err
	}
	if logTerm > term {
		return fmt.Errorf("its log has an entry of term %d, but its term is %d", logTerm, term)
	}
	for _, index := range indices {
		if index > maxNumber {
			return fmt.Errorf("the index %d is impossible", index)
		}
	}
	return nil
}

func checkTerm(term, own uint64) error {
	if term > maxNumber || term > own+maxTermJump {
		return fmt.Errorf("its term %d is too far ahead of ours, %d", term, own)
	}
	return nil
}

// checkEntries checks that entries follow each other and can be read.
func checkEntries(c *raft.AppendEntriesRequest) error {
	index, term := c.PrevLogEntry, c.PrevLogTerm
	for _, entry := range c.Entries {
		if entry == nil || entry.Index != index+1 || entry.Term < term || entry.Term > c.Term {
			return fmt.Errorf("its entries after %d do not follow each other", c.PrevLogEntry)
		}
		index, term = entry.Index, entry.Term
		switch entry.Type {
		case raft.LogNoop, raft.LogBarrier:
		case raft.LogCommand:
			if _, _, err := decodeEntry(entry.Data); err != nil {
				return fmt.Errorf("entry %d: %w", index, err)
			}
		case raft.LogConfiguration:
			if err := checkConfiguration(entry.Data); err != nil {
				return fmt.Errorf("entry %d: %w", index, err)
			}
		default:
			return fmt.Errorf("entry %d is of the unknown type %d", index, entry.Type)
		}
	}
	return nil
}

func checkSnapshot(c *raft.InstallSnapshotRequest) error {
	if c.SnapshotVersion != raft.SnapshotVersionMax {
		return fmt.Errorf("its state has version %d, this program knows %d", c.SnapshotVersion, raft.SnapshotVersionMax)
	}
	if c.Size < 0 {
		return fmt.Errorf("its state has %d bytes", c.Size)
	}
	return checkConfiguration(c.Configuration)
}

// checkConfiguration checks what raft.DecodeConfiguration would panic over.
func checkConfiguration(data []byte) (err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("it holds a damaged configuration: %v", reason)
		}
	}()
	servers := raft.DecodeConfiguration(data).Servers
	for _, s := range servers {
		if s.ID == "" || s.Address == "" || s.Suffrage != raft.Voter && s.Suffrage != raft.Nonvoter {
			return fmt.Errorf("it holds a configuration with an impossible server %q at %q", s.ID, s.Address)
		}
	}
	if len(servers) == 0 {
		return fmt.Errorf("it holds a configuration without servers")
	}
	return nil
}

// RequestVote asks for a vote. An absurd term in the response would be as bad as one in a request.
func (t *safeTransport) RequestVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	if err := t.NetworkTransport.RequestVote(id, target, args, resp); err != nil {
		return err
	}
	return checkTerm(resp.Term, args.Term)
}

// RequestPreVote asks whether the node would give its vote.
func (t *safeTransport) RequestPreVote(id raft.ServerID, target raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	if err := t.NetworkTransport.RequestPreVote(id, target, args, resp); err != nil {
		return err
	}
	return checkTerm(resp.Term, args.Term)
}
