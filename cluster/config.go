package cluster

import (
	"context"
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
	ID      string
	Dir     string // of the Raft log; made if it is not there
	Listen  string // host:port for the other nodes
	Peers   []Peer // all nodes, this one included: the cluster forms of these
	Machine StateMachine
	Logger  *slog.Logger
	Metrics prometheus.Registerer

	// Lead runs while this node is leader, in that term, and has applied all that earlier leaders committed. It must
	// return soon after ctx ends; leadership is not taken up again before it has. May be nil.
	Lead func(ctx context.Context, term uint64)

	// Fatal is told why this node can't go on: its disk failed, or its state machine. It must end the process, or at
	// least see to it that Close is called.
	Fatal func(error)
}

// Command is what a state machine is given. It is an alias of a plain struct so that a state machine need not know this
// package.
type Command = struct {
	Request [16]byte // names the request, the same in each try
	Since   uint64   // 0: the first try; else an index below that of any entry that an earlier try may stand in
	Body    []byte
}

// State says how far a state machine has come: the entry it applied last, and the newest configuration given to Configure.
// It is an alias for the same reason as Command.
type State = struct {
	Index, Term        uint64
	ConfigurationIndex uint64
	Configuration      []byte
}

// StateMachine is what the replicated commands act on. Unless it says otherwise, a method is called from one
// goroutine at a time, and an error is fatal to the node.
type StateMachine interface {
	// Apply applies the commands of one entry and gives a reply for each; now is in ms. What it does depends on its arguments
	// and on the entries before, and on nothing else. It need not be durable: after a crash, entries behind State are
	// applied again.
	Apply(index, term uint64, now int64, commands []Command) (replies [][]byte, err error)
	// Configure applies a Raft configuration, to be given back by State.
	Configure(index, term uint64, configuration []byte) error
	// Commit makes what is applied durable.
	Commit() error
	// Applied is the index of the last entry applied. Safe from any goroutine.
	Applied() uint64
	// State is how far the durable state has come. Safe from any goroutine.
	State() State
	// OpenSnapshot begins to read the state as it stands, size bytes of it. Safe from any goroutine.
	OpenSnapshot() (state State, size int64, content io.ReadCloser, err error)
	// RestoreSnapshot replaces the state by what OpenSnapshot gave on another node: wholly, or not at all.
	RestoreSnapshot(content io.Reader) error
	// Admit is asked on the leader before a command is proposed: a reply refuses it. Safe from any goroutine.
	Admit(command []byte) (reply []byte)
}
