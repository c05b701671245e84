package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

// What the leader can be asked to change.
const (
	opEnter    = "enter"    // asked by a node: let me in, or note my new address or suffrage
	opJoin     = "join"     // let in the node at an address
	opRemove   = "remove"   // end a membership
	opTransfer = "transfer" // hand over leadership
)

// change is the change that is requested.
type change struct {
	Op      string `json:"op"`
	Server  string `json:"server,omitempty"`  // enter: the node that asks
	Cluster string `json:"cluster,omitempty"` // enter: that it has been in; empty: in none
	Address string `json:"address,omitempty"` // enter, join
	Voter   bool   `json:"voter,omitempty"`   // enter, join
	Applied uint64 `json:"applied,omitempty"` // enter: the last entry that this node has applied
	Node    string `json:"node,omitempty"`    // remove, transfer; transfer: empty for any
	Note    []byte `json:"note,omitempty"`    // join, remove: a command that records the change; empty: none
}

// Kinds of changes, as a metric counts them.
const (
	kindJoin     = "join"     // a new member
	kindReplace  = "replace"  // the earlier membership of a node that lost its data is ended
	kindRemove   = "remove"   // a membership ends
	kindPromote  = "promote"  // a member gets its vote
	kindDemote   = "demote"   // a member gives its vote back
	kindMove     = "move"     // a member has another address
	kindTransfer = "transfer" // leadership is handed over
)

var changeKinds = []string{kindJoin, kindReplace, kindRemove, kindPromote, kindDemote, kindMove, kindTransfer}

type changeResponse struct {
	NotTaken bool     `json:"notTaken,omitempty"` // the node does not lead: ask again
	Refused  string   `json:"refused,omitempty"`
	Cluster  string   `json:"cluster"`
	Servers  []Server `json:"servers"`
}

// Refusal is the reason why a change was refused. It is meant for the caller.
type Refusal struct{ Reason string }

func (r *Refusal) Error() string { return r.Reason }

func refuse(format string, args ...any) error { return &Refusal{fmt.Sprintf(format, args...)} }

const (
	changeTimeout = 5 * time.Second
	caughtUp      = 512 // how many entries behind a node may be when it gets its vote
)

// Join lets the new node at address into the cluster. If it is to have a vote, it gets it when it
// has caught up. Then the leader proposes the command note, unless that is empty.
func (n *Node) Join(ctx context.Context, address string, voter bool, note []byte) error {
	return n.changer.request(ctx, change{Op: opJoin, Address: address, Voter: voter, Note: note})
}

// Remove removes a node, dead or alive, from the cluster. Then the leader proposes the command
// note, unless that is empty: the node that was asked may be the one that is gone.
func (n *Node) Remove(ctx context.Context, node string, note []byte) error {
	return n.changer.request(ctx, change{Op: opRemove, Node: node, Note: note})
}

// Transfer transfers leadership to a node, or to the most up-to-date node if node is empty.
func (n *Node) Transfer(ctx context.Context, node string) error {
	return n.changer.request(ctx, change{Op: opTransfer, Node: node})
}

// serveChange answers a call.
func (s *callServer) serveChange(ctx context.Context, body []byte, h *hello) []byte {
	var c change
	if json.Unmarshal(body, &c) != nil || h.For == forEntry && c.Op != opEnter || c.Op == opEnter && c.Server != h.From {
		return nil
	}
	response, err := s.node.changer.change(ctx, c)
	switch {
	case errors.Is(err, errNotTaken):
		response.NotTaken, response.Refused = true, "it does not lead the cluster"
	case err != nil:
		response.Refused = err.Error()
	}
	return encodeCall(response)
}

// changer requests changes from the leader, and makes those that this node is asked for when it
// leads.
type changer struct {
	node     *Node
	changing chan struct{} // a semaphore: held while a change is made
}

// request requests a change from the current leader. A *Refusal says why the leader refuses it.
func (r *changer) request(ctx context.Context, c change) error {
	for {
		err := r.requestOnce(ctx, c)
		if !errors.Is(err, errNotTaken) {
			return err
		}
		if err := r.node.awaitLeader(ctx); err != nil {
			return err
		}
	}
}

func (r *changer) requestOnce(ctx context.Context, c change) error {
	n := r.node
	if n.raft.State() == raft.Leader {
		_, err := r.change(ctx, c)
		return err
	}
	leader, _ := n.raft.LeaderWithID()
	if leader == "" {
		return errNotTaken
	}
	body, err := json.Marshal(c)
	if err != nil {
		return err
	}
	text, sent, err := n.peers.call(leader, callChange, body, callTimeout)
	if !sent {
		return errNotTaken
	}
	if err != nil {
		return refuse("the leader was lost before it answered: see what `cluster members` says, and try again")
	}
	var response changeResponse
	if err := json.Unmarshal(text, &response); err != nil {
		return err
	}
	switch {
	case response.NotTaken:
		return errNotTaken
	case response.Refused != "":
		return &Refusal{response.Refused}
	}
	return nil
}

