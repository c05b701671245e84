package raftlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"time"

	boltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// ErrNoKey is the error for a key that was never set.
var ErrNoKey = boltdb.ErrKeyNotFound

// lockPatience is how long to wait for the lock of a process that was just killed.
const lockPatience = 10 * time.Second

// Raft writes a vote in two steps, term and candidate. A crash between them would let this node
// vote twice in one term (hashicorp/raft #661), so the two are one record here, written with the
// second step.
var (
	keyCurrentTerm   = []byte("CurrentTerm")
	keyVoteTerm      = []byte("LastVoteTerm")
	keyVoteCandidate = []byte("LastVoteCand")
	keyVote          = []byte("Vote") // term, 8 bytes | candidate
)

// openVotes opens the file with the term and the vote, or creates it.
func openVotes(path string) (votes *boltdb.BoltStore, err error) {
	err = safely(func() (err error) {
		if err := lookThrough(path); err != nil {
			return err
		}
		votes, err = openBolt(path)
		return err
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%s is in use by another process: is this node running already?", path)
	case errors.Is(err, errDamagedVotes), errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		return nil, fmt.Errorf("%s is damaged: %w. %s", path, err, AfterDamage)
	case err != nil:
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	return votes, nil
}

var errDamagedVotes = errors.New("it does not hold what was written")

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

// safely turns bolt's reactions to a damaged file into an error: bolt panics, or reads mapped
// memory that a truncated file no longer backs.
func safely(act func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("%w: %v", errDamagedVotes, reason)
		}
	}()
	return act()
}

// lookThrough walks through all pages of the file. It does so before bolt walks them in a goroutine
// of its own, where a panic could not be recovered.
func lookThrough(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && info.Size() == 0: // it is new, or was new when the node crashed
		return nil
	case err != nil:
		return err
	case info.Size() < 4*int64(os.Getpagesize()):
		return fmt.Errorf("%w: it has %d bytes, less than an empty one", errDamagedVotes, info.Size())
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: lockPatience})
	if err != nil {
		return err
	}
	err = db.View(func(tx *bbolt.Tx) error {
		if tx.Size() > info.Size() {
			return fmt.Errorf("%w: it is cut, %d bytes of %d are there", errDamagedVotes, info.Size(), tx.Size())
		}
		return tx.ForEach(func(_ []byte, bucket *bbolt.Bucket) error {
			var last []byte
			cursor := bucket.Cursor()
			for key, _ := cursor.First(); key != nil; key, _ = cursor.Next() {
				if last != nil && bytes.Compare(key, last) <= 0 {
					return errDamagedVotes
				}
				last = key
			}
			return nil
		})
	})
	return errors.Join(err, db.Close())
}

func (s *Store) SetUint64(key []byte, value uint64) error {
	if string(key) == string(keyVoteTerm) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.voteTerm = value
		return nil
	}
	return s.writeVotes("writing the term", func() error { return s.votes.SetUint64(key, value) })
}

func (s *Store) Set(key, value []byte) error {
	if string(key) == string(keyVoteCandidate) {
		s.mu.Lock()
		vote := append(binary.BigEndian.AppendUint64(nil, s.voteTerm), value...)
		s.mu.Unlock()
		key, value = keyVote, vote
	}
	return s.writeVotes("writing the vote", func() error { return s.votes.Set(key, value) })
}

func (s *Store) writeVotes(what string, write func() error) error {
	return s.guard(what, func() error {
		if err := safely(write); err != nil {
			return fmt.Errorf("%s: %w", votesPath(s.dir), err)
		}
		return nil
	})
}

func (s *Store) GetUint64(key []byte) (value uint64, err error) {
	if string(key) == string(keyVoteTerm) {
		term, _, err := s.Vote()
		return term, err
	}
	err = safely(func() (err error) {
		value, err = s.votes.GetUint64(key)
		return err
	})
	return value, err
}

func (s *Store) Get(key []byte) ([]byte, error) {
	if string(key) == string(keyVoteCandidate) {
		_, candidate, err := s.Vote()
		return candidate, err
	}
	return s.votes.Get(key)
}

func (s *Store) Vote() (term uint64, candidate []byte, err error) {
	var vote []byte
	err = safely(func() (err error) {
		vote, err = s.votes.Get(keyVote)
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
