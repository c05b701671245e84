package wal

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tidwall/btree"
)

// pending is what was applied and is not durable yet. Apply and commits alone touch it, and hold it
// locked; it is locked before any other lock of the store. It is the records that the state machine
// reads: everything applied, and what the entry that is being applied has written so far.
type pending struct {
	sync.Mutex
	staged     batch
	committing *batch       // is being made durable; nil: none is
	commitDone *sync.Cond   // committing is nil again
	base       transaction  // see durable
	remains    remains      // of a commit that was cut short
	partDone   func() error // for tests: is called between two transactions of a commit; nil: nothing is
	partSize   int64        // for tests: bytes of a transaction of a commit; 0: see partLimit
	seen       int          // for tests: versions of records that seek has passed
	broken     error        // why nothing is applied or committed any more

	db        *database
	snapshots *pins
	checkRoom func(bytes int) error // returns an error if the disk is too full for a commit of so many
	fatal     func(error)           // see Config
	dirty     chan struct{}         // something is staged
}

func newPending(snapshots *pins, checkRoom func(bytes int) error, fatal func(error)) *pending {
	p := &pending{snapshots: snapshots, checkRoom: checkRoom, fatal: fatal, dirty: make(chan struct{}, 1)}
	p.commitDone = sync.NewCond(p)
	return p
}

// install begins with the last commit of a database.
func (p *pending) install(db *database, state meta, remains remains) {
	p.db, p.staged, p.remains = db, p.newBatch(state), remains
	p.forgetBase()
}

// state returns meta as of the last entry applied.
func (p *pending) state() meta {
	p.Lock()
	defer p.Unlock()
	return p.staged.meta
}

// newBatch returns an empty batch.
func (p *pending) newBatch(state meta) batch { return batch{meta: state, was: p.get} }

// stage reports that there is something to commit.
func (p *pending) stage() {
	select {
	case p.dirty <- struct{}{}:
	default:
	}
}

// begin makes room for size more bytes. A batch that would outgrow one Badger transaction is
// committed first, which is allowed between any two entries. An entry of many small records may
// take several times its own size, so half of a transaction stays free for it. If it takes even
// more, its commit is split.
func (p *pending) begin(size int) error {
	if p.broken != nil {
		return p.broken
	}
	if p.outgrows(size) {
		if err := p.commitAside(); err != nil {
			return err
		}
	}
	p.stage()
	return nil
}

// outgrows reports whether the batch would outgrow a transaction with size more bytes.
func (p *pending) outgrows(size int) bool { return p.staged.size+size > int(p.db.MaxBatchSize())/2 }

// get returns the value of key, including the writes of this entry and of all entries that are
// applied but not committed.
func (p *pending) get(key []byte) (value []byte, found bool, err error) {
	for _, b := range p.layers() {
		if value, found := b.writes.Get(string(key)); found {
			return value, value != nil, nil
		}
	}
	return p.durable().record(key)
}

// seek calls see for each key with this prefix, beginning at from, in order and with the value that
// get would return. The caller must not keep or change key or value. If see returns errStop, the
// walk ends without an error. Writes made by see are not seen.
func (p *pending) seek(prefix, from []byte, see func(key, value []byte) error) error {
	w := newWalk(p.durable(), prefix)
	defer w.close()
	return p.seekOn(w, prefix, from, see)
}

