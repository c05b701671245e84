package cluster

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/hashicorp/raft"

	"hookwheel/cluster/raftlog"
)

// ResetReport is what Reset found.
type ResetReport struct {
	Server   string // the new server id
	Cluster  string // the id of the new cluster
	Applied  uint64 // the last entry that the state now includes
	Replayed int    // entries of the log that the state lacked, some of which may never have been acknowledged
	Term     uint64
}

// Reset makes the data in a folder the beginning of a new cluster whose only member is this node,
// which must not be running. It is for use after a backup was restored, or when a majority of the
// nodes is lost permanently. Entries that only the lost nodes had are lost; entries that this node
// has are kept, even if they may never have been committed. Nodes of the old cluster are refused by
// the new one until their data folders are moved away.
//
// A crash in the middle leaves a folder that does not start a cluster, neither the old nor the new;
// Reset can be called again. The order is: the state, with the new configuration; then the log is
// emptied; then the identity.
func Reset(dir, node, address string, machine StateMachine, logger *slog.Logger) (report ResetReport, err error) {
	card, err := openIdentity(dir, node)
	if err != nil {
		return report, err
	}
	log, err := raftlog.Open(dir, raftlog.Options{Fatal: func(err error) { logger.Error("resetting the data folder", "error", err) }})
	if err != nil {
		return report, err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	if err := reconcile(log, machine); err != nil {
		return report, err
	}
	if report.Replayed, err = replay(log, machine); err != nil {
		return report, err
	}
	if report.Term, err = newTerm(log, machine); err != nil {
		return report, err
	}
	fresh := newIdentity(node)
	fresh.Cluster = randomHex(16)
	configuration := raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{
		Suffrage: raft.Voter, ID: raft.ServerID(fresh.Server), Address: raftAddress(fresh.Server, address)}}})
	if err := machine.Configure(machine.Applied()+1, report.Term, configuration); err != nil {
		return report, err
	}
	if err := errors.Join(machine.Commit(), emptyLog(log), log.Votes().SetUint64([]byte("CurrentTerm"), report.Term)); err != nil {
		return report, err
	}
	card.identity = fresh
	report.Server, report.Cluster, report.Applied = fresh.Server, fresh.Cluster, machine.Applied()
	return report, card.write()
}

// replay applies the entries of the log that the state lacks.
func replay(log *raftlog.Store, machine StateMachine) (entries int, err error) {
	last, err := log.LastIndex()
	if err != nil {
		return 0, err
	}
	var failed error
	door := newFSM(machine, func(err error) { failed = err }, func(error) {})
	for index := machine.Applied() + 1; index <= last; index++ {
		entry := new(raft.Log)
		if err := log.GetLog(index, entry); err != nil {
			return entries, fmt.Errorf("reading entry %d of the log: %w", index, err)
		}
		if door.ApplyBatch([]*raft.Log{entry}); failed != nil {
			return entries, failed
		}
		entries++
	}
	return entries, nil
}

// newTerm returns a term later than any that this node knows.
func newTerm(log *raftlog.Store, machine StateMachine) (uint64, error) {
	term, err := log.Votes().GetUint64([]byte("CurrentTerm"))
	if err != nil && !errors.Is(err, raftlog.ErrNoKey) {
		return 0, err
	}
	if err := machine.Commit(); err != nil {
		return 0, err
	}
	return max(term, machine.State().Term) + 1, nil
}

func emptyLog(log *raftlog.Store) error {
	first, last, err := log.Bounds()
	if err != nil || first == 0 {
		return err
	}
	return log.DeleteRange(first, last)
}

// LastEntry returns the last entry of the log in a data folder. Its node must not be running.
func LastEntry(dir string) (index, term uint64, err error) {
	err = raftlog.Read(dir, func(log *raftlog.Store) (err error) {
		if index, err = log.LastIndex(); err != nil || index == 0 {
			return err
		}
		entry := new(raft.Log)
		err = log.GetLog(index, entry)
		term = entry.Term
		return err
	})
	if errors.Is(err, raftlog.ErrNone) { // which is not made
		err = nil
	}
	return index, term, err
}
