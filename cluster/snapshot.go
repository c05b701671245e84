package cluster

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"hookwheel/cluster/raftlog"
	"hookwheel/durable"
)

// The two snapshots that Raft may request: the current state of the state machine, and the state
// that a leader has sent to this node.
const (
	snapshotState    = "state"
	snapshotReceived = "received"
)

const (
	progressInterval = 5 * time.Second
	receiveStall     = 30 * time.Second // without a byte from the leader
	receiveReserve   = 256 << 20        // bytes of disk that are left free
	sentGrace        = 30 * time.Second // for a follower to install the state and ask for later entries
)

// snapshotStore is a raft.SnapshotStore whose content is the state machine itself. Taking a
// snapshot costs nothing; its content is read only when a follower is too far behind.
type snapshotStore struct {
	node     *Node
	machine  StateMachine
	log      *slog.Logger
	path     string       // of the state that a leader has sent, until the state machine has installed it
	received atomic.Int64 // bytes of it so far; 0: nothing is being received
	expected atomic.Int64 // bytes of it in all
	last     *sink        // that received one

	mu   sync.Mutex
	sent map[*outgoing]struct{} // in progress, or finished less than sentGrace ago
}

func newSnapshotStore(dir string, n *Node) *snapshotStore {
	return &snapshotStore{node: n, machine: n.config.Machine, log: n.config.Logger,
		path: receivedPath(dir), sent: make(map[*outgoing]struct{})}
}

// receivedPath is where in the folder of the log the state is that a leader sends.
func receivedPath(logDir string) string { return filepath.Join(logDir, "received.snapshot") }

// LogDir returns the folder of the Raft log in a data folder.
func LogDir(data string) string { return raftlog.Dir(data) }

// Clean removes what a crash left of a state that a leader was sending. It may be as large as the
// store, and the node may never be sent another one. No process may be using the folder.
func Clean(dir string) error {
	if err := os.Remove(receivedPath(LogDir(dir))); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// List tells Raft how far the state machine is: at start, Raft replays only later entries. Received
// states are not listed: they count as soon as the state machine has installed them.
func (s *snapshotStore) List() ([]*raft.SnapshotMeta, error) {
	state := s.machine.State()
	if state.Index == 0 || state.ConfigurationIndex == 0 {
		return nil, nil
	}
	return []*raft.SnapshotMeta{metaOf(state, 0)}, nil
}

func metaOf(state State, size int64) *raft.SnapshotMeta {
	return &raft.SnapshotMeta{
		Version: raft.SnapshotVersionMax, ID: snapshotState, Index: state.Index, Term: state.Term, Size: size,
		Configuration: raft.DecodeConfiguration(state.Configuration), ConfigurationIndex: state.ConfigurationIndex,
	}
}

// Open begins to read a snapshot; Raft closes it.
func (s *snapshotStore) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	if id == snapshotReceived {
		file, err := os.OpenFile(s.path, os.O_RDWR, 0) // to give it back
		if err != nil {
			return nil, nil, err
		}
		return &raft.SnapshotMeta{ID: id}, &received{File: file}, nil
	}
	if !s.isAnyMemberBehind() { // Raft opens a snapshot before it dials: for a dead follower the work would be wasted
		return nil, nil, errors.New("no follower that lags behind the log answers")
	}
	state, size, content, err := s.machine.OpenSnapshot()
	if err != nil {
		return nil, nil, err
	}
	return metaOf(state, size), &outgoing{ReadCloser: content, store: s, index: state.Index, size: size}, nil
}

// isAnyMemberBehind reports whether a node that responds is behind the beginning of our log, or
// receives no entries although it could. Such a node has installed our state, but its response was
// lost: Raft still believes that it is far behind, until the state is sent again.
func (s *snapshotStore) isAnyMemberBehind() bool {
	first, err := s.node.log.FirstIndex()
	if err != nil {
		return false
	}
	for _, m := range s.node.members.fresh() {
		if m.Status.Last+1 < first || m.still {
			return true
		}
	}
	return false
}

// outgoing is a stream of our state to a follower.
type outgoing struct {
	io.ReadCloser
	store *snapshotStore
	index uint64 // of the state
	size  int64
	done  atomic.Int64
	told  time.Time
	over  time.Time // guarded by store.mu; zero: in progress
}

// Read registers the stream as in progress when its first byte is read.
func (o *outgoing) Read(data []byte) (int, error) {
	if o.done.Load() == 0 {
		o.store.mu.Lock()
		o.store.sent[o] = struct{}{}
		o.store.mu.Unlock()
	}
	n, err := o.ReadCloser.Read(data)
	done := o.done.Add(int64(n))
	if time.Since(o.told) > progressInterval || done == o.size {
		o.told = time.Now()
		o.store.log.Info("sending the state to a follower that is too far behind the log",
			"sentMiB", done>>20, "ofMiB", o.size>>20, "index", o.index)
	}
	return n, err
}

func (o *outgoing) Close() error {
	o.store.mu.Lock()
	o.over = time.Now()
	o.store.mu.Unlock()
	return o.ReadCloser.Close()
}

// needed returns the first entry that a follower will ask for after receiving our state; 0: no
// state is being sent.
func (s *snapshotStore) needed() (index uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for o := range s.sent {
		if !o.over.IsZero() && time.Since(o.over) > sentGrace {
			delete(s.sent, o)
		} else if index == 0 || o.index < index {
			index = o.index
		}
	}
	return index
}

