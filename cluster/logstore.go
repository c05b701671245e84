package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	boltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
)

// errNoKey is what the store says of a key that was never set.
var errNoKey = boltdb.ErrKeyNotFound

// stallLimit is how long a write to the log may take. A disk that hangs would keep a leader in office that can't commit.
const stallLimit = 10 * time.Second

// lockPatience is for the lock of a process that was killed just now.
const lockPatience = 10 * time.Second

// logStore keeps the Raft log, the term and the vote, and fails stop: after an error or a hang of the disk nobody knows what
// is on it, so the node must not go on as if it did.
type logStore struct {
	*boltdb.BoltStore
	fatal  func(error)
	needed func() uint64 // the first entry that must not be cut, because a follower is about to ask for it; 0: none

	path    string
	stall   time.Duration // how long a write may take
	running atomic.Bool   // Raft uses it
	once    sync.Once
	failed  chan struct{} // closed when Raft is held up because a write or a read failed
	pace    pace          // of its writes

	swap  sync.RWMutex // held while BoltStore is in use; compact replaces it
	sizes entrySizes
	limit func() int64  // how many bytes of entries there may be before the log is cut
	grown chan struct{} // there are more

	mu       sync.Mutex
	voteTerm uint64 // announced by SetUint64, written together with the candidate
}

// logPath is where the log is in the data folder dir.
func logPath(dir string) string { return filepath.Join(dir, "raft", "log.db") }

// openLogStore opens the log in the data folder dir, or makes one.
func openLogStore(dir string, fatal func(error)) (*logStore, error) {
	path := logPath(dir)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("making the folder of the log: %w", err)
	}
	s := &logStore{fatal: fatal, needed: func() uint64 { return 0 }, path: path, stall: stallLimit,
		limit: func() int64 { return defaultLogSize }, grown: make(chan struct{}, 1), failed: make(chan struct{})}
	err := safely(func() (err error) {
		if err := lookThrough(path, &s.sizes); err != nil {
			return err
		}
		s.BoltStore, err = openBolt(path)
		return err
	})
	switch {
	case errors.Is(err, bbolt.ErrTimeout):
		return nil, fmt.Errorf("%s is in use by another process: is this node running already?", path)
	case errors.Is(err, errDamagedLog), errors.Is(err, bbolt.ErrInvalid), errors.Is(err, bbolt.ErrChecksum), errors.Is(err, bbolt.ErrVersionMismatch):
		return nil, fmt.Errorf("%w: %w", damagedLog(path), err)
	case err != nil:
		return nil, fmt.Errorf("opening the log in %s: %w", dir, err)
	}
	return s, nil
}

func openBolt(path string) (*boltdb.BoltStore, error) {
	return boltdb.New(boltdb.Options{
		Path:   path,
		NoSync: noSync, // it overwrites that of BoltOptions
		BoltOptions: &bbolt.Options{
			Timeout:        lockPatience,
			NoFreelistSync: true,
			FreelistType:   bbolt.FreelistMapType,
		},
	})
}

// guard runs a write under the watchdog and stops the node if it fails.
func (s *logStore) guard(what string, write func() error) error {
	defer s.watch(what)()
	s.swap.RLock()
	defer s.swap.RUnlock()
	defer s.pace.begin()()
	if err := safely(write); err != nil {
		return s.fail(fmt.Errorf("%s: %w", what, err))
	}
	return nil
}

// fail stops the node. Raft panics over some of the errors that it gets from its log, and goes on after others, so while it uses
// this one, it never gets any: its goroutine waits here for the process to end.
func (s *logStore) fail(err error) error {
	s.fatal(err)
	if s.running.Load() {
		s.once.Do(func() { close(s.failed) })
		select {}
	}
	return err
}

// stallSteps is in how many steps a write's time is counted. Time for which this process or its machine stood still is one step, however
// long it was: it says nothing of the disk.
const stallSteps = 10

// watch stops the node if a write takes too long, until the function that it returns is called.
func (s *logStore) watch(what string) (end func()) {
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

// DeleteRange cuts the log at its end, when a leader has another one, or at its beginning. Raft asks for nearly all to go that the
// state machine holds; spare says how much of that stays.
func (s *logStore) DeleteRange(first, last uint64) error {
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

// cutStep is how many entries leave the log's beginning at once: nothing is written to it meanwhile. At its end all must leave together,
// for a crash would leave a gap.
const cutStep = 128

func (s *logStore) cut(first, last uint64) error {
	err := s.guard("cutting the log", func() error { return s.BoltStore.DeleteRange(first, last) })
	if err == nil {
		s.sizes.remove(first, last)
	}
	return err
}

// spare is last, or less if an entry up to there is worth keeping: a follower that was away for a while may ask for the newest ones, and one
// that is being sent the state as it was at some entry will ask for what comes after, or would have to be sent it again and again.
func (s *logStore) spare(last uint64) uint64 {
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

// Raft writes a vote in two steps, term and candidate. A crash between them would let this node vote twice in one term
// (hashicorp/raft #661), so the two are one record here, written with the second step.
var (
	keyVoteTerm      = []byte("LastVoteTerm")
	keyVoteCandidate = []byte("LastVoteCand")
	keyVote          = []byte("Vote") // term, 8 bytes | candidate
)

func (s *logStore) SetUint64(key []byte, value uint64) error {
	if string(key) == string(keyVoteTerm) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.voteTerm = value
		return nil
	}
	return s.guard("writing the term", func() error { return s.BoltStore.SetUint64(key, value) })
}

func (s *logStore) Set(key, value []byte) error {
	if string(key) == string(keyVoteCandidate) {
		s.mu.Lock()
		vote := append(binary.BigEndian.AppendUint64(nil, s.voteTerm), value...)
		s.mu.Unlock()
		key, value = keyVote, vote
	}
	return s.guard("writing the vote", func() error { return s.BoltStore.Set(key, value) })
}

func (s *logStore) GetUint64(key []byte) (uint64, error) {
	if string(key) == string(keyVoteTerm) {
		term, _, err := s.vote()
		return term, err
	}
	s.swap.RLock()
	defer s.swap.RUnlock()
	return s.BoltStore.GetUint64(key)
}

func (s *logStore) Get(key []byte) ([]byte, error) {
	if string(key) == string(keyVoteCandidate) {
		_, candidate, err := s.vote()
		return candidate, err
	}
	s.swap.RLock()
	defer s.swap.RUnlock()
	return s.BoltStore.Get(key)
}

func (s *logStore) vote() (term uint64, candidate []byte, err error) {
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
