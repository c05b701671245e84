package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
	boltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// ErrNoKey is the error for a key that was never set.
var ErrNoKey = boltdb.ErrKeyNotFound

// stallLimit is how long a write to the log may take. Otherwise a leader whose disk hangs would
// stay leader, but could not commit.
const stallLimit = 10 * time.Second

// lockPatience is how long to wait for the lock of a process that was just killed.
const lockPatience = 10 * time.Second

// Store stores the Raft log, the term and the vote. It is fail-stop: after an error or a hang of
// the disk, its content is unknown, so the node must stop.
type Store struct {
	*boltdb.BoltStore
	fatal  func(error)
	needed func() uint64 // Options.Needed

	path    string
	stall   time.Duration // how long a write may take
	running atomic.Bool   // Raft uses it: see HoldFailures
	once    sync.Once
	failed  chan struct{} // closed when Raft is blocked because a write or a read failed
	pace    pace          // of its writes
	scrub   scrub
	base    atomic.Pointer[raft.Log] // see SetBase

	swap  sync.RWMutex // held while BoltStore is in use; compact replaces it
	sizes entrySizes
	limit func() int64  // Options.Limit
	grown chan struct{} // there are more

	mu       sync.Mutex
	voteTerm uint64 // announced by SetUint64, written together with the candidate
}

// Path returns the path of the log in the data folder dir.
func Path(dir string) string { return filepath.Join(dir, "raft", "log.db") }

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
	path := Path(dir)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the log: %w", err)
	}
	s := &Store{fatal: options.Fatal, needed: options.Needed, path: path, stall: stallLimit,
		limit: options.Limit, grown: make(chan struct{}, 1), failed: make(chan struct{})}
	if s.needed == nil {
		s.needed = func() uint64 { return 0 }
	}
	if s.limit == nil {
		s.limit = func() int64 { return defaultLogSize }
	}
	err := safely(func() (err error) {
		if err := lookThrough(path, &s.sizes); err != nil {
			return err
		}
		if s.BoltStore, err = openBolt(path); err != nil {
			return err
		}
		if err := removeLeftover(path); err != nil {
			return errors.Join(err, s.BoltStore.Close())
		}
		return nil
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%s is in use by another process: is this node running already?", path)
	case errors.Is(err, ErrDamaged), errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("%w: %w", damagedAt(path), err)
	case err != nil:
		return nil, fmt.Errorf("opening the log in %s: %w", dir, err)
	}
	return s, nil
}

// ErrNone means that a data folder has no log.
var ErrNone = errors.New("there is no log")

// Read opens the log of a node that is not running, and closes it when use returns. If use
// encounters damage, Read returns an error.
func Read(dir string, use func(*Store) error) error {
	path := Path(dir)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w in %s", ErrNone, filepath.Dir(path))
	}
	log, err := Open(dir, Options{Fatal: func(err error) { slog.Error("the log can't be read", "error", err) }})
	if err != nil {
		return err
	}
	return errors.Join(safely(func() error { return use(log) }), log.Close())
}

func openBolt(path string) (*boltdb.BoltStore, error) {
	return boltdb.New(boltdb.Options{
		Path:   path,
		NoSync: noSync, // it overrides the value in BoltOptions
		BoltOptions: &bbolt.Options{
			Timeout:        lockPatience,
			NoFreelistSync: true,
			FreelistType:   bbolt.FreelistMapType,
		},
	})
}

// Path returns the path of the file.
func (s *Store) Path() string { return s.path }

// Bounds returns the first and the last entry, or 0 and 0 if the log is empty.
func (s *Store) Bounds() (first, last uint64, err error) {
	if first, err = s.FirstIndex(); err != nil {
		return 0, 0, err
	}
	last, err = s.LastIndex()
	return first, last, err
}

// HoldFailures makes each call that fails from now on block until the process ends: see fail.
func (s *Store) HoldFailures() { s.running.Store(true) }

// Failed returns a channel that is closed when a call blocks in this way.
func (s *Store) Failed() <-chan struct{} { return s.failed }

// guard runs a write under the watchdog and stops the node if it fails.
func (s *Store) guard(what string, write func() error) error {
	defer s.watch(what)()
	s.swap.RLock()
	defer s.swap.RUnlock()
	defer s.pace.begin()()
	if err := safely(write); err != nil {
		return s.fail(fmt.Errorf("%s: %w", what, err))
	}
	return nil
}

// fail stops the node. Raft panics on some errors of its log and continues after others. So while
// Raft uses the log, fail never returns: Raft's goroutine waits here for the process to end.
func (s *Store) fail(err error) error {
	s.fatal(err)
	if s.running.Load() {
		s.once.Do(func() { close(s.failed) })
		select {}
	}
	return err
}

