package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// Node is this process's part of the cluster.
type Node struct {
	config   Config
	log      *logStore
	listener *listener
	raft     *raft.Raft
	fsm      *fsm
	batches  *batcher
	peers    *peers
	reads    rounds
	requests *requestIDs
	metrics  *metrics
	ready    atomic.Bool // leader, and all of the earlier terms is applied

	leadCtx context.Context // ends when Close begins
	resign  context.CancelFunc
	led     chan struct{}   // closed when Lead has ended for good
	ctx     context.Context // ends when Close has handed leadership over
	cancel  context.CancelFunc
	stopped chan struct{} // closed when no proposal can finish any more
	wg      sync.WaitGroup
}

// Open starts this node: it reads what it knew before, or forms the cluster of config.Peers together with them, and keeps
// trying to reach them.
func Open(config Config) (_ *Node, err error) {
	n := &Node{config: config, requests: newRequestIDs(), led: make(chan struct{}), stopped: make(chan struct{})}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.leadCtx, n.resign = context.WithCancel(n.ctx)
	dir := filepath.Join(config.Dir, "raft")
	if n.log, err = openLogStore(dir, config.Fatal); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			n.cancel()
			err = errors.Join(err, n.log.Close())
		}
	}()
	if err := reconcile(n.log, config.Machine); err != nil {
		return nil, err
	}
	if n.listener, err = listen(config.Listen, ownAddress(config), n.serveCalls); err != nil {
		return nil, err
	}
	n.peers = newPeers(func(address string) (net.Conn, error) { return dial(address, connCalls, dialTimeout) })
	n.fsm = newFSM(config.Machine, config.Fatal)
	if err := n.startRaft(dir); err != nil {
		return nil, errors.Join(err, n.listener.Close())
	}
	return n, nil
}

func (n *Node) startRaft(dir string) error {
	news := make(chan bool, 16)
	config := raftConfig(n.config, news)
	transport := newTransport(n.listener, n.config)
	snapshots := newSnapshotStore(dir, n.config.Machine)
	known, err := raft.HasExistingState(n.log, n.log, snapshots)
	if err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	if !known {
		// Each node begins with the same configuration at index 1, so they form one cluster whoever starts first.
		if err := raft.BootstrapCluster(config, n.log, n.log, snapshots, transport, bootstrap(n.config.Peers)); err != nil {
			return fmt.Errorf("forming the cluster: %w", err)
		}
	}
	cache, err := raft.NewLogCache(cachedEntries, n.log)
	if err != nil {
		return err
	}
	n.batches = newBatcher(n.commit)
	if n.raft, err = raft.NewRaft(config, n.fsm, cache, n.log, snapshots, transport); err != nil {
		return fmt.Errorf("starting Raft: %w", err)
	}
	n.metrics = newMetrics(n, n.config.Metrics)
	n.wg.Go(func() { n.watchLeadership(news) })
	n.wg.Go(func() { n.batches.run(n.ctx) })
	n.wg.Go(n.abandonOldLeaders)
	go n.listener.run() // ended and waited for by its Close
	return nil
}

func raftConfig(config Config, news chan bool) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(config.ID)
	c.Logger = raftLogger(config.Logger)
	c.NotifyCh = news
	c.NoSnapshotRestoreOnStart = true // the state machine is on disk already
	c.NoLegacyTelemetry = true
	c.BatchApplyCh = true
	c.LeaderLeaseTimeout = 750 * time.Millisecond
	c.SnapshotInterval = 5 * time.Second // it costs nothing and lets the log be cut
	c.SnapshotThreshold = 1024
	c.TrailingLogs = 4096
	if len(config.Peers) == 1 { // nobody to wait for
		c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = 50*time.Millisecond, 50*time.Millisecond, 50*time.Millisecond
	}
	return c
}

func bootstrap(peers []Peer) (c raft.Configuration) {
	for _, p := range peers {
		c.Servers = append(c.Servers, raft.Server{Suffrage: raft.Voter, ID: raft.ServerID(p.ID), Address: raft.ServerAddress(p.Address)})
	}
	return c
}

// ownAddress is where the other nodes reach this one. Followers learn the leader's from it, so it must not be what we listen on.
func ownAddress(config Config) string {
	for _, p := range config.Peers {
		if p.ID == config.ID {
			return p.Address
		}
	}
	return config.Listen
}

// Close ends Lead, hands leadership over if this node has it, finishes what is in flight and ends all that Open started.
// Callers of Propose that are still waiting are told that there is no leader.
func (n *Node) Close() error {
	n.resign()
	<-n.led
	if n.raft.State() == raft.Leader && len(n.config.Peers) > 1 {
		if err := n.raft.LeadershipTransfer().Error(); err != nil {
			n.config.Logger.Warn("could not hand over leadership; the others will elect a leader", "error", err)
		}
	}
	n.cancel()
	err := n.raft.Shutdown().Error()
	n.wg.Wait()
	close(n.stopped)
	n.peers.close()
	n.reads.close()
	return errors.Join(err, n.listener.Close(), n.log.Close())
}

// Status is what an operator wants to know first.
type Status struct {
	ID, State      string // State: leader, follower, candidate, shutdown
	LeaderID       string // empty: unknown
	Term           uint64
	Commit         uint64
	Applied        uint64
	Ready          bool // leader that has applied all of the earlier terms
	Unacknowledged int  // commands that wait for a batch
}

// Status reports on this node.
func (n *Node) Status() Status {
	_, leader := n.raft.LeaderWithID()
	applied, _ := n.fsm.progress()
	return Status{
		ID: n.config.ID, State: strings.ToLower(n.raft.State().String()), LeaderID: string(leader), Term: n.raft.CurrentTerm(),
		Commit: n.raft.CommitIndex(), Applied: applied, Ready: n.ready.Load(), Unacknowledged: len(n.batches.queue),
	}
}
