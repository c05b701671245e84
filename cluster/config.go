package cluster

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Peer is a node of the cluster.
type Peer struct {
	ID      string
	Address string // host:port for the other nodes
}

// Config describes this node.
type Config struct {
	ID      string   // its name, unique in the cluster
	Dir     string   // data folder: contains the Raft log and the identity of this node; created if it does not exist
	Listen  string   // host:port for the other nodes; empty: a single node, which other nodes can't reach
	Address string   // host:port at which the other nodes reach this one
	Peers   []Peer   // the nodes that form the cluster, including this one; see form.go
	Join    []string // instead of Peers: addresses of nodes of an existing cluster to join
	Voter   bool     // whether this node has a vote; a node without one also stores everything but never leads
	Secret  string   // shared by all nodes of the cluster; empty: it is stored in Dir, see secret.go
	Version string   // of the program, for Status
	Machine StateMachine

	// LogSize returns how many bytes of entries the Raft log may have before its older half is cut.
	// The result may change. nil: 1 GiB.
	LogSize func() int64

	// PurgeInterval is purgeInterval unless it is set, for tests.
	PurgeInterval time.Duration

	Logger  *slog.Logger
	Metrics prometheus.Registerer

	// TLS is called for each connection between nodes, on both sides; nil: plain TCP. A node's
	// certificate must be signed by one of the RootCAs, and be valid for the node's ID as a DNS
	// name.
	TLS func() (*tls.Config, error)

	// Lead runs while this node leads in that term, after it has applied everything that earlier
	// leaders committed. It must return soon after ctx ends: until then, Lead is not called for
	// another term. May be nil.
	Lead func(ctx context.Context, term uint64)

	// Throttle returns how long the caller of Propose waits after a command was applied, so that it
	// makes the next one later. It is called on the leader, from any goroutine, and must return at
	// once. May be nil.
	Throttle func(command []byte) time.Duration

	// Fatal is called with the reason why this node can't continue: its disk or its state machine
	// failed, or it was removed. It must end the process, or at least cause Close to be called.
	Fatal func(error)
}

// Command is the input of a state machine. It is an alias of a plain struct so that a state machine
// need not import this package.
type Command = struct {
	Request [16]byte // identifies the request; the same in each try
	Since   uint64   // 0: the first try; otherwise the first index at which an earlier try may be
	Body    []byte
}

// State is the progress of a state machine: the entry that it applied last, and the newest
// configuration passed to Configure. It is an alias for the same reason as Command.
type State = struct {
	Index, Term        uint64
	ConfigurationIndex uint64
	Configuration      []byte
}

// StateMachine executes the replicated commands. Unless a method's comment says otherwise, it is
// called from one goroutine at a time, and an error is fatal to the node.
type StateMachine interface {
	// Apply applies the commands of one entry and returns a reply for each; now is in ms. Its
	// effect must depend only on its arguments and on the entries before. It need not be durable:
	// after a crash, entries after State are applied again.
	Apply(index, term uint64, now int64, commands []Command) (replies [][]byte, err error)
	// Configure applies a Raft configuration, which State then returns.
	Configure(index, term uint64, configuration []byte) error
	// Commit makes the applied entries durable.
	Commit() error
	// Applied returns the index of the last entry applied. Safe from any goroutine.
	Applied() uint64
	// State returns the progress of the durable state. Safe from any goroutine.
	State() State
	// OpenSnapshot begins to read the current state, of size bytes. Safe from any goroutine.
	OpenSnapshot() (state State, size int64, content io.ReadCloser, err error)
	// RestoreSnapshot replaces the state by the content of OpenSnapshot on another node, either
	// completely or not at all.
	RestoreSnapshot(content io.Reader) error
	// Admit is called on the leader before a command is proposed: a reply refuses it. full contains
	// the IDs of the other nodes that have less free space than they want. A repetition may already
	// be in the log. Safe from any goroutine.
	Admit(command []byte, full []string, repetition bool) (reply []byte)
	// Cost returns about how many bytes applying a command takes, at least the size of the command.
	// The total cost of the commands in an entry is limited. Safe from any goroutine.
	Cost(command []byte) int
	// Ready returns when an entry of that cost can be applied without waiting for the disk. Safe
	// from any goroutine.
	Ready(cost int)
	// Flow returns whom a command is from or for. Commands of different flows take turns. Safe from
	// any goroutine.
	Flow(command []byte) string
	// IsPatient reports whether a command may wait a few milliseconds for others, because nobody
	// waits for its reply. Safe from any goroutine.
	IsPatient(command []byte) bool
	// Free returns the free space of this node's disk and the least that the node wants, in bytes.
	// Safe from any goroutine.
	Free() (free, least int64)
	// Fingerprint returns the newest fingerprint of the whole state that this node has computed,
	// and its entry; "": none yet. It also returns the newest entry whose fingerprint is being
	// computed; 0: none. Safe from any goroutine.
	Fingerprint() (index uint64, sum string, pending uint64)
}

// peerAddress returns the address of a node in the configuration; empty: none.
func (c *Config) peerAddress(id string) string {
	for _, p := range c.Peers {
		if p.ID == id {
			return p.Address
		}
	}
	return ""
}
