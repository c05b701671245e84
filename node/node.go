// Package node assembles a server: the store, the cluster, the delivery workers and the API meet
// here and nowhere else.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"hookwheel/cluster"
	"hookwheel/config"
	"hookwheel/delivery"
	"hookwheel/httpapi"
	"hookwheel/scheduler"
	"hookwheel/wal"
	"hookwheel/webhook"
)

// Node is one running server: the place where the packages meet.
type Node struct {
	config  config.Config // of the start
	log     *slog.Logger
	reloads reloads
	store   *wal.Store
	writer  *wal.Writer
	cleaner *wal.Cleaner
	cluster *cluster.Node
	pool    *delivery.Pool
	cpu     *cpuLoad
	leading atomic.Pointer[scheduler.Scheduler] // nil: another node leads
	backups *backups                            // nil: none are made
	api     *httpapi.Server
	failed  chan error    // why it can't go on
	broken  atomic.Bool   // it can't
	opened  chan struct{} // closed when cluster is set, which leads perhaps at once
	closers []closer      // in the order of starting
	closing atomic.Value  // the name of the one that is being ended
}

// closer ends what was started.
type closer struct {
	name string
	end  func() error
}

// Restoring is the folder in the data folder in which a backup is being restored.
const Restoring = "restoring"

// RefuseHalfRestored returns an error if a restore into the data folder did not finish. A node that
// started there would be empty without anybody noticing, and the backup could no longer be restored
// into this folder. A restore that had moved everything is complete.
func RefuseHalfRestored(data string) error {
	folder := filepath.Join(data, Restoring)
	left, err := os.ReadDir(folder)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) { // which is told later
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(data, cluster.IdentityFile)); err == nil && len(left) == 0 {
		return nil
	}
	return fmt.Errorf("%s is what a restore has left that did not finish: run hookwheel restore again, or remove all but "+cluster.SecretFile+" from %s to start without the backup", folder, data)
}

// Start brings a node up, from the bottom: the store, the cluster, the API. On the way down, Close
// goes the other way. version is that of the program, which the node tells others.
func Start(config config.Config, version string, log *slog.Logger) (*Node, error) {
	return start(config, version, log, new(slog.LevelVar))
}

