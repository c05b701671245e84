package cluster

import (
	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	commitSeconds prometheus.Histogram
	batchCommands prometheus.Histogram
	refused       *prometheus.CounterVec // by reason
	refusedRPCs   prometheus.Counter
	changes       *prometheus.CounterVec // by kind

	stuckFollowers    prometheus.Counter
	throttledCommands prometheus.Counter
}

// newMetrics registers the metrics of this node.
func newMetrics(n *Node, registry prometheus.Registerer) *metrics {
	m := &metrics{
		commitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "hookwheel_commit_duration_seconds",
			Help:    "On the leader: from proposing a log entry to having it on a majority of disks and applied.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 14),
		}),
		batchCommands: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "hookwheel_batch_commands",
			Help:    "On the leader: commands that share one log entry.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 8),
		}),
		stuckFollowers: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hookwheel_stuck_followers_total",
			Help: "On the leader: how often a follower that answers got no entries and was connected to again.",
		}),
		throttledCommands: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hookwheel_throttled_commands_total",
			Help: "On the leader: commands, such as POSTs of messages, whose caller had to wait because the CPU was short and deliveries lagged.",
		}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hookwheel_cluster_refused_connections_total",
			Help: "Connections to the cluster port that were refused, by reason.",
		}, []string{"reason"}),
		refusedRPCs: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "hookwheel_cluster_refused_rpcs_total",
			Help: "Raft RPCs of other nodes that were refused: from a server that is not a member, or impossible.",
		}),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "hookwheel_cluster_changes_total",
			Help: "On the leader: changes of the membership, and leadership handed over, by kind.",
		}, []string{"kind"}),
	}
	for _, reason := range refusalReasons {
		m.refused.WithLabelValues(reason)
	}
	for _, kind := range changeKinds {
		m.changes.WithLabelValues(kind)
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	registry.MustRegister(m.commitSeconds, m.batchCommands, m.stuckFollowers, m.throttledCommands, m.refused, m.refusedRPCs, m.changes,
		gauge("hookwheel_raft_leader", "1 if this node leads the cluster.", func() float64 {
			if n.raft.State() == raft.Leader {
				return 1
			}
			return 0
		}),
		gauge("hookwheel_raft_term", "Term of the cluster.", func() float64 { return float64(n.raft.CurrentTerm()) }),
		gauge("hookwheel_raft_last_index", "Last index in the log of this node.", func() float64 { return float64(n.raft.LastIndex()) }),
		gauge("hookwheel_raft_commit_index", "Last index known to be committed.", func() float64 { return float64(n.raft.CommitIndex()) }),
		gauge("hookwheel_raft_applied_index", "Last index with commands that the store holds.", func() float64 {
			applied, _ := n.fsm.progress()
			return float64(applied)
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "hookwheel_log_scrubs_total",
			Help: "How often the whole Raft log was read and verified since this node started.",
		}, func() float64 {
			passes, _ := n.scrubber.Passes()
			return float64(passes)
		}),
		gauge("hookwheel_log_bytes", "Size of the Raft log: the part of its files that its entries take.", func() float64 {
			return float64(n.log.Bytes())
		}),
		gauge("hookwheel_log_file_bytes", "Size of all files of the Raft log, including those made in advance.", func() float64 {
			return float64(n.log.FileSize())
		}),
		gauge("hookwheel_clock_ahead_seconds", "How far the wall clock of this node is ahead of the cluster's time.", func() float64 {
			return n.clock.ahead().Seconds()
		}),
		gauge("hookwheel_commands_waiting", "Commands that wait for a batch.", func() float64 { return float64(n.batches.waiting()) }),
	)
	return m
}
