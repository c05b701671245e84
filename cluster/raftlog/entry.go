package raftlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"runtime/debug"

	"github.com/hashicorp/raft"
	boltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
)

// On disk, the extensions of each entry contain a checksum over the whole entry. bolt has checksums
// only for the heads of its own pages, and an entry that a disk has changed must never be applied
// or sent to a follower.
//
//	extensions   CRC-32C 4 over index, term, type, data and what follows | extensions of the entry
const sealSize = 4

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	ErrDamaged = errors.New("it does not hold what was written")
)

// AfterDamage is what to do when the log can't be used.
const AfterDamage = "Move the whole data folder of this node away and start it empty: it gets its data from the others. " +
	"Should the others be lost, or should there be none, `hookwheel check` says what the store holds"

func damagedAt(path string) error { return fmt.Errorf("the log %s is damaged. %s", path, AfterDamage) }

// seal returns an entry in its form on disk.
func seal(entry *raft.Log) *raft.Log {
	sealed := *entry
	sealed.Extensions = append(binary.BigEndian.AppendUint32(nil, sumOf(entry, entry.Extensions)), entry.Extensions...)
	return &sealed
}

// unseal reverses seal, after it has verified the checksum.
func unseal(entry *raft.Log) error {
	if len(entry.Extensions) < sealSize {
		return ErrDamaged
	}
	sum, extensions := binary.BigEndian.Uint32(entry.Extensions), entry.Extensions[sealSize:]
	if sum != sumOf(entry, extensions) {
		return ErrDamaged
	}
	if entry.Extensions = extensions; len(extensions) == 0 {
		entry.Extensions = nil
	}
	return nil
}

func sumOf(entry *raft.Log, extensions []byte) uint32 {
	var head [17]byte
	binary.BigEndian.PutUint64(head[:], entry.Index)
	binary.BigEndian.PutUint64(head[8:], entry.Term)
	head[16] = byte(entry.Type)
	sum := crc32.Update(crc32.Checksum(head[:], castagnoli), castagnoli, entry.Data)
	return crc32.Update(sum, castagnoli, extensions)
}

// safely turns bolt's reactions to a damaged file into an error: bolt panics, or reads mapped
// memory that a truncated file no longer backs.
func safely(act func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, reason)
		}
	}()
	return act()
}

// lookThrough walks through all pages of the file and records the sizes of the entries. It does so
// before bolt walks them in a goroutine of its own, where a panic could not be recovered.
func lookThrough(path string, sizes *entrySizes) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && info.Size() == 0: // it is new, or was new when the node crashed
		return nil
	case err != nil:
		return err
	case info.Size() < 4*int64(os.Getpagesize()):
		return fmt.Errorf("%w: it has %d bytes, less than an empty one", ErrDamaged, info.Size())
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true, Timeout: lockPatience})
	if err != nil {
		return err
	}
	err = db.View(func(tx *bbolt.Tx) error {
		if tx.Size() > info.Size() {
			return fmt.Errorf("%w: it is cut, %d bytes of %d are there", ErrDamaged, info.Size(), tx.Size())
		}
		return tx.ForEach(func(name []byte, bucket *bbolt.Bucket) error {
			var last []byte
			cursor := bucket.Cursor()
			for key, value := cursor.First(); key != nil; key, value = cursor.Next() {
				if last != nil && bytes.Compare(key, last) <= 0 {
					return ErrDamaged
				}
				last = key
				if string(name) == "logs" && len(key) == 8 {
					sizes.list = append(sizes.list, entrySize{binary.BigEndian.Uint64(key), int64(len(value))})
					sizes.total += int64(len(value))
				}
			}
			return nil
		})
	})
	return errors.Join(err, db.Close())
}

// storeLogs returns when the entries are on stable storage.
func (s *Store) storeLogs(logs []*raft.Log) error {
	sealed := make([]*raft.Log, len(logs))
	for i, entry := range logs {
		sealed[i] = seal(entry)
	}
	err := s.guard("writing the log", func() error { return s.BoltStore.StoreLogs(sealed) })
	if err != nil {
		return err
	}
	s.sizes.add(sealed)
	if s.sizes.bytes() > s.limit() {
		select {
		case s.grown <- struct{}{}:
		default:
		}
	}
	return nil
}

func (s *Store) StoreLog(log *raft.Log) error { return s.StoreLogs([]*raft.Log{log}) }

// GetLog reads an entry.
func (s *Store) GetLog(index uint64, entry *raft.Log) error {
	err := s.read(index, entry)
	if base := s.base.Load(); base != nil && index == base.Index && errors.Is(err, raft.ErrLogNotFound) {
		*entry = *base
		return nil
	}
	if err == nil || errors.Is(err, raft.ErrLogNotFound) {
		return err
	}
	return s.fail(fmt.Errorf("%w (entry %d: %w)", damagedAt(s.path), index, err))
}

// SetBase sets the entry that the log follows, after a state that ends with that entry was
// installed. GetLog returns it, with its term but without content, if the log does not have it.
//
// A leader that did not learn that the first entries after the state were appended sends them
// again, and Raft then looks for the entry before them, in the log if that has later entries.
// Without the base, the leader would go back through its whole log, one entry per call, and send
// the state again. The base is never read in order to be replicated: that would take the entry
// before it, which the log does not have.
func (s *Store) SetBase(index, term uint64) {
	if index > 1 {
		s.base.Store(&raft.Log{Index: index, Term: term, Type: raft.LogNoop})
	}
}

// read reads an entry and verifies it.
func (s *Store) read(index uint64, entry *raft.Log) error {
	err := safely(func() error {
		s.swap.RLock()
		defer s.swap.RUnlock()
		if err := s.BoltStore.GetLog(index, entry); err != nil {
			return err
		}
		return unseal(entry)
	})
	if err == nil && entry.Index != index {
		err = ErrDamaged
	}
	return err
}

// FirstIndex and LastIndex are 0 if the log is empty.
func (s *Store) FirstIndex() (uint64, error) { return s.bound((*boltdb.BoltStore).FirstIndex) }
func (s *Store) LastIndex() (uint64, error)  { return s.bound((*boltdb.BoltStore).LastIndex) }

func (s *Store) bound(read func(*boltdb.BoltStore) (uint64, error)) (index uint64, err error) {
	s.swap.RLock()
	defer s.swap.RUnlock()
	err = safely(func() (err error) {
		index, err = read(s.BoltStore)
		return err
	})
	if err != nil {
		err = s.fail(fmt.Errorf("%w (%w)", damagedAt(s.path), err))
	}
	return index, err
}
