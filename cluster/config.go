package cluster

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"

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
	Dir     string   // data folder: holds the Raft log and the file that says who this node is; made if it is not there
	Listen  string   // host:port for the other nodes; empty: the node is on its own, and nobody can reach it
	Address string   // host:port at which the other nodes reach this one
	Peers   []Peer   // the nodes that form the cluster, this one included; see form.go
	Join    []string // instead of Peers: addresses of nodes of a cluster that is there, to be let in by them
	Voter   bool     // whether this node has a vote; one without keeps everything too but never leads
	Secret  string   // what all nodes of a cluster know, and nobody else; empty: it is kept in Dir, see secret.go
	Version string   // of the program, for Status
	Machine StateMachine

	// LogSize is how many bytes of entries the Raft log may have before its older half is cut; what
	// it returns may change. nil: 1 GiB.
	LogSize func() int64

	Logger  *slog.Logger
	Metrics prometheus.Registerer

	// TLS is asked for each connection between nodes, and its answer is used for both sides of it;
	// nil: plain TCP. A node's certificate must be signed by one of the RootCAs, and be for the DNS
	// name that is the node's ID.
	TLS func() (*tls.Config, error)

	// Lead runs while this node is leader, in that term, and has applied all that earlier leaders
	// committed. It must return soon after ctx ends; leadership is not taken up again before it
	// has. May be nil.
	Lead func(ctx context.Context, term uint64)

	// Fatal is told why this node can't go on: its disk failed, or its state machine, or it was
	// removed. It must end the process, or at least see to it that Close is called.
	Fatal func(error)
}

// Command is what a state machine is given. It is an alias of a plain struct so that a state
// machine need not know this package.
type Command = struct {
	Request [16]byte // names the request, the same in each try
	Since   uint64   // 0: the first try; else the first index at which an earlier try may be
	Body    []byte
}

// State says how far a state machine has come: the entry it applied last, and the newest
// configuration given to Configure. It is an alias for the same reason as Command.
type State = struct {
	Index, Term        uint64
	ConfigurationIndex uint64
	Configuration      []byte
}

// StateMachine is what the replicated commands act on. Unless it says otherwise, a method is called
// from one goroutine at a time, and an error is fatal to the node.
type StateMachine interface {
	// Apply applies the commands of one entry and gives a reply for each; now is in ms. What it
	// does depends on its arguments and on the entries before, and on nothing else. It need not be
	// durable: after a crash, entries behind State are applied again.
	Apply(index, term uint64, now int64, commands []Command) (replies [][]byte, err error)
	// Configure applies a Raft configuration, to be given back by State.
	Configure(index, term uint64, configuration []byte) error
	// Commit makes what is applied durable.
	Commit() error
	// Applied is the index of the last entry applied. Safe from any goroutine.
	Applied() uint64
	// State is how far the durable state has come. Safe from any goroutine.
	State() State
	// OpenSnapshot begins to read the current state, of size bytes. Safe from any goroutine.
	OpenSnapshot() (state State, size int64, content io.ReadCloser, err error)
	// RestoreSnapshot replaces the state by what OpenSnapshot gave on another node: wholly, or not
	// at all.
	RestoreSnapshot(content io.Reader) error
	// Admit is asked on the leader before a command is proposed: a reply refuses it. full are the
	// IDs of the other nodes that have less free space than they want. A repetition may be in the
	// log already. Safe from any goroutine.
	Admit(command []byte, full []string, repetition bool) (reply []byte)
	// Cost is about how many bytes applying a command takes, which is no less than it has. An entry
	// holds commands up to a bound of that. Safe from any goroutine.
	Cost(command []byte) int
	// Free is the free space of this node's disk in bytes, and how much it wants at least. Safe
	// from any goroutine.
	Free() (free, least int64)
	// Fingerprint is the newest sum over the whole state that this node has made, and the entry it
	// is of; "": none yet. Safe from any goroutine.
	Fingerprint() (index uint64, sum string)
}
