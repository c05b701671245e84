package raftlog

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/raft"

	"hookwheel/cluster/journal"
)

// Store stores the Raft log, the term and the vote. It is fail-stop: after an error or a hang of
// the disk, its content is unknown, so the node must stop.
type Store struct {
	log    *journal.Journal
	votes  *Votes
	disk   *watchdog
	needed func() uint64 // Options.Needed

	dir     string                   // of log and votes
	base    atomic.Pointer[raft.Log] // see SetBase
	written atomic.Uint64            // how often the log was written
	settled uint64                   // written, when Settle was called last

	expired atomic.Uint64 // see Expire

	limit func() int64  // Options.Limit
	grown chan struct{} // there are more
	alone atomic.Bool   // see SetAlone
}

// Dir returns the folder of the log in the data folder dir.
func Dir(dir string) string { return filepath.Join(dir, "raft") }

func logDir(dir string) string    { return filepath.Join(dir, "log") }
func votesPath(dir string) string { return filepath.Join(dir, "vote.db") }

// Options are what a Store needs to know about its node.
type Options struct {
	// Fatal is called with the reason why the node can't continue.
	Fatal func(error)
	// Limit returns how many bytes of entries there may be before the log is cut; nil: 1 GiB.
	Limit func() int64
	// Needed returns the first entry that must not be cut, because a follower is about to ask for
	// it; 0: none. nil: always 0.
	Needed func() uint64
}

// Open opens the log in the data folder dir, or creates it.
func Open(dir string, options Options) (*Store, error) {
	s := &Store{disk: newWatchdog(options.Fatal), needed: options.Needed, dir: Dir(dir), limit: options.Limit, grown: make(chan struct{}, 1)}
	if s.needed == nil {
		s.needed = func() uint64 { return 0 }
	}
	if s.limit == nil {
		s.limit = func() int64 { return defaultLogSize }
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the log: %w", err)
	}
	if err := s.open(dir); err != nil {
		return nil, err
	}
	return s, nil
}

// open opens the votes first: their file is locked, which keeps other processes away from both.
func (s *Store) open(dir string) (err error) {
	present := Present(dir)
	if present != nil && !errors.Is(present, ErrNone) && !errors.Is(present, errNoEntries) {
		return present
	}
	if s.votes, err = openVotes(votesPath(s.dir), s.disk); err != nil {
		return err
	}
	if errors.Is(present, errNoEntries) {
		if _, err := s.votes.GetUint64(keyCurrentTerm); !errors.Is(err, ErrNoKey) { // else it crashed when it was new
			return errors.Join(present, err, s.votes.bolt.Close())
		}
	}
	s.log, err = journal.Open(logDir(s.dir), journal.Options{SegmentSize: s.segmentSize, Budget: s.fileBudget, NoSync: noSync})
	if err == nil {
		return nil
	}
	if errors.Is(err, journal.ErrDamaged) {
		err = fmt.Errorf("the log is damaged: %w. %s", err, AfterDamage)
	} else {
		err = withRemedy(fmt.Errorf("opening the log: %w", err))
	}
	return errors.Join(err, s.votes.bolt.Close())
}

var (
	// ErrNone means that a data folder has no log.
	ErrNone      = errors.New("there is no log")
	errNoEntries = errors.New("the entries of the log are lost")
	errNoVotes   = errors.New("the term and the vote of the node are lost")
)

// Present returns an error unless the data folder dir has a log: ErrNone if it has nothing of one.
func Present(dir string) error {
	dir = Dir(dir)
	if err := refuseOld(dir); err != nil {
		return err
	}
	votes, entries := votesPath(dir), logDir(dir)
	info, err := os.Stat(votes)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	hasVotes := err == nil && info.Size() > 0
	files, err := os.ReadDir(entries)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	hasEntries := slices.ContainsFunc(files, func(file fs.DirEntry) bool { return strings.HasSuffix(file.Name(), journal.Suffix) })
	switch {
	case hasVotes && hasEntries:
		return nil
	case hasVotes:
		return fmt.Errorf("%w: %s is missing or empty. %s", errNoEntries, entries, AfterDamage)
	case hasEntries:
		return fmt.Errorf("%w: %s is missing or empty. %s", errNoVotes, votes, AfterDamage)
	}
	return fmt.Errorf("%w: %s and %s are missing or empty", ErrNone, votes, entries)
}

