package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"github.com/hashicorp/raft"

	"hookwheel/cluster/journal"
)

// The content of an entry in the journal:
//
//	term 8 | type 1 | length of the extensions 4 | data | extensions
const headSize = 13

// AfterDamage is what to do when the log can't be used.
const AfterDamage = "Move the whole data folder of this node away and start it empty: it gets its data from the others. " +
	"Should the others be lost, or should there be none, `hookwheel check` says what the store holds"

// withRemedy adds to an error of the disk what to do.
func withRemedy(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w. Make room on the disk and start the node again: it has all that it acknowledged", err)
	case errors.Is(err, syscall.EIO), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.ENXIO), errors.Is(err, syscall.ENODEV):
		return fmt.Errorf("%w. The kernel's log says what is wrong with the disk. Start the node again when the disk works; "+
			"if it is lost, start the node with an empty data folder, and it gets its data from the other nodes, if there are any", err)
	}
	return err
}

func encode(entry *raft.Log) journal.Entry {
	head := make([]byte, 0, headSize)
	head = binary.BigEndian.AppendUint64(head, entry.Term)
	head = append(head, byte(entry.Type))
	head = binary.BigEndian.AppendUint32(head, uint32(len(entry.Extensions)))
	return journal.Entry{Index: entry.Index, Parts: [][]byte{head, entry.Data, entry.Extensions}}
}

// decode returns an entry that shares the memory of content.
func decode(index uint64, content []byte, entry *raft.Log) error {
	if len(content) < headSize {
		return journal.ErrDamaged
	}
	rest := len(content) - headSize - int(binary.BigEndian.Uint32(content[9:]))
	if rest < 0 {
		return journal.ErrDamaged
	}
	*entry = raft.Log{Index: index, Term: binary.BigEndian.Uint64(content), Type: raft.LogType(content[8])}
	data, extensions := content[headSize:headSize+rest:headSize+rest], content[headSize+rest:]
	if len(data) > 0 {
		entry.Data = data
	}
	if len(extensions) > 0 {
		entry.Extensions = extensions
	}
	return nil
}

// storeLogs returns when the entries are on stable storage.
func (s *Store) storeLogs(logs []*raft.Log) error {
	entries := make([]journal.Entry, len(logs))
	for i, entry := range logs {
		entries[i] = encode(entry)
	}
	if err := s.disk.guard("writing the log", func() error { return s.log.Append(entries) }); err != nil {
		return err
	}
	s.written.Add(1)
	if s.log.Bytes() > s.limit() {
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
	return s.disk.fail(err)
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
	content, found, err := s.log.Read(index)
	if err == nil && !found {
		return raft.ErrLogNotFound
	}
	if err == nil {
		err = decode(index, content, entry)
	}
	if err != nil {
		return fmt.Errorf("the log is damaged (entry %d): %w. %s", index, err, AfterDamage)
	}
	return nil
}

// FirstIndex and LastIndex are 0 if the log is empty.
func (s *Store) FirstIndex() (uint64, error) {
	first, _ := s.log.Bounds()
	return first, nil
}

func (s *Store) LastIndex() (uint64, error) {
	_, last := s.log.Bounds()
	return last, nil
}
