package cluster

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/hashicorp/raft"

	"hookwheel/cluster/raftlog"
)

// maxViolations limits how many violations a report lists; it counts the others.
const maxViolations = 100

// LogReport describes the Raft log in a data folder and what is wrong with it.
type LogReport struct {
	First      uint64   `json:"first"` // the range of entries in the log; 0: none
	Last       uint64   `json:"last"`
	LastTerm   uint64   `json:"lastTerm"` // of the last entry
	Entries    int      `json:"entries"`
	Commands   int      `json:"commands"` // in those entries
	Bytes      int64    `json:"bytes"`    // of the entries
	Term       uint64   `json:"term"`     // of this node
	VoteTerm   uint64   `json:"voteTerm"` // in which the node voted last
	Vote       string   `json:"vote,omitempty"`
	Notes      []string `json:"notes,omitempty"` // what is unusual but valid
	Violations []string `json:"violations"`
	Unnamed    int      `json:"unnamed,omitempty"` // further violations, which are not listed
}

// Err returns nil if nothing is wrong.
func (r *LogReport) Err() error {
	if len(r.Violations) == 0 {
		return nil
	}
	return fmt.Errorf("the log breaks %d of its invariants, such as: %s", len(r.Violations)+r.Unnamed, r.Violations[0])
}

func (r *LogReport) violated(format string, args ...any) {
	if len(r.Violations) < maxViolations {
		r.Violations = append(r.Violations, fmt.Sprintf(format, args...))
	} else {
		r.Unnamed++
	}
}

// CheckLog verifies the Raft log in the data folder dir, whose store is at the entry applied: terms
// never fall, all entries can be read, term and vote can be read, and the log continues where the
// store ends, without gaps. Among the entries that the store already contains there may be a gap,
// or the log may end before the last of them: that is so after a node has installed a leader's
// state. A folder that a start would refuse, because it can't be told which node's it is, is an
// error. The folder must not be in use by a node.
func CheckLog(dir string, applied uint64) (report LogReport, err error) {
	report.Violations = []string{}
	id, err := readIdentity(dir)
	if err == nil {
		err = id.checkLog(dir)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return report, err
	}
	unnamed := refuseUnnamed(dir, applied) // as a start does
	err = raftlog.Read(dir, func(log *raftlog.Store) error { return report.check(log, applied) })
	if unnamed != nil && (err == nil || errors.Is(err, ErrNoLog)) {
		return report, unnamed
	}
	return report, err
}

// ErrNoLog means that a data folder has no Raft log, like that of a node that was never part of a
// cluster.
var ErrNoLog = raftlog.ErrNone

func (r *LogReport) check(log *raftlog.Store, applied uint64) error {
	r.checkVote(log)
	first, last, err := log.Bounds()
	if err != nil {
		return err
	}
	r.First, r.Last = first, last
	if last == 0 {
		return nil
	}
	present := first - 1 // the last entry that is present
	for index := first; index <= last; index++ {
		if r.checkEntry(log, index) {
			r.checkGap(present+1, index-1, applied)
			present = index
		}
	}
	switch {
	case first > applied+1:
		r.violated("the log begins at entry %d but the store ends at entry %d: the entries in between are lost", first, applied)
	case last < applied:
		r.Notes = append(r.Notes, fmt.Sprintf("the log ends at entry %d but the store is at entry %d, "+
			"as after a crash while the state of the leader was taken over", last, applied))
	}
	if r.Term < r.LastTerm {
		r.violated("the node is in term %d, but the last entry of its log is of term %d", r.Term, r.LastTerm)
	}
	return nil
}

// checkGap reports entries that are missing.
func (r *LogReport) checkGap(first, last, applied uint64) {
	switch {
	case first > last:
	case last > applied:
		r.violated("the entries %d to %d are missing, and the store ends at entry %d", first, last, applied)
	default:
		r.Notes = append(r.Notes, fmt.Sprintf("the entries %d to %d are missing; the store holds them, as after the state of the "+
			"leader was taken over", first, last))
	}
}

