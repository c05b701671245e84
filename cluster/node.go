package cluster

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"hookwheel/cluster/raftlog"
)

// Node is this process's part of the cluster.
type Node struct {
	config    Config
	secret    string // of the cluster
	identity  *identityCard
	log       *raftlog.Store
	scrubber  *raftlog.Scrubber
	listener  *listener
	snapshots *snapshotStore
	raft      *raft.Raft
	fsm       *fsm
	batches   *batcher
	calls     callServer
	dialer    dialer
	joiner    joiner
	changer   changer
	peers     *peers
	reads     *reads
	requests  *requestIDs
	metrics   *metrics
	warnings  warnings
	members   members
	leading   *leadership
	election  electionTimer
	clock     *clock

	ctx         context.Context // ends when Close has handed leadership over
	cancel      context.CancelFunc
	raftStopped chan struct{} // closed when all goroutines of Raft have ended
	stopped     chan struct{} // closed when proposals can no longer finish
	wg          sync.WaitGroup
}

// Open starts this node. The node rejoins the cluster that it was part of before, or looks for
// one: see form.go.
func Open(config Config) (_ *Node, err error) {
	n := &Node{config: config, requests: newRequestIDs(), warnings: warnings{logger: config.Logger},
		raftStopped: make(chan struct{}), stopped: make(chan struct{}), clock: processClock()}
	n.calls, n.dialer = callServer{node: n, budget: newBudget(callBudget)}, dialer{node: n}
	n.joiner, n.changer = joiner{node: n}, changer{node: n, changing: make(chan struct{}, 1)}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.leading, n.election, n.reads, n.members.node = newLeadership(n), electionTimer{n}, &reads{node: n}, n
	if err := refuseUnnamed(config.Dir, config.Machine.Applied()); err != nil {
		return nil, err
	}
	if n.identity, err = openIdentity(config.Dir, config.ID); err != nil {
		return nil, err
	}
	if err := n.identity.checkLog(config.Dir); err != nil {
		return nil, err
	}
	n.snapshots = newSnapshotStore(raftlog.Dir(config.Dir), n)
	n.log, err = raftlog.Open(config.Dir, raftlog.Options{Fatal: config.Fatal, Limit: config.LogSize, Needed: n.snapshots.needed})
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			n.cancel()
			err = errors.Join(err, n.log.Close())
		}
	}()
	n.scrubber = raftlog.NewScrubber(n.log)
	if err := reconcile(n.log, config.Machine); err != nil {
		return nil, err
	}
	if n.secret, err = loadSecret(&config); err != nil {
		return nil, err
	}
	if n.listener, err = listen(n); err != nil {
		return nil, err
	}
	n.peers = newPeers(func(address raft.ServerAddress) (net.Conn, error) {
		return n.dialer.dial(address, forCalls, dialTimeout)
	})
	n.fsm = newFSM(config.Machine, config.Fatal, n.snapshots.restored)
	if err := n.startRaft(); err != nil {
		return nil, errors.Join(err, n.listener.Close())
	}
	return n, nil
}

func (n *Node) startRaft() error {
	news := make(chan bool, 16)
	config := raftConfig(n.config, n.identity.Server, news)
	config.Logger = raftLogger(n.leading.ctx, n.config.Logger)
	transport := newTransport(n)
	known, err := raft.HasExistingState(n.log, n.log.Votes(), n.snapshots)
	if err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	if known && n.identity.cluster() == "" { // it started a cluster and crashed before it could record that
		if err := n.identity.enter(randomHex(16), nil); err != nil {
			return err
		}
	}
	cache := raftlog.NewCache(n.log)
	n.batches = newBatcher(func() bool { return n.raft.State() == raft.Leader }, n.config.Machine.Ready, n.commit)
	if n.raft, err = raft.NewRaft(config, n.fsm, cache, n.log.Votes(), n.snapshots, transport); err != nil {
		return fmt.Errorf("starting Raft: %w", err)
	}
	if members := n.servers(); n.config.Listen == "" && len(members) > 1 {
		err := fmt.Errorf("the data folder %s is of a cluster of %s, but the configuration has no cluster block: put it back",
			n.config.Dir, names(members))
		return errors.Join(err, n.raft.Shutdown().Error())
	}
	n.log.HoldFailures()
	n.metrics = newMetrics(n, n.config.Metrics)
	n.wg.Go(transport.filter)
	n.wg.Go(func() { n.leading.watch(news) })
	n.wg.Go(func() { n.batches.run(n.ctx) })
	n.wg.Go(func() { n.peers.abandonOldLeaders(n.ctx, n.raft) })
	n.wg.Go((&supervisor{node: n}).run)
	n.wg.Go(n.election.watch)
	n.wg.Go(func() { n.scrubber.Run(n.ctx) })
	n.wg.Go(n.shorten)
	n.wg.Go(newPurger(n).run)
	n.wg.Go(n.joiner.belong)
	n.listener.wg.Go(n.listener.run) // until its Close
	return n.election.hurry()
}

func raftConfig(config Config, server string, news chan bool) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(server)
	c.NotifyCh = news
	c.NoSnapshotRestoreOnStart = true // the state machine is already on disk
	c.NoLegacyTelemetry = true
	c.BatchApplyCh = true
	c.LeaderLeaseTimeout = leaseTimeout
	c.HeartbeatTimeout, c.ElectionTimeout = electionTimeout, electionTimeout
	c.SnapshotInterval = time.Second // it costs nothing and allows the log to be cut
	c.SnapshotThreshold = 256
	c.TrailingLogs = 1         // raftlog.Store decides how much to keep
	c.ShutdownOnRemove = false // keepPlace does it
	return c
}

// raftAddress returns the address of this node in Raft.
func (n *Node) raftAddress() string { return string(raftAddress(n.identity.Server, n.config.Address)) }

// addressesOf returns where a server may be reached: its address in our own configuration, because
// the network may look different from here, and the address that it announces.
func (n *Node) addressesOf(a raft.ServerAddress) []string {
	server, advertised := splitRaftAddress(a)
	if own := n.config.peerAddress(nodeOf(server)); own != "" && own != advertised {
		return []string{own, advertised}
	}
	return []string{advertised}
}

// Close ends Lead, transfers leadership if this node has it, finishes proposals in flight and
// stops everything that Open started. Callers that still wait in Propose get ErrNoLeader.
func (n *Node) Close() error {
	n.leading.resign()
	<-n.leading.ended
	if n.raft.State() == raft.Leader && len(n.servers()) > 1 {
		if err := n.changer.handOver(nil); err != nil {
			n.config.Logger.Warn("could not hand over leadership; the others will elect a leader", "error", err)
		}
	}
	n.cancel()
	n.peers.close()
	err := n.stopRaft()
	if errors.Is(err, errStillRunning) { // Raft still uses the rest, which therefore stays open
		return errors.Join(err, n.listener.Close())
	}
	n.wg.Wait()
	close(n.stopped)
	n.reads.close()
	return errors.Join(err, n.listener.Close(), n.log.Close())
}

// stopPatience is how long Raft may take to end its goroutines.
const stopPatience = 10 * time.Second

var errStillRunning = errors.New("the goroutines of Raft do not stop; the process has to end as after a crash")

func (n *Node) stopRaft() error {
	done := make(chan error, 1)
	go func() { done <- n.raft.Shutdown().Error() }()
	patience := time.NewTimer(stopPatience)
	defer patience.Stop()
	select {
	case err := <-done:
		close(n.raftStopped)
		return err
	case <-patience.C:
		return errStillRunning
	case <-n.log.Failed(): // Raft is blocked permanently
		return errStillRunning
	}
}
