package wal

import (
	"sync"
	"sync/atomic"
)

// Reader reads a store. Its methods may be called from any goroutine. Each call reads one state,
// in which at least everything is applied that was so before the call.
//
// A call that reads records from disk keeps that state from being compacted away, and the store
// from being closed or replaced, until it returns. So all of them are bounded: a list is read a
// page at a time, and each page is a call.
type Reader struct {
	*shared
	pace pace
}

// shared is what all readers of a store have in common.
type shared struct {
	memory
	config  Config
	applied atomic.Uint64 // Raft index
	left    atomic.Int64  // as meta has it

	pending *pending // is locked before the locks below

	swap      sync.RWMutex // held while db is in use by a reader; RestoreSnapshot replaces it
	db        *database
	snapshots pins
}

// memory is what a store keeps in memory, for reads that must not wait for the disk. Apply changes
// it with mu locked.
type memory struct {
	mu      sync.RWMutex
	catalog catalog
}

// pace is what a reader calls as it reads; see Paced.
type pace struct {
	step func(bytes int) // nil: it reads at any pace
	end  func()
}

// Paced returns a reader that calls step after each record that it reads from disk, with the size
// of its value, and end when it no longer keeps the state that it reads. Both may wait, and so give
// others a turn; step only for a while, see Reader.
func (r *Reader) Paced(step func(bytes int), end func()) *Reader {
	return &Reader{r.shared, pace{step, end}}
}

// Applied returns the Raft index up to which everything is applied. Reads see at least that.
func (r *Reader) Applied() uint64 { return r.applied.Load() }

// read calls see with a view of everything applied. That state cannot be compacted away meanwhile.
func (r *Reader) read(see func(dbView) error) (err error) {
	if r.snapshots.last().index < r.Applied() {
		if err := r.pending.commitAll(); err != nil {
			r.config.Fatal(err)
			return err
		}
	}
	if r.pace.end != nil {
		defer r.pace.end()
	}
	r.swap.RLock()
	defer r.swap.RUnlock()
	index := r.snapshots.pin()
	defer r.snapshots.unpin(index)
	txn := r.db.at(index)
	txn.step = r.pace.step
	defer txn.Discard()
	return r.guard(r.db, func() error { return see(viewOf(txn)) })
}