// sending returns how much of our state is currently being sent to followers.
func (s *snapshotStore) sending() (done, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for o := range s.sent {
		if o.over.IsZero() {
			done += o.done.Load()
			size += o.size
		}
	}
	return done, size
}

// received is the state that a leader has sent. It is read once, so what was read is given back to
// the file system: the store that it becomes needs that room.
type received struct {
	*os.File
	read, freed int64
}

// freeStep is how many bytes are given back at once.
const freeStep = 4 << 20

func (r *received) Read(data []byte) (int, error) {
	n, err := r.File.Read(data)
	if r.read += int64(n); r.read-r.freed >= freeStep {
		durable.Free(r.File, r.freed, r.read-r.freed)
		r.freed = r.read
	}
	return n, err
}

func (r *received) Close() error { return errors.Join(r.File.Close(), os.Remove(r.Name())) }

// Create begins to write a snapshot: the state that a leader sends, or nothing for our own state,
// which is already in the state machine.
func (s *snapshotStore) Create(_ raft.SnapshotVersion, index, term uint64, _ raft.Configuration, _ uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	return &sink{store: s, index: index, term: term}, nil
}

// restored is called after the state machine has installed a state that a leader has sent, or could
// not. Only then the log may follow it: if it did before, and there was no room for the state, a
// later leader could have entries appended that the node must not have without those before.
func (s *snapshotStore) restored(err error) {
	s.received.Store(0)
	if err == nil && s.last != nil {
		s.node.log.SetBase(s.last.index, s.last.term)
	}
}

// sink receives the state that a leader sends.
type sink struct {
	store *snapshotStore
	index uint64 // of the last entry in the state
	term  uint64
	once  sync.Once
	file  *os.File
	err   error
	told  time.Time
	stall *time.Timer // Raft waits indefinitely for a leader that hangs in the middle, and can't vote in the meantime
}

func (s *sink) ID() string {
	if s.file == nil {
		return snapshotState
	}
	return snapshotReceived
}

func (s *sink) begin() {
	s.file, s.err = os.OpenFile(s.store.path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	s.stall = time.AfterFunc(receiveStall, s.store.node.listener.guests.dropAll)
	size := s.store.expected.Load()
	if free, _, err := durable.Space(s.store.path); s.err == nil && (err != nil || free < size+receiveReserve) {
		s.err = errors.Join(err, fmt.Errorf("the disk has %d MiB left, too little to receive the state of another node, "+
			"which has %d MiB: make room, %d MiB at least", free>>20, size>>20, (size+receiveReserve)>>20))
		return
	}
	s.store.log.Info("too far behind the log: receiving the state from the leader", "ofMiB", size>>20)
}

func (s *sink) Write(data []byte) (int, error) {
	s.once.Do(s.begin)
	if s.err != nil {
		return 0, s.err
	}
	s.stall.Reset(receiveStall)
	if free, _, err := durable.Space(s.store.path); err != nil || free < receiveReserve {
		return 0, errors.Join(err, fmt.Errorf("the disk has %d MiB left, too little to receive the state of another node", free>>20))
	}
	total := s.store.received.Add(int64(len(data)))
	if time.Since(s.told) > progressInterval {
		s.told = time.Now()
		s.store.log.Info("receiving the state from the leader", "receivedMiB", total>>20)
	}
	return s.file.Write(data)
}

// end is the common part of Close and Cancel.
func (s *sink) end() error {
	s.stall.Stop()
	return s.file.Close()
}

// Close need not sync: the file is read once, by this process.
func (s *sink) Close() error {
	if s.file == nil {
		return nil
	}
	s.store.last = s
	return s.end()
}

func (s *sink) Cancel() error {
	if s.file == nil {
		return nil
	}
	s.store.received.Store(0)
	return errors.Join(s.end(), os.Remove(s.store.path))
}

// Snapshot costs next to nothing: the state machine is its own snapshot. The log will be cut, so
// the state must be durable.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	if err := f.machine.Commit(); err != nil {
		f.fatal(err)
		return nil, err
	}
	return nothing{}, nil
}

// Restore installs the state that a leader has sent.
func (f *fsm) Restore(source io.ReadCloser) (err error) {
	defer func() { f.restored(err) }()
	if err := f.machine.RestoreSnapshot(source); err != nil {
		return fmt.Errorf("taking over the state of the leader: %w", err)
	}
	f.publish(f.machine.Applied())
	return nil
}

// nothing is a snapshot without content.
type nothing struct{}

func (nothing) Persist(sink raft.SnapshotSink) error { return sink.Close() }
func (nothing) Release()                             {}

// reconcile makes the log fit the state machine after a crash, before Raft looks at either.
func reconcile(log *raftlog.Store, machine StateMachine) error {
	first, last, err := log.Bounds()
	if err != nil {
		return err
	}
	applied := machine.Applied()
	switch {
	case last > 0 && last < applied:
		// The state came from a leader, and the crash left a log that ends before it: none of its
		// entries are needed.
		return log.DeleteRange(first, last)
	case first > applied+1:
		return fmt.Errorf("the log begins at entry %d but the store ends at %d: the entries in between are lost. "+
			"Move the whole data folder of this node away; started empty, it gets the state from the others", first, applied)
	}
	return nil
}
