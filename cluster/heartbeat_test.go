package cluster

import (
	"errors"
	"io"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"hookwheel/systemtest/wait"
)

// TestBusyFollowerAnswersHeartbeats: a follower whose Raft is busy, here because it is being sent
// a state, answers the heartbeats of its leader, and no others.
func TestBusyFollowerAnswersHeartbeats(t *testing.T) {
	members := startMembers(t, 3)
	leader, others := readyLeader(t, members)
	follower := others[0]
	term := leader.raft.CurrentTerm()
	id, address := raft.ServerID(follower.identity.Server), raft.ServerAddress(follower.raftAddress())
	transport := newTransport(leader.Node)
	defer transport.Close()

	content, fill := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		sent <- transport.InstallSnapshot(id, address, &raft.InstallSnapshotRequest{RPCHeader: leader.rpcHeader(), SnapshotVersion: raft.SnapshotVersionMax,
			Term: term, LastLogIndex: 1, LastLogTerm: 1, Size: 1 << 20, ConfigurationIndex: 1,
			Configuration: raft.EncodeConfiguration(leader.raft.GetConfiguration().Configuration())}, new(raft.InstallSnapshotResponse), content)
	}()
	must(t, second(fill.Write(make([]byte, 512<<10)))) // more than what is buffered on the way
	wait.For(t, "a part of the state has arrived", func() bool { return follower.Status().Received > 0 })

	beat := func(from *member, term uint64) (*raft.AppendEntriesResponse, error) {
		response := new(raft.AppendEntriesResponse)
		return response, transport.AppendEntries(id, address, &raft.AppendEntriesRequest{RPCHeader: from.rpcHeader(), Term: term,
			Leader: []byte(from.raftAddress())}, response)
	}
	for range 3 {
		if response, err := beat(leader, term); err != nil || !response.Success || response.Term != term {
			t.Fatalf("a heartbeat is answered with %+v, %v", response, err)
		}
	}
	for name, heartbeat := range map[string]*raft.AppendEntriesRequest{
		"of an earlier term": {RPCHeader: leader.rpcHeader(), Term: term - 1},
		"of a later term":    {RPCHeader: leader.rpcHeader(), Term: term + 1},
		"of another node":    {RPCHeader: others[1].rpcHeader(), Term: term},
	} {
		if follower.follows(heartbeat) {
			t.Errorf("a heartbeat %s is answered", name)
		}
	}
	late := make(chan *raft.AppendEntriesResponse, 1)
	go func() {
		response, _ := beat(leader, term-1)
		late <- response
	}()
	select {
	case <-late:
		t.Error("a heartbeat of an earlier term is answered before Raft has seen it")
	case <-time.After(4 * heartbeatPatience):
	}
	must(t, fill.CloseWithError(errors.New("the leader has stopped sending")))
	if err := <-sent; err == nil {
		t.Error("half of the state was enough")
	}
	if response := <-late; response.Success || response.Term < term {
		t.Errorf("Raft answers a heartbeat of an earlier term with %+v", response)
	}
	must(t, second(follower.Propose(limited(t), []byte("unharmed"))))
}
