package raftlog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/hashicorp/raft"
	"go.etcd.io/bbolt"

	"hookwheel/durable"
)

// The log is cut by entries and by bytes. A follower that was down reads the newest entries from
// it, which is cheaper than sending it the state as long as they are smaller than the state.
const (
	keptEntries    = 4096       // the log is cut to so many entries, or to fewer if they are larger than half its limit
	defaultLogSize = 1 << 30    // bytes, if Config has no limit
	heldFactor     = 4          // for a follower that is being sent the state, up to so many times the limit is kept
	compactSlack   = 4 << 20    // free bytes of the file for which a compaction is not worthwhile
	maxCompacted   = 64 << 20   // bytes of entries that a compaction copies, which blocks writes
	compactSuffix  = ".compact" // of the file that is to replace the log
)

// entrySizes are the sizes of the entries in the log, in order of their index.
type entrySizes struct {
	mu    sync.Mutex
	list  []entrySize
	total int64
}

type entrySize struct {
	index uint64
	size  int64
}

func (e *entrySizes) search(index uint64) int {
	at, _ := slices.BinarySearchFunc(e.list, index, func(entry entrySize, index uint64) int {
		switch {
		case entry.index < index:
			return -1
		case entry.index > index:
			return 1
		}
		return 0
	})
	return at
}

// add records the sizes of entries that were written. They replace entries with the same index or a
// later one.
func (e *entrySizes) add(logs []*raft.Log) {
	if len(logs) == 0 {
		return
	}
	e.remove(logs[0].Index, ^uint64(0))
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, log := range logs {
		size := int64(len(log.Data) + len(log.Extensions))
		e.list = append(e.list, entrySize{log.Index, size})
		e.total += size
	}
}

func (e *entrySizes) remove(first, last uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	from, to := e.search(first), e.search(last)
	if to < len(e.list) && e.list[to].index == last {
		to++
	}
	for _, entry := range e.list[from:max(from, to)] {
		e.total -= entry.size
	}
	e.list = slices.Delete(e.list, from, max(from, to))
}

func (e *entrySizes) bytes() int64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.total
}

// keep returns the first of the newest entries, at most count of them, that together have at most
// size bytes; the last entry is always among them. It returns 0 if the log is empty.
func (e *entrySizes) keep(count int, size int64) uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.list) == 0 {
		return 0
	}
	at := len(e.list) - 1
	for sum := e.list[at].size; at > 0 && len(e.list)-at < count; at-- {
		if sum += e.list[at-1].size; sum > size {
			break
		}
	}
	return e.list[at].index
}

// Bytes returns the size of all entries.
func (s *Store) Bytes() int64 { return s.sizes.bytes() }

// Limit returns how many bytes of entries there may be before the log is cut.
func (s *Store) Limit() int64 { return s.limit() }

// Grown receives a value after the log has grown beyond its limit.
func (s *Store) Grown() <-chan struct{} { return s.grown }

// FileSize returns the disk space of the file, in bytes; 0: it can't be determined.
func (s *Store) FileSize() int64 {
	info, err := os.Stat(s.path)
	if err != nil {
		return 0
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return stat.Blocks * 512
	}
	return info.Size()
}

// CompactIfSparse rewrites the file if most of it is free: bolt reuses free pages but never returns
// them to the file system.
func (s *Store) CompactIfSparse() error {
	live, size := s.sizes.bytes(), s.FileSize()
	if live > maxCompacted || size < 2*max(live, s.limit())+compactSlack {
		return nil
	}
	var stat syscall.Statfs_t
	if err := syscall.Statfs(filepath.Dir(s.path), &stat); err != nil {
		return err
	}
	if int64(stat.Bavail)*int64(stat.Bsize) < 2*live+compactSlack {
		return nil // deleting more makes room
	}
	defer s.watch("compacting the log")()
	return s.compact()
}

// compact copies the content of the file, including the vote, to a new file and renames that over
// the old one. A crash leaves one of them intact. The log is neither read nor written in the
// meantime.
func (s *Store) compact() error {
	s.swap.Lock()
	defer s.swap.Unlock()
	if err := s.BoltStore.Close(); err != nil {
		s.fatal(fmt.Errorf("compacting the log: %w", err))
		return err
	}
	copied := copyLog(s.path, s.path+compactSuffix)
	if copied == nil {
		copied = durable.Rename(s.path+compactSuffix, s.path)
	}
	store, err := openBolt(s.path)
	if err != nil {
		s.fatal(fmt.Errorf("opening the log after compacting it: %w", err))
		return err
	}
	s.BoltStore = store
	return errors.Join(copied, removeLeftover(s.path))
}

// copyLog makes a copy of a bolt file without its free pages, and syncs it.
func copyLog(from, to string) (err error) {
	if err := removeLeftover(from); err != nil {
		return err
	}
	src, err := bbolt.Open(from, 0o600, &bbolt.Options{ReadOnly: true, Timeout: lockPatience})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	dst, err := bbolt.Open(to, 0o600, &bbolt.Options{NoFreelistSync: true, NoSync: true, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return err
	}
	err = safely(func() error { return bbolt.Compact(dst, src, 4<<20) })
	if err == nil {
		err = dst.Sync()
	}
	return errors.Join(err, dst.Close())
}

// removeLeftover removes the file of a compaction that a crash interrupted.
func removeLeftover(path string) error {
	if err := os.Remove(path + compactSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