// stallSteps is the number of steps in which the time of a write is counted. A pause of this
// process or its machine counts as a single step, however long it was, because it says nothing
// about the disk.
const stallSteps = 10

// watch stops the node if a write takes too long, until the function that it returns is called.
func (s *Store) watch(what string) (end func()) {
	var (
		ended atomic.Bool
		steps atomic.Int32
		timer *time.Timer
	)
	step := s.stall / stallSteps
	timer = time.AfterFunc(time.Hour, func() {
		switch {
		case ended.Load():
		case steps.Add(1) < stallSteps:
			timer.Reset(step)
		default:
			s.fatal(fmt.Errorf("the disk does not answer: %s takes more than %s", what, s.stall))
		}
	})
	timer.Reset(step)
	return func() {
		ended.Store(true)
		timer.Stop()
	}
}

// DeleteRange cuts the log at its end, when the log of the leader differs, or at its beginning.
// Raft requests to delete nearly all entries that the state machine has applied; spare limits that.
func (s *Store) DeleteRange(first, last uint64) error {
	end, err := s.LastIndex()
	if err != nil || last >= end {
		return s.cut(first, last)
	}
	last = s.spare(last)
	for ; first <= last; first += cutStep {
		if err := s.cut(first, min(last, first+cutStep-1)); err != nil {
			return err
		}
	}
	return nil
}

// cutStep is how many entries are cut at the beginning of the log in one transaction, which blocks
// writes. At the end, all entries are cut in one transaction, because a crash would otherwise leave
// a gap.
const cutStep = 128

func (s *Store) cut(first, last uint64) error {
	err := s.guard("cutting the log", func() error { return s.BoltStore.DeleteRange(first, last) })
	if err == nil {
		s.sizes.remove(first, last)
	}
	return err
}

// spare returns last, or less if an entry up to there is worth keeping. A follower that was down
// for a while may ask for the newest entries. A follower that is being sent the state will ask for
// the entries after it, and without them would have to be sent the state again and again.
func (s *Store) spare(last uint64) uint64 {
	limit := s.limit()
	kept := s.sizes.keep(keptEntries, limit/2)
	if needed := s.needed(); needed > 0 && s.sizes.bytes() < heldFactor*limit {
		kept = min(kept, needed)
	}
	if kept == 0 {
		return last
	}
	return min(last, kept-1)
}

// Raft writes a vote in two steps, term and candidate. A crash between them would let this node
// vote twice in one term (hashicorp/raft #661), so the two are one record here, written with the
// second step.
var (
	keyVoteTerm      = []byte("LastVoteTerm")
	keyVoteCandidate = []byte("LastVoteCand")
	keyVote          = []byte("Vote") // term, 8 bytes | candidate
)

func (s *Store) SetUint64(key []byte, value uint64) error {
	if string(key) == string(keyVoteTerm) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.voteTerm = value
		return nil
	}
	return s.guard("writing the term", func() error { return s.BoltStore.SetUint64(key, value) })
}

func (s *Store) Set(key, value []byte) error {
	if string(key) == string(keyVoteCandidate) {
		s.mu.Lock()
		vote := append(binary.BigEndian.AppendUint64(nil, s.voteTerm), value...)
		s.mu.Unlock()
		key, value = keyVote, vote
	}
	return s.guard("writing the vote", func() error { return s.BoltStore.Set(key, value) })
}

func (s *Store) GetUint64(key []byte) (uint64, error) {
	if string(key) == string(keyVoteTerm) {
		term, _, err := s.Vote()
		return term, err
	}
	s.swap.RLock()
	defer s.swap.RUnlock()
	return s.BoltStore.GetUint64(key)
}

func (s *Store) Get(key []byte) ([]byte, error) {
	if string(key) == string(keyVoteCandidate) {
		_, candidate, err := s.Vote()
		return candidate, err
	}
	s.swap.RLock()
	defer s.swap.RUnlock()
	return s.BoltStore.Get(key)
}

func (s *Store) Vote() (term uint64, candidate []byte, err error) {
	s.swap.RLock()
	defer s.swap.RUnlock()
	var vote []byte
	err = safely(func() (err error) {
		vote, err = s.BoltStore.Get(keyVote)
		return err
	})
	if err != nil {
		return 0, nil, err // boltdb.ErrKeyNotFound is what Raft expects of a node that has never voted
	}
	if len(vote) < 8 {
		return 0, nil, errors.New("the record of the last vote is damaged")
	}
	return binary.BigEndian.Uint64(vote), vote[8:], nil
}