// change makes a change on the leader, one at a time.
func (r *changer) change(ctx context.Context, c change) (response changeResponse, err error) {
	select {
	case r.changing <- struct{}{}:
		defer func() { <-r.changing }()
	case <-ctx.Done():
		return response, errNotTaken
	}
	if !r.node.leading.ready.Load() {
		return response, errNotTaken
	}
	switch c.Op {
	case opEnter:
		if err = r.expects(c); err == nil {
			err = r.letIn(c)
		}
	case opJoin:
		err = r.letInAt(c)
	case opRemove:
		err = r.remove(ctx, c.Node)
	case opTransfer:
		err = r.transfer(c.Node)
	default:
		err = refuse("%s does not know how to %q: it is of an older version", r.node.config.ID, c.Op)
	}
	if err == nil && len(c.Note) > 0 {
		r.note(ctx, c)
	}
	return changeResponse{Cluster: r.node.identity.cluster(), Servers: r.node.servers()}, err
}

// note proposes the command that records a change, which was made.
func (r *changer) note(ctx context.Context, c change) {
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	if _, err := r.node.Propose(ctx, c.Note); err != nil {
		r.node.config.Logger.Error("a change of the members was made but could not be recorded", "change", c.Op, "member", c.Node, "address", c.Address, "error", err)
	}
}

// expects returns nil if a node that asks may enter, and otherwise why not. A node that was
// removed, or an outsider with the secret and a certificate, must not make itself a member: that
// takes an operator or a peer block, unless the node was a member before and has lost its data.
func (r *changer) expects(c change) error {
	name := nodeOf(c.Server)
	is := func(s Server) bool { return s.ID == name }
	servers := r.node.servers()
	switch {
	case c.Cluster != "" && !isMember(servers, c.Server): // it may not know yet that it was removed
		return refuse("%s was removed from the cluster: to let it in again, move its data folder away and start it", name)
	case slices.ContainsFunc(servers, is) || r.node.config.peerAddress(name) != "":
		return nil
	}
	return refuse("%s has no peer block for a node %q: run `hookwheel cluster join %s` to let it in", r.node.config.ID, name, c.Address)
}

// letInAt lets in the node at an address.
func (r *changer) letInAt(c change) error {
	if r.node.config.Listen == "" {
		return refuse("%s runs on its own, and other nodes can't reach it: give it a cluster block, and restart it", r.node.config.ID)
	}
	s, err := r.node.joiner.statusAt(c.Address)
	if err != nil {
		return refuse("no new node responds at %s: %v", c.Address, err)
	}
	if s.Cluster != "" && s.Cluster != r.node.identity.cluster() {
		return refuse("%s at %s is in another cluster: move its data folder away to let it in here", s.ID, c.Address)
	}
	if s.Server == r.node.identity.Server {
		return refuse("%s is the address of %s itself, which leads this cluster", c.Address, s.ID)
	}
	return r.letIn(change{Server: s.Server, Address: c.Address, Voter: c.Voter, Applied: s.Applied})
}

// letIn makes a server a member, or updates its membership to what it requests.
func (r *changer) letIn(c change) error {
	id, address := raft.ServerID(c.Server), raftAddress(c.Server, c.Address)
	servers := r.node.servers()
	i := slices.IndexFunc(servers, func(s Server) bool { return s.Server == c.Server })
	if i < 0 {
		if err := r.replace(servers, c); err != nil {
			return err
		}
		return r.changed(kindJoin, c.Server, c.Address, r.node.raft.AddNonvoter(id, address, 0, changeTimeout))
	}
	known := servers[i]
	switch {
	case known.Address != c.Address && known.Voter:
		return r.changed(kindMove, c.Server, c.Address, r.node.raft.AddVoter(id, address, 0, changeTimeout))
	case known.Address != c.Address:
		return r.changed(kindMove, c.Server, c.Address, r.node.raft.AddNonvoter(id, address, 0, changeTimeout))
	case !known.Voter && c.Voter && (c.Applied == 0 || c.Applied+caughtUp < r.node.raft.CommitIndex()):
		return nil // it asks again; one that has applied nothing may need a state of any size
	case !known.Voter && c.Voter:
		return r.changed(kindPromote, c.Server, c.Address, r.node.raft.AddVoter(id, address, 0, changeTimeout))
	case known.Voter && !c.Voter && c.Server == r.node.identity.Server:
		return r.handOver(nil) // the next leader makes the change
	case known.Voter && !c.Voter:
		return r.changed(kindDemote, c.Server, c.Address, r.node.raft.DemoteVoter(id, 0, changeTimeout))
	}
	return nil
}

