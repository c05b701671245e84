package cluster

import (
	"fmt"
	"sync"

	"github.com/hashicorp/raft"
)

// fsm connects Raft to the state machine.
type fsm struct {
	machine  StateMachine
	fatal    func(error)
	restored func(error) // called after the state of a leader was installed, or could not be
	failed   bool

	mu      sync.Mutex
	applied uint64        // as Raft counts, including entries without commands
	moved   chan struct{} // closed and replaced when applied grows
}

func newFSM(machine StateMachine, fatal func(error), restored func(error)) *fsm {
	return &fsm{machine: machine, fatal: fatal, restored: restored, applied: machine.Applied(), moved: make(chan struct{})}
}

// ApplyBatch applies entries. A state machine that failed is not called again: the node stops
// rather than continue with a gap.
func (f *fsm) ApplyBatch(logs []*raft.Log) []any {
	results := make([]any, len(logs))
	if f.failed {
		return results
	}
	if err := f.apply(logs, results); err != nil {
		f.failed = true
		clear(results)
		f.fatal(fmt.Errorf("the state machine failed: %w", err))
		return results
	}
	f.publish(logs[len(logs)-1].Index)
	return results
}

func (f *fsm) apply(logs []*raft.Log, results []any) error {
	for i, log := range logs {
		switch log.Type {
		case raft.LogCommand:
			now, commands, err := decodeEntry(log.Data)
			if err != nil {
				return fmt.Errorf("entry %d: %w", log.Index, err)
			}
			replies, err := f.machine.Apply(log.Index, log.Term, now, commands)
			if err != nil {
				return err
			}
			results[i] = replies
		case raft.LogConfiguration:
			if err := f.machine.Configure(log.Index, log.Term, log.Data); err != nil {
				return err
			}
		}
	}
	return nil
}

// Apply is never called, because Raft prefers ApplyBatch, but the interface requires it.
func (f *fsm) Apply(log *raft.Log) any { return f.ApplyBatch([]*raft.Log{log})[0] }

func (f *fsm) publish(index uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.applied = index
	close(f.moved)
	f.moved = make(chan struct{})
}

// progress returns the applied index, and a channel that is closed when the index grows.
func (f *fsm) progress() (applied uint64, moved <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.applied, f.moved
}
