package raftlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"sync"
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

// Votes stores the term and the vote of a node.
type Votes struct {
	path string
	disk *watchdog
	bolt *boltdb.BoltStore

	mu   sync.Mutex
	term uint64 // of the vote, announced by SetUint64, written together with the candidate
}

// Votes returns what stores the term and the vote.
func (s *Store) Votes() *Votes { return s.votes }

// openVotes opens the file with the term and the vote, or creates it.
func openVotes(path string, disk *watchdog) (*Votes, error) {
	v := &Votes{path: path, disk: disk}
	err := safely(func() (err error) {
		if err := lookThrough(path); err != nil {
			return err
		}
		v.bolt, err = openBolt(path)
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
	return v, nil
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

func (v *Votes) SetUint64(key []byte, value uint64) error {
	if string(key) == string(keyVoteTerm) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.term = value
		return nil
	}
	return v.write("writing the term", func() error { return v.bolt.SetUint64(key, value) })
}

func (v *Votes) Set(key, value []byte) error {
	if string(key) == string(keyVoteCandidate) {
		v.mu.Lock()
		vote := append(binary.BigEndian.AppendUint64(nil, v.term), value...)
		v.mu.Unlock()
		key, value = keyVote, vote
	}
	return v.write("writing the vote", func() error { return v.bolt.Set(key, value) })
}

func (v *Votes) write(what string, write func() error) error {
	return v.disk.guard(what, func() error {
		if err := safely(write); err != nil {
			return fmt.Errorf("%s: %w", v.path, err)
		}
		return nil
	})
}

func (v *Votes) GetUint64(key []byte) (value uint64, err error) {
	if string(key) == string(keyVoteTerm) {
		term, _, err := v.Vote()
		return term, err
	}
	err = safely(func() (err error) {
		value, err = v.bolt.GetUint64(key)
		return err
	})
	return value, err
}

func (v *Votes) Get(key []byte) ([]byte, error) {
	if string(key) == string(keyVoteCandidate) {
		_, candidate, err := v.Vote()
		return candidate, err
	}
	return v.bolt.Get(key)
}

func (v *Votes) Vote() (term uint64, candidate []byte, err error) {
	var vote []byte
	err = safely(func() (err error) {
		vote, err = v.bolt.Get(keyVote)
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