// refuseOld returns an error if a version before the first release has left its log.
func refuseOld(dir string) error {
	path := filepath.Join(dir, "log.db")
	_, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%s is a log of a version before the first release, which this version can't read. Take a backup "+
		"with the version that wrote it and restore that, or move the whole data folder of this node away and start it empty: "+
		"it gets its data from the others", path)
}

// Read opens the log of a node that is not running, and closes it when use returns. If use
// encounters damage, Read returns an error.
func Read(dir string, use func(*Store) error) error {
	if err := Present(dir); err != nil {
		return err
	}
	log, err := Open(dir, Options{Fatal: func(err error) { slog.Error("the log can't be read", "error", err) }})
	if err != nil {
		return err
	}
	return errors.Join(use(log), log.Close())
}

// Close closes the files.
func (s *Store) Close() error { return errors.Join(s.log.Close(), s.votes.bolt.Close()) }

// Bounds returns the first and the last entry, or 0 and 0 if the log is empty.
func (s *Store) Bounds() (first, last uint64, err error) {
	if first, err = s.FirstIndex(); err != nil {
		return 0, 0, err
	}
	last, err = s.LastIndex()
	return first, last, err
}

// HoldFailures makes each call that fails from now on block until the process ends: see
// watchdog.fail.
func (s *Store) HoldFailures() { s.disk.running.Store(true) }

// Failed returns a channel that is closed when a call blocks in this way.
func (s *Store) Failed() <-chan struct{} { return s.disk.failed }

// DeleteRange cuts the log at its end, when the log of the leader differs, or at its beginning.
// Raft requests to delete nearly all entries that the state machine has applied; spare limits
// that.
func (s *Store) DeleteRange(first, last uint64) error {
	begin, end := s.log.Bounds()
	switch {
	case end == 0 || first > last || first > end || last < begin:
		return nil
	case last >= end:
		return s.disk.guard("cutting the log", func() error { return s.log.DropFrom(first) })
	case first > begin:
		return fmt.Errorf("entries %d to %d are in the middle of the log, which has entries %d to %d", first, last, begin, end)
	}
	if last = s.spare(last); last < begin {
		return nil
	}
	return s.disk.guard("cutting the log", func() error { return s.log.DropBefore(last + 1) })
}

// SetAlone says whether no other node reads the log. Then fewer entries are kept, so that files
// are used again sooner: a new one is written twice, the first time with zeros.
func (s *Store) SetAlone(alone bool) { s.alone.Store(alone) }

// Expire says that the next cut need not keep entries up to an index for followers. The state
// machine has them.
func (s *Store) Expire(index uint64) { s.expired.Store(index) }

// Renew makes the bytes of all entries that there are leave the files once the entries are cut,
// and returns the last of these entries, or 0 if it can't yet, because the disk is full.
func (s *Store) Renew() (last uint64, err error) {
	last, done, err := s.log.Renew()
	if err != nil {
		return 0, s.disk.fail(withRemedy(fmt.Errorf("beginning a new file of the log: %w", err)))
	}
	if !done {
		return 0, nil
	}
	return last, nil
}

// NoteRenewal writes for a later process what Renewed returns. After an error other than of I/O the
// log goes on.
func (s *Store) NoteRenewal() error {
	err := s.log.NoteRenewal()
	if errors.Is(err, syscall.EIO) {
		return s.disk.fail(withRemedy(fmt.Errorf("noting that a new file of the log was begun: %w", err)))
	}
	return err
}

// Renewed returns what Renew returned the last time that it did more than nothing, in an earlier
// process perhaps if that called NoteRenewal, and when that was by the clock of this machine; zero:
// it is not known.
func (s *Store) Renewed() (last uint64, at time.Time) { return s.log.Renewed() }

// spare returns last, or less if an entry up to there is worth keeping. A follower that was down
// for a while may ask for the newest entries, unless these have expired. A follower that is being
// sent the state will ask for the entries after it, and without them would have to be sent the
// state again and again.
func (s *Store) spare(last uint64) uint64 {
	limit, entries := s.limit(), keptEntries
	if s.alone.Load() {
		entries = keptAlone
	}
	kept := max(s.log.Newest(entries, limit/2), s.expired.Load()+1)
	if needed := s.needed(); needed > 0 && s.log.Bytes() < heldFactor*limit {
		kept = min(kept, needed)
	}
	return min(last, kept-1)
}