// checkEntry checks an entry and reports whether the log has it.
func (r *LogReport) checkEntry(log *raftlog.Store, index uint64) bool {
	entry := new(raft.Log)
	err := log.GetLog(index, entry)
	if errors.Is(err, raft.ErrLogNotFound) {
		return false
	}
	if err != nil {
		r.violated("entry %d can't be read: %v", index, err)
		return true
	}
	r.Entries++
	r.Bytes += int64(len(entry.Data))
	if entry.Term < r.LastTerm || entry.Term == 0 {
		r.violated("entry %d is of term %d, but one before it is of term %d", index, entry.Term, r.LastTerm)
	}
	r.LastTerm = max(r.LastTerm, entry.Term)
	switch entry.Type {
	case raft.LogCommand:
		_, commands, err := decodeEntry(entry.Data)
		if err != nil {
			r.violated("the commands of entry %d can't be read: %v", index, err)
		}
		r.Commands += len(commands)
	case raft.LogConfiguration:
		r.checkConfiguration(index, entry.Data)
	case raft.LogNoop, raft.LogBarrier:
	default:
		r.violated("entry %d is of type %s, which is never written", index, entry.Type)
	}
	return true
}

// checkConfiguration checks a configuration. Raft's decoder panics if it is damaged.
func (r *LogReport) checkConfiguration(index uint64, data []byte) {
	defer func() {
		if damage := recover(); damage != nil {
			r.violated("the configuration in entry %d can't be read: %v", index, damage)
		}
	}()
	if len(raft.DecodeConfiguration(data).Servers) == 0 {
		r.violated("the configuration in entry %d has no servers", index)
	}
}

func (r *LogReport) checkVote(log *raftlog.Store) {
	var err error
	if r.Term, err = log.Votes().GetUint64([]byte("CurrentTerm")); err != nil && !errors.Is(err, raftlog.ErrNoKey) {
		r.violated("the term of the node can't be read: %v", err)
	}
	term, candidate, err := log.Votes().Vote()
	if err != nil && !errors.Is(err, raftlog.ErrNoKey) {
		r.violated("the last vote of the node can't be read: %v", err)
	}
	r.VoteTerm, r.Vote = term, string(candidate)
	if r.VoteTerm > r.Term {
		r.violated("the node is in term %d, but has voted in term %d", r.Term, r.VoteTerm)
	}
}

// ErrNoEntries means that a log does not have the requested entries.
var ErrNoEntries = errors.New("the log does not hold those entries")

// CatchUp applies the entries that machine lacks, up to the entry to, from the log in the data
// folder dir, which must have that entry in that term: then all entries before it are the same as
// on every other node that has it. The folder must not be in use by a node.
func CatchUp(dir string, machine StateMachine, to, term uint64) error {
	return raftlog.Read(dir, func(log *raftlog.Store) error {
		from := machine.Applied() + 1
		first, last, err := log.Bounds()
		if err != nil {
			return err
		}
		if last < to || first == 0 || first > from {
			return fmt.Errorf("%w: it has entries %d to %d, but %d to %d are needed", ErrNoEntries, first, last, from, to)
		}
		end := new(raft.Log)
		if err := log.GetLog(to, end); err != nil {
			return err
		}
		if end.Term != term {
			return fmt.Errorf("%w: its entry %d is of term %d, not %d", ErrNoEntries, to, end.Term, term)
		}
		for index := from; index <= to; index++ {
			err := applyEntry(log, machine, index)
			if errors.Is(err, raft.ErrLogNotFound) {
				return fmt.Errorf("%w: it lacks entry %d", ErrNoEntries, index)
			}
			if err != nil {
				return fmt.Errorf("entry %d: %w", index, err)
			}
		}
		return machine.Commit()
	})
}

func applyEntry(log *raftlog.Store, machine StateMachine, index uint64) error {
	entry := new(raft.Log)
	if err := log.GetLog(index, entry); err != nil {
		return err
	}
	switch entry.Type {
	case raft.LogCommand:
		now, commands, err := decodeEntry(entry.Data)
		if err != nil {
			return err
		}
		_, err = machine.Apply(entry.Index, entry.Term, now, commands)
		return err
	case raft.LogConfiguration:
		return machine.Configure(entry.Index, entry.Term, entry.Data)
	default:
		return nil
	}
}
