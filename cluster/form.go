package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// How a node that is not in a cluster enters or forms one. Not knowing of a cluster is never a
// reason to form one: the node asks its peers.
//
//   - One of them is in a cluster: the node asks the leader of that cluster to be let in, which
//     takes an operator unless the leader expects the node (see expects). The leader first removes
//     an existing member of the same name, whose data folder was lost, unless that member responds.
//     Then it makes the new node a member without a vote, and gives it a vote when it has caught
//     up.
//   - All of them respond, all are new, and all name the same peers: the first of them by name
//     starts the cluster with all of them as voters. The others then find that they are members.
//
// So two clusters can't form: forming one takes all of its nodes. And until a node is a member, it
// accepts no Raft connections, so it can't vote again in a term in which it may have voted before
// it lost its data.
//
// After a crash at any point, the new node asks again. The node that starts the cluster is a member
// as soon as its log has the configuration. It then records the cluster in its identity, or, if it
// crashed before, at its next start.
const (
	formInterval = 300 * time.Millisecond
	tellInterval = 10 * time.Second
)

// waiting is what a node that is not in a cluster waits for.
type waiting struct {
	mu     sync.Mutex
	reason string
	told   time.Time
}

func (w *waiting) get() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reason
}

// set sets the reason, and reports whether to log it now.
func (w *waiting) set(reason string) (tell bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tell = reason != w.reason || time.Since(w.told) > tellInterval
	if w.reason = reason; tell {
		w.told = time.Now()
	}
	return tell
}

// joiner brings its node into a cluster and keeps it there.
type joiner struct {
	node    *Node
	waiting waiting
}

// belong brings this node into a cluster, if it is not in one, and then keeps its membership in
// line with its configuration.
func (j *joiner) belong() {
	for j.node.ctx.Err() == nil && j.node.identity.cluster() == "" {
		if err := j.seek(); err != nil && j.waiting.set(err.Error()) {
			j.node.config.Logger.Info("not in a cluster yet: " + err.Error())
		}
		if j.node.identity.cluster() == "" {
			pause(j.node.ctx, formInterval)
		}
	}
	j.keepPlace()
}

// seek tries once to enter or form a cluster; the error says what prevented it.
func (j *joiner) seek() error {
	statuses, problems := j.askPeers()
	if in := slices.DeleteFunc(slices.Clone(statuses), func(s Status) bool { return s.Cluster == "" }); len(in) > 0 {
		return j.enterThroughAny(in)
	}
	if len(j.node.config.Peers) == 0 {
		return joinOnce(append([]error{errors.New("none of the nodes to join is in a cluster")}, problems...))
	}
	if len(problems) > 0 {
		return fmt.Errorf("a new cluster takes all of its nodes: %w", joinOnce(problems))
	}
	return j.form(statuses)
}

// askPeers asks the other nodes in the configuration for their status.
func (j *joiner) askPeers() (statuses []Status, problems []error) {
	peers := slices.DeleteFunc(slices.Clone(j.node.config.Peers), func(p Peer) bool { return p.ID == j.node.config.ID })
	for _, address := range j.node.config.Join {
		peers = append(peers, Peer{Address: address})
	}
	found := make([]Status, len(peers))
	failed := make([]error, len(peers))
	var wg sync.WaitGroup
	for i, p := range peers {
		wg.Go(func() { found[i], failed[i] = j.askPeer(p) })
	}
	wg.Wait()
	for i, err := range failed {
		if err != nil {
			problems = append(problems, err)
		} else {
			statuses = append(statuses, found[i])
		}
	}
	return statuses, problems
}

// askPeer asks one peer for its status; without an ID, any node may answer.
func (j *joiner) askPeer(p Peer) (s Status, err error) {
	s, err = j.statusAt(p.Address)
	switch {
	case err != nil && p.ID == "":
		return s, fmt.Errorf("the node at %s: %w", p.Address, err)
	case err != nil:
		return s, fmt.Errorf("peer %q at %s: %w", p.ID, p.Address, err)
	case s.Server == j.node.identity.Server:
		return s, fmt.Errorf("peer %q at %s is this very node, %s: correct its address", p.ID, p.Address, j.node.config.ID)
	case p.ID != "" && s.ID != p.ID:
		return s, fmt.Errorf("peer %q at %s says that it is %q: correct its address, or its name", p.ID, p.Address, s.ID)
	case s.ID == j.node.config.ID:
		return s, fmt.Errorf("the node at %s has the name %q, as this one has: give each node its own", p.Address, s.ID)
	}
	return s, nil
}

