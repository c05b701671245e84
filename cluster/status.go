package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

const (
	watchInterval = time.Second // how often each node asks the others for their status
	askTimeout    = time.Second
	seenFresh     = 5 * watchInterval // how long a status counts as current
)

// Server is a member of the cluster, as the Raft configuration has it.
type Server struct {
	ID      string `json:"id"`     // its name
	Server  string `json:"server"` // its server id: a new one after its data folder was lost
	Address string `json:"address"`
	Voter   bool   `json:"voter"`
}

// Status is a node's report about itself.
type Status struct {
	ID       string   `json:"id"`
	Server   string   `json:"server"`
	Address  string   `json:"address"`
	Version  string   `json:"version"`
	Cluster  string   `json:"cluster"`           // empty: not in a cluster yet
	State    string   `json:"state"`             // forming, leader, follower, candidate, shutdown
	Waiting  string   `json:"waiting,omitempty"` // forming: what it waits for
	LeaderID string   `json:"leader"`            // empty: unknown
	Ready    bool     `json:"ready"`             // leader that has applied everything from earlier terms
	Voter    bool     `json:"voter"`             // whether it wants a vote
	Clock    int64    `json:"clock,omitempty"`   // its wall clock, in milliseconds since the Unix epoch
	Peers    []string `json:"peers,omitempty"`   // the nodes of which it would form a cluster
	Servers  []Server `json:"servers"`           // the members, as this node knows them

	Term    uint64 `json:"term"`
	Last    uint64 `json:"lastIndex"` // of its log
	Commit  uint64 `json:"commitIndex"`
	Applied uint64 `json:"appliedIndex"`
	Queued  int    `json:"queued"` // commands that wait for a batch

	ClockAhead int64     `json:"clockAheadMillis,omitempty"` // of the cluster's time; negative: behind it
	Scrubbed   time.Time `json:"logVerified,omitzero"`       // when the whole log was last read and found undamaged

	SlowDisk bool  `json:"slowDisk,omitempty"` // writes to its log take more than a second
	Free     int64 `json:"freeBytes"`
	Least    int64 `json:"minFreeBytes"`
	Sent     int64 `json:"sentBytes,omitempty"` // of its state, to a follower that is too far behind; 0: to none
	ToSend   int64 `json:"toSendBytes,omitempty"`
	Received int64 `json:"receivedBytes,omitempty"` // of the leader's state, because it is too far behind; 0: not now

	FingerprintIndex uint64 `json:"fingerprintIndex,omitempty"`
	Fingerprint      string `json:"fingerprint,omitempty"`

	FingerprintPending uint64 `json:"fingerprintPending,omitempty"` // entry whose fingerprint is being computed
}

// ClockIsWrong reports whether the wall clock of the node differs too much from the cluster's time.
func (s *Status) ClockIsWrong() bool {
	return (time.Duration(s.ClockAhead) * time.Millisecond).Abs() > clockTolerance
}

// Status returns the status of this node.
func (n *Node) Status() Status {
	_, leader := n.raft.LeaderWithID()
	applied, _ := n.fsm.progress()
	s := Status{
		ID: n.config.ID, Server: n.identity.Server, Address: n.config.Address, Version: n.config.Version,
		Cluster: n.identity.cluster(), State: strings.ToLower(n.raft.State().String()), LeaderID: nodeOf(string(leader)),
		Ready: n.leading.ready.Load(), Voter: n.config.Voter, Servers: n.servers(), Clock: n.clock.wall().UnixMilli(),
		Term: n.raft.CurrentTerm(), Last: n.raft.LastIndex(), Commit: n.raft.CommitIndex(), Applied: applied, Queued: n.batches.waiting(),
		Received: n.snapshots.received.Load(),
	}
	s.ClockAhead = n.clock.ahead().Milliseconds()
	_, s.Scrubbed = n.scrubber.Passes()
	s.SlowDisk = n.log.IsSlow()
	s.Sent, s.ToSend = n.snapshots.sending()
	s.Free, s.Least = n.config.Machine.Free()
	s.FingerprintIndex, s.Fingerprint, s.FingerprintPending = n.config.Machine.Fingerprint()
	if s.Cluster == "" {
		s.State, s.Waiting = "forming", n.joiner.waiting.get()
		for _, p := range n.config.Peers {
			s.Peers = append(s.Peers, p.ID)
		}
	}
	return s
}

// servers returns the members, as this node knows them.
func (n *Node) servers() []Server {
	list := make([]Server, 0, 5)
	for _, s := range n.raft.GetConfiguration().Configuration().Servers {
		_, address := splitRaftAddress(s.Address)
		list = append(list, Server{ID: nodeOf(string(s.ID)), Server: string(s.ID), Address: address, Voter: s.Suffrage == raft.Voter})
	}
	return list
}