// replace removes the server of the same name, whose data folder was lost, unless it is alive.
func (r *changer) replace(servers []Server, c change) error {
	for _, s := range servers {
		if s.ID != nodeOf(c.Server) {
			continue
		}
		m := Member{Server: s}
		if r.node.members.look(r.node.ctx, &m); m.Status != nil {
			return refuse("another node named %q is already running at %s: give this node another name, or stop that one", s.ID, s.Address)
		}
		if err := r.changed(kindReplace, s.Server, s.Address, r.node.raft.RemoveServer(raft.ServerID(s.Server), 0, changeTimeout)); err != nil {
			return err
		}
	}
	return nil
}

// changed waits for a change of the configuration to be committed.
func (r *changer) changed(kind, server, address string, f raft.IndexFuture) error {
	err := r.node.await(f)
	if err != nil && errors.Is(outcomeOf(err), errNotTaken) {
		return errNotTaken
	}
	if err != nil {
		return refuse("the change was not committed: %v", err)
	}
	r.tellChange(kind, nodeOf(server), "server", server, "address", address)
	return nil
}

// tellChange logs and counts a change of the cluster.
func (r *changer) tellChange(kind, node string, more ...any) {
	r.node.metrics.changes.WithLabelValues(kind).Inc()
	r.node.config.Logger.Info("the cluster has changed", append([]any{"change", kind, "member", node}, more...)...)
}

// remove ends a membership, unless that would stop the cluster.
func (r *changer) remove(ctx context.Context, node string) error {
	servers := r.node.servers()
	i := slices.IndexFunc(servers, func(s Server) bool { return s.ID == node || s.Server == node })
	if i < 0 {
		return refuse("there is no node %q in the cluster; its members are %s", node, names(servers))
	}
	gone := servers[i]
	voters, alive := 0, 0
	for _, m := range r.node.Members(ctx) {
		if m.Voter && m.Server.Server != gone.Server {
			voters++
			if m.Status != nil {
				alive++
			}
		}
	}
	switch {
	case voters == 0:
		return refuse("%s is the only node with a vote: there would be no cluster without it", gone.ID)
	case alive <= voters/2:
		return refuse("without %s only %d of %d nodes with a vote would be alive, which is not a majority: the cluster would stop. "+
			"Remove the dead ones first, or bring them back", gone.ID, alive, voters)
	case gone.Server == r.node.identity.Server:
		if err := r.handOver(nil); err != nil {
			return err
		}
		return errNotTaken // for the next leader to do
	}
	if r.node.config.peerAddress(gone.ID) != "" {
		r.node.config.Logger.Warn("a removed node still has a peer block here, so it can enter again with an empty data folder: "+
			"take the block out of the configuration of every node, and restart them one by one", "member", gone.ID)
	}
	return r.changed(kindRemove, gone.Server, gone.Address, r.node.raft.RemoveServer(raft.ServerID(gone.Server), 0, changeTimeout))
}

func (r *changer) transfer(node string) error {
	if node == "" {
		return r.handOver(nil)
	}
	servers := r.node.servers()
	i := slices.IndexFunc(servers, func(s Server) bool { return s.ID == node || s.Server == node })
	switch {
	case i < 0:
		return refuse("there is no node %q in the cluster; its members are %s", node, names(servers))
	case servers[i].Server == r.node.identity.Server:
		return nil // it leads already
	case !servers[i].Voter:
		return refuse("%s has no vote, so it can't lead", node)
	}
	m := Member{Server: servers[i]}
	if r.node.members.look(r.node.ctx, &m); m.Status == nil {
		return refuse("%s does not answer: %s", node, m.Problem)
	}
	return r.handOver(&servers[i])
}

// handOver transfers leadership to another node: to, or the most up-to-date one if to is nil.
func (r *changer) handOver(to *Server) error {
	err := r.tryHandOver(to)
	for stale := 0; isUntold(err) && stale < maxPool; stale++ { // connections from before that node restarted
		err = r.tryHandOver(to)
	}
	if err != nil {
		return refuse("leadership could not be handed over: %v", err)
	}
	next := ""
	if to != nil {
		next = to.ID
	}
	r.tellChange(kindTransfer, next)
	return nil
}

func (r *changer) tryHandOver(to *Server) error {
	if to == nil {
		return r.node.await(r.node.raft.LeadershipTransfer())
	}
	return r.node.await(r.node.raft.LeadershipTransferToServer(raft.ServerID(to.Server), raftAddress(to.Server, to.Address)))
}

// isUntold reports whether Raft could not tell the next leader. It has no error value for that.
func isUntold(err error) bool {
	return err != nil && strings.Contains(err.Error(), "failed to make TimeoutNow RPC")
}

func names(servers []Server) string {
	text := ""
	for i, s := range servers {
		if i > 0 {
			text += ", "
		}
		text += s.ID
	}
	return text
}