// statusAt asks the node at an address for its status.
func (j *joiner) statusAt(address string) (s Status, err error) {
	conn, server, err := j.node.dialer.dialAt(address, forEntry, "", dialTimeout)
	if err != nil {
		return s, err
	}
	if err := ask(conn, callStatus, nil, &s, askTimeout); err != nil {
		return s, err
	}
	if s.Server != server {
		return s, fmt.Errorf("it is %s and says that it is %s", server, s.Server)
	}
	return s, nil
}

// form starts a cluster of all peers, or waits for the peer that does.
func (j *joiner) form(others []Status) error {
	own := j.node.Status()
	all := append([]Status{own}, others...)
	slices.SortFunc(all, func(a, b Status) int { return strings.Compare(a.ID, b.ID) })
	for _, s := range all {
		if !slices.Equal(slices.Sorted(slices.Values(s.Peers)), slices.Sorted(slices.Values(own.Peers))) {
			return fmt.Errorf("%s would form a cluster of %s, but %s of %s: give all the same peers",
				j.node.config.ID, strings.Join(own.Peers, ", "), s.ID, strings.Join(s.Peers, ", "))
		}
	}
	first := slices.IndexFunc(all, func(s Status) bool { return s.Voter })
	switch {
	case first < 0:
		return errors.New("none of the peers has a vote: give `voter = true` to most of them")
	case all[first].ID != j.node.config.ID:
		return fmt.Errorf("all peers are there; %s starts the cluster", all[first].ID)
	}
	var configuration raft.Configuration
	for _, s := range all {
		configuration.Servers = append(configuration.Servers, raft.Server{Suffrage: suffrage(s.Voter),
			ID: raft.ServerID(s.Server), Address: raftAddress(s.Server, s.Address)})
	}
	if err := j.node.raft.BootstrapCluster(configuration).Error(); err != nil {
		return fmt.Errorf("starting the cluster: %w", err)
	}
	return errors.Join(j.enter(randomHex(16), j.node.servers()), j.node.election.hurry())
}

func suffrage(voter bool) raft.ServerSuffrage {
	if voter {
		return raft.Voter
	}
	return raft.Nonvoter
}

// enter makes this node take part in a cluster. A node that can't record that must not take part.
func (j *joiner) enter(cluster string, members []Server) error {
	ids := make([]string, len(members))
	for i, m := range members {
		ids[i] = m.Server
	}
	if err := j.node.identity.enter(cluster, ids); err != nil {
		j.node.config.Fatal(err)
		return err
	}
	j.node.config.Logger.Info("part of the cluster", "cluster", short(cluster), "server", j.node.identity.Server)
	return nil
}

// enterThroughAny asks to be let into the cluster of these nodes. If they are in several, it
// prefers one that has a leader.
func (j *joiner) enterThroughAny(list []Status) error {
	var problems []error
	for _, s := range list {
		err := j.enterThrough(s)
		if err == nil {
			return nil
		}
		problems = append(problems, err)
	}
	return joinOnce(problems)
}

// joinOnce joins errors into one line for the log, without repetitions: several nodes often pass on
// what the leader says. Without errors it returns nil.
func joinOnce(problems []error) error {
	var joined error
	said := make(map[string]bool)
	for _, err := range problems {
		switch text := err.Error(); {
		case said[text]:
		case joined == nil:
			joined = err
		default:
			joined = fmt.Errorf("%w; %w", joined, err)
		}
		said[err.Error()] = true
	}
	return joined
}

// enterThrough asks to be let into the cluster that s is in.
func (j *joiner) enterThrough(s Status) error {
	if isMember(s.Servers, j.node.identity.Server) {
		return j.enter(s.Cluster, s.Servers)
	}
	i := slices.IndexFunc(s.Servers, func(m Server) bool { return m.ID == s.LeaderID })
	if i < 0 {
		return fmt.Errorf("%s is in a cluster that has no leader at the moment", s.ID)
	}
	response, err := j.askIn(raftAddress(s.Servers[i].Server, s.Servers[i].Address))
	if err != nil {
		return fmt.Errorf("asking %s to be let into its cluster: %w", s.LeaderID, err)
	}
	if isMember(response.Servers, j.node.identity.Server) {
		return j.enter(response.Cluster, response.Servers)
	}
	return fmt.Errorf("%s does not admit this node: %s", s.LeaderID, response.Refused)
}

func isMember(list []Server, server string) bool {
	return slices.ContainsFunc(list, func(s Server) bool { return s.Server == server })
}

// askIn asks the leader for the membership that this node's configuration describes.
func (j *joiner) askIn(leader raft.ServerAddress) (response changeResponse, err error) {
	server, _ := splitRaftAddress(leader)
	var conn net.Conn
	for _, address := range j.node.addressesOf(leader) {
		var found string
		if conn, found, err = j.node.dialer.dialAt(address, forEntry, "", dialTimeout); err != nil {
			continue
		}
		if found == server {
			err = ask(conn, callChange, j.wish(), &response, callTimeout)
			return response, err
		}
		err = errors.Join(fmt.Errorf("%s is at %s", found, address), conn.Close())
	}
	return response, err
}

