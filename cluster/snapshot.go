package cluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"github.com/hashicorp/raft"
)

// The two snapshots that Raft may ask for: the state machine as it stands, and what a leader has sent to this node.
const (
	snapshotState    = "state"
	snapshotReceived = "received"
)

// snapshotStore is a raft.SnapshotStore whose content is the state machine itself. Taking a snapshot costs nothing; its
// content is read only when a follower is too far behind the log.
type snapshotStore struct {
	machine StateMachine
	path    string // of what a leader has sent, until the state machine has taken it over
}

func newSnapshotStore(dir string, machine StateMachine) *snapshotStore {
	return &snapshotStore{machine: machine, path: filepath.Join(dir, "received.snapshot")}
}

// List tells Raft how far the state machine is: at a start it replays only what comes after. What was received is never
// listed: it counts from the moment when the state machine holds it.
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
		file, err := os.Open(s.path)
		if err != nil {
			return nil, nil, err
		}
		return &raft.SnapshotMeta{ID: id}, received{file}, nil
	}
	state, size, content, err := s.machine.OpenSnapshot()
	if err != nil {
		return nil, nil, err
	}
	return metaOf(state, size), content, nil
}

// received is what a leader has sent; it is read once.
type received struct{ *os.File }

func (r received) Close() error { return errors.Join(r.File.Close(), os.Remove(r.Name())) }

// Create begins to write a snapshot: nothing at all for our own, which stands in the state machine already, or what a
// leader sends.
func (s *snapshotStore) Create(raft.SnapshotVersion, uint64, uint64, raft.Configuration, uint64, raft.Transport) (raft.SnapshotSink, error) {
	return &sink{path: s.path}, nil
}

// sink takes what a leader sends.
type sink struct {
	path string
	once sync.Once
	file *os.File
	err  error
}

func (s *sink) ID() string {
	if s.file == nil {
		return snapshotState
	}
	return snapshotReceived
}

func (s *sink) Write(data []byte) (int, error) {
	s.once.Do(func() { s.file, s.err = os.Create(s.path) })
	if s.err != nil {
		return 0, s.err
	}
	return s.file.Write(data)
}

// Close need not sync: the file is read once, by this process.
func (s *sink) Close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}

func (s *sink) Cancel() error {
	if s.file == nil {
		return nil
	}
	return errors.Join(s.file.Close(), os.Remove(s.path))
}

// Snapshot costs next to nothing: the state machine is its own snapshot. The log will be cut, so it must be durable.
func (f *fsm) Snapshot() (raft.FSMSnapshot, error) {
	if err := f.machine.Commit(); err != nil {
		f.fatal(err)
		return nil, err
	}
	return nothing{}, nil
}

// Restore has the state machine take over what a leader has sent.
func (f *fsm) Restore(source io.ReadCloser) error {
	if err := f.machine.RestoreSnapshot(source); err != nil {
		return fmt.Errorf("taking over the state of the leader: %w", err)
	}
	f.publish(f.machine.Applied())
	return nil
}

// nothing is what a snapshot writes.
type nothing struct{}

func (nothing) Persist(sink raft.SnapshotSink) error { return sink.Close() }
func (nothing) Release()                             {}

// reconcile makes the log fit the state machine after a crash, before Raft looks at either.
func reconcile(log *logStore, machine StateMachine) error {
	first, err := log.FirstIndex()
	if err != nil {
		return err
	}
	last, err := log.LastIndex()
	if err != nil {
		return err
	}
	applied := machine.Applied()
	switch {
	case last > 0 && last < applied:
		// The state came from a leader and the crash left a log that ends before it: nothing of it is needed.
		return log.DeleteRange(first, last)
	case first > applied+1:
		return fmt.Errorf("the log begins at entry %d but the store ends at %d: what lies between is lost. "+
			"Move the whole data folder of this node away; started empty, it gets the state from the others", first, applied)
	}
	return nil
}