// seekOn is seek with a walk over durable records, for callers that seek often.
func (p *pending) seekOn(w *walk, prefix, from []byte, see func(key, value []byte) error) error {
	var top btree.Map[string, []byte]
	layers := p.layers()
	for i := len(layers) - 1; i >= 0; i-- {
		layers[i].writes.Ascend(string(from), func(key string, value []byte) bool {
			if !strings.HasPrefix(key, string(prefix)) {
				return false
			}
			top.Set(key, value)
			return true
		})
	}
	next := top.Iter()
	more := next.First()
	// upTo visits the staged records before a key, or all that are left with "".
	upTo := func(key string) error {
		for ; more && (key == "" || next.Key() < key); more = next.Next() {
			if next.Value() == nil {
				continue
			}
			if err := see([]byte(next.Key()), next.Value()); err != nil {
				return err
			}
		}
		return nil
	}
	before := w.seen
	err := w.seek(prefix, from, func(key, value []byte) error {
		err := upTo(string(key))
		if err == nil && !(more && next.Key() == string(key)) {
			err = see(key, value)
		}
		return err
	})
	p.seen += w.seen - before
	if err == nil {
		err = upTo("")
	}
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

// layers returns the batches that are applied but not durable, newest first.
func (p *pending) layers() []*batch {
	if p.committing != nil {
		return []*batch{&p.staged, p.committing}
	}
	return []*batch{&p.staged}
}

// durable returns a transaction that reads the last commit.
func (p *pending) durable() transaction {
	if p.base.Txn == nil {
		p.base = p.db.at(p.snapshots.last().index)
	}
	return p.base
}

// forgetBase makes the next reader start from the newest commit.
func (p *pending) forgetBase() {
	if p.base.Txn != nil {
		p.base.Discard()
		p.base = transaction{}
	}
}

// commitAll is Store.Commit.
func (p *pending) commitAll() error {
	p.Lock()
	defer p.Unlock()
	b, err := p.hand()
	if b == nil {
		return err
	}
	p.Unlock()
	err = b.commit(p.db)
	p.Lock()
	return p.committed(b, err)
}

// commit is commitAll for callers that have locked p and keep it locked.
func (p *pending) commit() error {
	b, err := p.hand()
	if b == nil {
		return err
	}
	return p.committed(b, b.commit(p.db))
}

// commitAside is commit, but returns when the commit has begun, so that entries need not wait for
// it. As there is one at a time, what is in memory stays bounded. The next commit waits for its
// end, and so does Close.
func (p *pending) commitAside() error {
	b, err := p.hand()
	if b == nil {
		return err
	}
	go func() {
		err := b.commit(p.db)
		p.Lock()
		err = p.committed(b, err)
		p.Unlock()
		if err != nil {
			p.fatal(err)
		}
	}()
	return nil
}

// awaitCommit waits for the commit in progress. It unlocks p meanwhile.
func (p *pending) awaitCommit() {
	for p.committing != nil {
		p.commitDone.Wait()
	}
}

// hand waits for the commit in progress and returns the staged batch for the next one, or nil if
// everything is durable or nothing may be committed any more.
func (p *pending) hand() (*batch, error) {
	p.awaitCommit()
	if p.broken != nil || p.staged.meta.index <= p.snapshots.last().index {
		return nil, p.broken
	}
	if err := errors.Join(p.checkRoom(p.staged.size), p.coverRemains()); err != nil {
		p.broken = err
		return nil, err
	}
	b := p.staged
	b.before, b.partDone, b.partSize = p.snapshots.last().index, p.partDone, p.partSize
	p.committing = &b
	p.staged = p.newBatch(b.meta)
	return &b, nil
}

// committed finishes a commit.
func (p *pending) committed(b *batch, err error) error {
	p.committing = nil
	p.commitDone.Broadcast()
	if err != nil {
		p.broken = fmt.Errorf("committing index %d: %w", b.meta.index, firstLine(err))
		return p.broken
	}
	p.remains.passed(b.meta.index)
	p.forgetBase()
	p.db.waste.add(b.meta.index, b.stale)
	p.db.SetDiscardTs(p.snapshots.publish(b.meta))
	return nil
}

// commitDelay is how long applied entries wait for others before they are committed, unless a read
// needs them.
const commitDelay = 100 * time.Millisecond

// commitSoon commits entries that no read has committed, until closed is.
func (p *pending) commitSoon(closed <-chan struct{}) {
	for {
		select {
		case <-p.dirty:
		case <-closed:
			return
		}
		select {
		case <-time.After(commitDelay):
		case <-closed:
			return
		}
		if err := p.commitAll(); err != nil {
			p.fatal(err)
			return
		}
	}
}

// coverRemains stages each record that has remains, unchanged, if the staged batch will be
// committed at the version of a remain or later.
func (p *pending) coverRemains() error {
	if len(p.remains.keys) == 0 || p.staged.meta.index < p.remains.first {
		return nil
	}
	for key := range p.remains.keys { // any order will do: each is a record of its own
		if _, staged := p.staged.writes.Get(key); staged {
			continue
		}
		value, _, err := p.get([]byte(key))
		if err != nil {
			return err
		}
		p.staged.repeat([]byte(key), value)
	}
	return nil
}