// wish returns the membership that this node wants.
func (j *joiner) wish() change {
	applied, _ := j.node.fsm.progress()
	return change{Op: opEnter, Server: j.node.identity.Server, Cluster: j.node.identity.cluster(), Address: j.node.config.Address,
		Voter: j.node.config.Voter, Applied: applied}
}

const (
	placeInterval = 2 * time.Second
	peerRounds    = 8
	absentRounds  = 3 // how often the leader must say that this node is not a member before the node accepts it
)

// keepPlace keeps the cluster informed of this node's address and of whether it wants a vote, and
// detects if the node was removed.
func (j *joiner) keepPlace() {
	absent := 0
	for round := 0; j.node.ctx.Err() == nil; round++ {
		var leader *Status
		if round%peerRounds == 0 {
			leader = j.comparePeers()
		}
		pause(j.node.ctx, j.placePause())
		if j.node.raft.LastIndex() > 0 { // otherwise it knows no members yet, and never will if it was removed before
			leader = j.leaderSeen()
		}
		if leader != nil && !isMember(leader.Servers, j.node.identity.Server) {
			if absent++; absent >= absentRounds {
				j.node.config.Fatal(fmt.Errorf("node %s %w. To let it in again, move its data folder %s away and start it",
					j.node.config.ID, ErrRemoved, j.node.config.Dir))
				return
			}
			continue
		}
		if leader != nil {
			absent = 0
		}
		if j.isInPlace() {
			continue
		}
		if err := j.claimPlace(); err != nil && j.node.ctx.Err() == nil {
			j.node.warnings.log("the cluster does not have this node as its configuration says: " + err.Error())
		}
	}
}

// placePause is short while this node catches up to get its vote.
func (j *joiner) placePause() time.Duration {
	if j.isInPlace() {
		return placeInterval
	}
	return formInterval
}

// ErrRemoved is why a node stops after an operator has removed it.
var ErrRemoved = errors.New("was removed from the cluster")

// leaderSeen returns the last status of another node that leads, or nil if none was seen recently.
func (j *joiner) leaderSeen() *Status {
	for _, m := range j.node.members.fresh() {
		if m.Status.Ready && m.Status.Cluster == j.node.identity.cluster() {
			return m.Status
		}
	}
	return nil
}

// isInPlace reports whether the Raft configuration lists this node with the membership that it
// wants.
func (j *joiner) isInPlace() bool {
	for _, s := range j.node.servers() {
		if s.Server == j.node.identity.Server {
			return s.Address == j.node.config.Address && s.Voter == j.node.config.Voter
		}
	}
	return false
}

func (j *joiner) claimPlace() error {
	ctx, cancel := context.WithTimeout(j.node.ctx, callTimeout)
	defer cancel()
	if j.node.leading.ready.Load() {
		_, err := j.node.changer.change(ctx, j.wish())
		return err
	}
	leader, _ := j.node.raft.LeaderWithID()
	if leader == "" { // it may look for us at our old address
		s := j.leaderSeen()
		if s == nil {
			return nil // it will be asked when there is one
		}
		leader = raftAddress(s.Server, s.Address)
	}
	response, err := j.askIn(leader)
	if err == nil && response.Refused != "" {
		err = errors.New(response.Refused)
	}
	return err
}

// comparePeers detects a data folder that belongs to a different cluster than the peers do. If most
// of the peers are in a cluster with a leader, this node must stop: its peers would never see what
// it accepts. It returns the status of the one that leads this node's cluster, or nil.
func (j *joiner) comparePeers() (leader *Status) {
	statuses, _ := j.askPeers()
	j.node.members.hear(statuses)
	elsewhere := make(map[string]int)
	for i, s := range statuses {
		if s.Ready && s.Cluster == j.node.identity.cluster() {
			leader = &statuses[i]
		}
		if s.Cluster == "" || s.Cluster == j.node.identity.cluster() || s.LeaderID == "" {
			continue
		}
		problem := fmt.Sprintf("%s is in cluster %s, but the data of this node, in %s, is of cluster %s: the node has the wrong data folder or "+
			"the wrong peers. If it is to be part of that cluster, move its data folder away and start it",
			s.ID, short(s.Cluster), j.node.config.Dir, short(j.node.identity.cluster()))
		j.node.warnings.log(problem)
		if elsewhere[s.Cluster]++; 2*elsewhere[s.Cluster] > len(j.node.config.Peers) {
			j.node.config.Fatal(errors.New(problem))
		}
	}
	return leader
}