// Member is a member of the cluster, as seen from this node.
type Member struct {
	Server
	Status   *Status   `json:"status,omitempty"`  // nil: the member does not answer
	Problem  string    `json:"problem,omitempty"` // why not
	LastSeen time.Time `json:"lastSeen,omitzero"` // when it last answered; zero: not since this node started
}

// Members asks all members for their status, and waits at most a second.
func (n *Node) Members(ctx context.Context) []Member {
	servers := n.servers()
	list := make([]Member, len(servers))
	var wg sync.WaitGroup
	for i, server := range servers {
		list[i].Server = server
		wg.Go(func() { n.members.look(ctx, &list[i]) })
	}
	wg.Wait()
	return list
}

// members asks the other nodes for their status, and stores the last one of each.
type members struct {
	node *Node

	mu   sync.Mutex
	seen map[string]seenMember // by server id

	told   []Status // by the configured peers
	toldAt time.Time
}

type seenMember struct {
	Member
	ours  uint64    // the end of our log when it answered
	still bool      // its log ended before ours at its previous response, and has not grown since
	since time.Time // when that began
}

// look asks one member for its status.
func (m *members) look(ctx context.Context, of *Member) {
	n := m.node
	if of.Server.Server == n.identity.Server {
		s := n.Status()
		of.Status, of.LastSeen = &s, time.Now()
		return
	}
	begin := n.clock.elapsed()
	s, err := m.statusOf(of.Server)
	if err != nil {
		of.Problem = err.Error()
		of.LastSeen = m.lastSeen(of.Server.Server)
		return
	}
	n.clock.heard(of.Server.Server, time.UnixMilli(s.Clock), begin)
	of.Status, of.LastSeen = s, time.Now()
	m.note(*of, n.raft.LastIndex())
}

// statusOf asks a member for its status. If the member does not accept this node as a member,
// statusOf asks again with an entry call: that is how a node learns that it was removed.
func (m *members) statusOf(of Server) (*Status, error) {
	n := m.node
	address := raftAddress(of.Server, of.Address)
	s := new(Status)
	response, _, err := n.peers.call(address, callStatus, nil, askTimeout)
	if errors.Is(err, io.EOF) { // a connection from before the other node was restarted
		response, _, err = n.peers.call(address, callStatus, nil, askTimeout)
	}
	if err == nil {
		return s, json.Unmarshal(response, s)
	}
	if !refusedFor(err, reasonMember) {
		return nil, err
	}
	for _, place := range n.addressesOf(address) {
		if *s, err = n.joiner.statusAt(place); err == nil && s.Server == of.Server {
			return s, nil
		}
	}
	return nil, errors.Join(err, fmt.Errorf("%s is not there", of.Server))
}

// note stores the response of a member, which arrived when our log ended at ours.
func (m *members) note(member Member, ours uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen == nil {
		m.seen = make(map[string]seenMember)
	}
	before, known := m.seen[member.Server.Server]
	still := known && before.Status.Last == member.Status.Last && before.Status.Last < before.ours
	since := before.since
	if !still || !before.still {
		since = member.LastSeen
	}
	m.seen[member.Server.Server] = seenMember{Member: member, ours: ours, still: still, since: since}
}

// stuck returns the members that answer, but whose log has not grown for stuckLimit. It restarts
// the count for each of them.
func (m *members) stuck() (list []Member) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, member := range m.seen {
		if member.still && time.Since(member.LastSeen) < seenFresh && member.Status.Received == 0 &&
			member.LastSeen.Sub(member.since) >= stuckLimit {
			list = append(list, member.Member)
			member.since = member.LastSeen
			m.seen[id] = member
		}
	}
	return list
}

func (m *members) lastSeen(server string) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.seen[server].LastSeen
}

// fresh returns the members that have answered recently.
func (m *members) fresh() (list []seenMember) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, member := range m.seen {
		if time.Since(member.LastSeen) < seenFresh {
			list = append(list, member)
		}
	}
	return list
}

// full returns the nodes that have less free disk space than they want.
func (m *members) full() (nodes []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, member := range m.seen {
		if member.Status.Free < member.Status.Least && time.Since(member.LastSeen) < seenFresh {
			nodes = append(nodes, member.ID)
		}
	}
	return nodes
}

// keep forgets nodes that are no longer members.
func (m *members) keep(servers []Server) {
	m.mu.Lock()
	defer m.mu.Unlock()
	known := make(map[string]seenMember, len(servers))
	for _, s := range servers {
		if member, ok := m.seen[s.Server]; ok {
			known[s.Server] = member
		}
	}
	m.seen = known
}