// start is Start with the level of the log, which may change.
func start(config config.Config, version string, log *slog.Logger, level *slog.LevelVar) (_ *Node, err error) {
	n := &Node{config: config, log: log, cpu: newCPULoad(), failed: make(chan error, 1), opened: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	if err := RefuseHalfRestored(config.Data); err != nil {
		return nil, err
	}
	_ = os.Remove(filepath.Join(config.Data, Restoring)) // it is empty, if it is there
	descriptors, err := openDescriptors(config.Delivery.Workers)
	if err != nil {
		return nil, err
	}
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	n.reloads.start(config, level, metrics)
	forCluster, forAPI, err := openTLS(config, log, metrics)
	if err != nil {
		return nil, err
	}
	attempts, requests := n.startTracing(version, metrics)
	n.store, err = wal.Open(wal.Config{Dir: filepath.Join(config.Data, "store"), Data: config.Data, MinFree: config.Storage.MinFree, MaxSize: config.Storage.MaxSize, MaxEndpoints: config.Storage.MaxEndpoints,
		Purge: config.Purge, Logger: log, Fatal: n.fatal,
		Clean: func() error { return cluster.Clean(config.Data) }})
	if err != nil {
		return nil, err
	}
	n.onClose("store", n.store.Close)
	if err := descriptors.check(n.store.Space().Descriptors()); err != nil {
		return nil, err
	}
	n.onClose("watch on the disk", n.watchSpace(metrics))
	n.writer = wal.NewWriter(proposer{n})
	n.writer.Limit(limits(&config))
	n.cleaner = wal.NewCleaner(n.store, n.writer)
	keyring, err := webhook.NewKeyring(config.EncryptionKeys)
	if err != nil {
		return nil, err
	}
	n.pool = delivery.NewPool(delivery.Config{
		Timeout: config.Delivery.Timeout, Workers: config.Delivery.Workers, Allow: config.Delivery.Allow, Deny: config.Delivery.Deny,
		Proxy: config.Delivery.Proxy, NoProxy: config.Delivery.NoProxy,
		Paused:    n.store.Space().IsCritical,
		UserAgent: "Hookwheel/" + version, Tracer: attempts, Propagate: config.Tracing.PropagateTo, Keyring: keyring, Logger: log, Metrics: metrics,
		Clock: func() time.Time { return n.cluster.Now() }, // it runs when this node leads
	})
	if n.backups, err = n.startBackups(version, metrics); err != nil {
		return nil, err
	}
	n.cluster, err = cluster.Open(cluster.Config{
		ID: config.Node, Dir: config.Data, Listen: config.Cluster.Listen, Address: config.Cluster.Address,
		Peers: clusterPeers(config.Cluster.Peers), Join: config.Cluster.Join, Voter: config.Cluster.Voter, Secret: config.Cluster.Secret, TLS: forCluster, Version: version,
		Machine: n.store, LogSize: n.store.Space().LogSize, PurgeInterval: config.Purge, Logger: log, Metrics: metrics, Lead: n.lead, Throttle: n.throttle, Fatal: n.fatal,
	})
	if err != nil {
		return nil, err
	}
	close(n.opened)
	n.onClose("cluster", n.cluster.Close)
	n.onClose("removal of unused values", n.tidy())
	n.api, err = httpapi.NewServer(httpapi.Config{
		Listen: config.API.Listen, PortalListen: config.Portal.Listen, MetricsListen: config.API.Metrics.Listen, MetricsToken: config.API.Metrics.Token, TLS: forAPI,
		Tails: config.API.Tails, MaxBody: config.API.MaxBody, MaxBatch: config.API.MaxBatch, MaxSize: n.store.Space().MaxSize(), Pprof: config.API.Pprof, Drain: config.API.Drain, Descriptors: func() int { return descriptors.forClients(n.store.Space().Descriptors()) },
		Changeable: changeable(&config), Reload: n.Reload, NodeID: config.Node, Keyring: keyring,
		Store: n.store, Writer: n.writer, Node: n.cluster, Failed: n.broken.Load, Metrics: metrics, Logger: log, Sender: n.pool, Tracer: requests,
	})
	if err != nil {
		return nil, err
	}
	go n.api.Serve() // Shutdown waits for it
	n.onClose("API", n.api.Shutdown)
	return n, nil
}

// recorder records outcomes in no more detail than there is room for.
type recorder struct {
	*wal.Leader
	gate *wal.Gate
}

func (r recorder) RecordProgress(ctx context.Context, list []webhook.Progress) error {
	r.gate.Economize(list)
	return r.Leader.RecordProgress(ctx, list)
}

// proposer lets the pool, which the cluster starts, propose through that cluster.
type proposer struct{ *Node }

func (p proposer) Propose(ctx context.Context, command []byte) ([]byte, error) {
	return p.cluster.Propose(ctx, command)
}

func clusterPeers(peers []config.Peer) []cluster.Peer {
	list := make([]cluster.Peer, len(peers))
	for i, p := range peers {
		list[i] = cluster.Peer(p)
	}
	return list
}

// Addr returns the address where the API listens.
func (n *Node) Addr() string { return n.api.Addr() }

// PortalAddr returns the address where only the portal is served, or "".
func (n *Node) PortalAddr() string { return n.api.PortalAddr() }

// MetricsAddr returns the address where only metrics and the reference are served, or "".
func (n *Node) MetricsAddr() string { return n.api.MetricsAddr() }

// Config returns what the node was started with.
func (n *Node) Config() config.Config { return n.config }

// Store returns the store of the node, to read from.
func (n *Node) Store() *wal.Store { return n.store }

func (n *Node) onClose(name string, end func() error) {
	n.closers = append(n.closers, closer{name, end})
}

// Close takes no more requests, lets attempts under way come to their end, hands leadership over
// and closes the store.
func (n *Node) Close() error {
	var errs []error
	for _, c := range slices.Backward(n.closers) {
		n.closing.Store(c.name)
		if err := c.end(); err != nil {
			errs = append(errs, fmt.Errorf("stopping the %s: %w", c.name, err))
		}
	}
	n.closers = nil
	return errors.Join(errs...)
}

// fatal is called when the disk or the state machine failed.
func (n *Node) fatal(err error) {
	n.broken.Store(true)
	select {
	case n.failed <- err:
	default: // one reason is enough
	}
}
