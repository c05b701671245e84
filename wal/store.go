package wal

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"

	"hookwheel/wal/badgerfiles"
	"hookwheel/webhook"
)

const (
	lockPatience    = 10 * time.Second // a process that was killed keeps the lock until its memory maps are torn down
	levelZeroTables = 6                // from so many on they are compacted
	blockSize       = 32 << 10         // bytes of a table that are read and verified together
	valueThreshold  = 1 << 20          // bytes; from this size on Badger would keep a value in a file of its own, but see minBlob
)

// Config configures a Store.
type Config struct {
	Dir          string // created if it does not exist
	Data         string // the folder that MaxSize bounds, with the Raft log in it; "": Dir
	MinFree      int64  // bytes: below this much free disk new messages are refused; 0: see disk.go
	MaxSize      int64  // bytes: new messages are refused when the records take a tenth more than this, or than the disk has room for; 0: never
	MaxEndpoints int64  // bytes that the records of endpoints may take, as a part of MaxSize; 0: any number
	Logger       *slog.Logger
	Purge        time.Duration // purgeInterval unless it is set, for tests
	Clean        func() error  // removes what a crash left beside the store, when no other process uses it; nil: nothing
	Fatal        func(error)   // called when applied entries could not be made durable; must end the process
}

// Store is the state machine: it applies the entries of the log, keeps the result on disk, and is
// a Reader of it. Its methods may be called from any goroutine. Calls of Apply are serialized, but
// their order is up to the callers.
type Store struct {
	Reader
	space      *Space
	gate       *Gate
	lacksEntry atomic.Bool // see Cleaner.Tidy
	changed    atomic.Bool // since the last purge something was applied, or may have been
	closed     chan struct{}
	wg         sync.WaitGroup
	watch      func(webhook.Changes) // guarded by mu

	streams      streams
	fingerprints fingerprints
	tails        tails
}

// Open opens the store in the folder config.Dir, or creates it.
func Open(config Config) (*Store, error) {
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the data folder: %w", err)
	}
	dir, err := badgerfiles.Current(config.Dir, lockPatience, config.Clean)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = ErrInUse
	}
	if err != nil {
		return nil, fmt.Errorf("looking for the store in %s: %w", config.Dir, err)
	}
	disk, err := newDisk(config.Dir, config.MinFree) // what a crash left is gone
	if err != nil {
		return nil, err
	}
	if limit := disk.holds(); config.MaxSize > limit {
		config.Logger.Warn("storage.max_size is more than this disk has room for: a smaller size is kept to", "maxSize", config.MaxSize, "size", limit, "disk", disk.size)
		config.MaxSize = limit
	}
	db, tables, err := openDatabase(config, dir)
	if err != nil {
		return nil, fmt.Errorf("opening the store in %s: %w", dir, err)
	}
	s := &Store{Reader: Reader{shared: &shared{config: config, db: db}}, space: newSpace(&config, disk), closed: make(chan struct{})}
	s.gate = &Gate{store: &s.memory, space: s.space}
	s.fingerprints.store = s
	s.pending = newPending(&s.snapshots, disk.checkRoom, config.Fatal)
	if err := s.guard(db, func() error { return s.load(db) }); err != nil {
		return nil, errors.Join(fmt.Errorf("reading the store in %s: %w", dir, err), db.Close())
	}
	s.space.measure()
	s.space.seeTables(db)
	s.wg.Go(func() { s.pending.commitSoon(s.closed) })
	s.changed.Store(true)
	s.wg.Go((&reclaimer{store: s, purge: newPurge(cmp.Or(config.Purge, purgeInterval), lastPurge(config.Dir))}).run)
	s.wg.Go(func() { (&verifier{s, db}).run(tables) })
	return s, nil
}

// Close commits what is applied and closes the store. It does not wait for readers of a snapshot.
// On a full disk it leaves the files open, for the process to end: Badger would write its memtable
// out through a memory map. The next start does that instead.
func (s *Store) Close() error {
	close(s.closed)
	s.wg.Wait()
	err := s.Commit()
	s.streams.end()
	s.swap.Lock() // waits for other readers
	defer s.swap.Unlock()
	s.pending.forgetBase()
	if full := s.space.disk.checkRoom(0); full != nil && err == nil {
		s.config.Logger.Warn("the store is left as a crash would leave it, because closing it writes", "component", "wal", "reason", full)
		return nil
	}
	if err := errors.Join(err, s.db.Close()); err != nil {
		return fmt.Errorf("closing the store: %w", err)
	}
	return nil
}

// openDatabase checks the files first, because with some damage Badger opens a store that lacks
// records, and with other damage it panics. If necessary it waits for the folder's lock. The tables
// and the blob files are still to be verified.
func openDatabase(config Config, dir string) (_ *database, tables []string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	unlock, err := badgerfiles.Lock(dir, lockPatience)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, nil, ErrInUse
	}
	if err != nil {
		return nil, nil, err
	}
	err = badgerfiles.RemoveEmpty(dir)
	if err == nil {
		tables, err = badgerfiles.Check(dir)
	}
	if err := errors.Join(err, unlock()); err != nil {
		return nil, nil, err
	}
	defer func() {
		if fault := recover(); fault != nil {
			err = badgerfiles.Damaged(dir, fmt.Errorf("%v", fault))
		}
	}()
	opened, err := badger.OpenManaged(badgerOptions(dir, config.badgerLog()))
	if err != nil {
		return nil, tables, badgerfiles.Damaged(dir, err)
	}
	db, err := withBlobs(opened)
	if err != nil {
		return nil, tables, errors.Join(badgerfiles.Damaged(dir, err), opened.Close())
	}
	return db, tables, nil
}

func badgerOptions(dir string, log badgerLog) badger.Options {
	return badger.DefaultOptions(dir).
		WithSyncWrites(!noSync). // without, a loss of power leaves holes before the applied index
		WithDetectConflicts(false).
		WithMemTableSize(badgerfiles.MemTableSize).
		WithBlockSize(blockSize).
		WithBaseTableSize(8 << 20). // a start opens each table
		WithNumMemtables(3).
		WithNumLevelZeroTables(levelZeroTables).
		WithNumLevelZeroTablesStall(12).
		WithNumCompactors(2).
		WithCompression(options.None).
		WithBlockCacheSize(0).
		WithValueThreshold(valueThreshold). // values inline: one sync a commit, no garbage collection of value files
		WithValueLogFileSize(16 << 20).
		WithVerifyValueChecksum(true).
		WithChecksumVerificationMode(options.OnBlockRead). // the whole tables are verified after the start, see verify.go
		WithMetricsEnabled(false).
		WithLogger(log)
}

// load reads into memory what Apply and the API need all the time: the state and the domain
// objects.
func (s *Store) load(db *database) error {
	loaded, state, err := readState(db)
	if err != nil {
		return err
	}
	remains, err := findRemains(db, state.index)
	if err != nil {
		return err
	}
	s.install(db, loaded, state, remains)
	return nil
}

func readState(db *database) (loaded catalog, state meta, err error) {
	loaded = newCatalog()
	txn, state, err := newestState(db)
	if err != nil {
		return loaded, state, err
	}
	defer txn.Discard()
	return loaded, state, loaded.load(viewOf(txn).view)
}

func (s *Store) install(db *database, loaded catalog, state meta, remains remains) {
	s.mu.Lock()
	s.catalog = loaded
	s.mu.Unlock()
	s.pending.install(db, state, remains)
	s.applied.Store(state.index)
	s.space.bytes.Store(state.bytes)
	s.left.Store(state.left)
	s.tails.cutOff()
	s.snapshots.publish(state)
}

// Commit makes everything applied so far durable. If the process crashes before it returns, all of
// it is kept or none, or everything up to some entry if one transaction was not enough. More
// entries may be applied meanwhile.
func (s *Store) Commit() error { return s.pending.commitAll() }

// Ready returns when an entry with commands of that cost can be applied without waiting for a
// commit in progress.
func (s *Store) Ready(cost int) {
	s.pending.Lock()
	defer s.pending.Unlock()
	for s.pending.broken == nil && s.pending.committing != nil && s.pending.outgrows(entryOverhead+2*cost) {
		s.pending.commitDone.Wait()
	}
}

// State describes how far a store has come. It is an alias for the same reason as Command.
type State = struct {
	Index, Term        uint64
	ConfigurationIndex uint64
	Configuration      []byte
}

// State returns how far everything in this store is durable. An empty store is at index 0.
func (s *Store) State() State { return s.snapshots.last().state() }

func (m *meta) state() State {
	return State{Index: m.index, Term: m.term, ConfigurationIndex: m.confIndex, Configuration: m.conf}
}

// effects are what an entry reports to those who watch the store.
type effects struct {
	webhook.Changes
	events []Event // for open tails
}

// Watch makes Apply call on for each entry that changes something. on must not block, and may use
// only reads from memory, such as Cursor. A nil on ends that. Everything up to the returned index
// can be read; on is called for everything after it, and perhaps for some of what came before.
func (s *Store) Watch(on func(webhook.Changes)) (index uint64) {
	s.mu.Lock()
	s.watch = on
	s.mu.Unlock()
	return s.Applied()
}

// pins counts the readers at each index, so that Badger keeps the versions that they need.
type pins struct {
	mu      sync.Mutex
	applied meta
	readers map[uint64]int
}

func (p *pins) publish(applied meta) (oldest uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.applied = applied
	return p.oldestOf()
}

// oldest returns the index that all readers have reached.
func (p *pins) oldest() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.oldestOf()
}

func (p *pins) oldestOf() uint64 {
	oldest := p.applied.index
	for reader := range p.readers {
		oldest = min(oldest, reader)
	}
	return oldest
}

func (p *pins) last() *meta {
	p.mu.Lock()
	defer p.mu.Unlock()
	applied := p.applied
	return &applied
}

func (p *pins) pin() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.readers == nil {
		p.readers = make(map[uint64]int)
	}
	p.readers[p.applied.index]++
	return p.applied.index
}

func (p *pins) unpin(index uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.readers[index]--; p.readers[index] == 0 {
		delete(p.readers, index)
	}
}

// badgerLog passes on Badger's warnings, but not its information, which is noise to an operator.
// When a disk fails in the background, Badger logs it and goes on, or retries forever. The node
// must then stop, as after any other failure of the disk.
type badgerLog struct {
	log   *slog.Logger
	fatal func(error) // may be nil
}

func (c *Config) badgerLog() badgerLog {
	return badgerLog{log: c.Logger.With("component", "badger"), fatal: c.Fatal}
}

func (l badgerLog) say(level slog.Level, format string, args []any) {
	text := strings.TrimSpace(fmt.Sprintf(format, args...))
	if endsOnLoggedErrors && l.fatal != nil && badgerfiles.IsOfDisk(text) {
		line, _, _ := strings.Cut(text, "\n")
		l.fatal(fmt.Errorf("the store can't use its disk: %s", line))
		return
	}
	l.log.Log(context.Background(), level, text)
}

func (l badgerLog) Errorf(format string, args ...any)   { l.say(slog.LevelError, format, args) }
func (l badgerLog) Warningf(format string, args ...any) { l.say(slog.LevelWarn, format, args) }
func (l badgerLog) Infof(format string, args ...any) {
	l.log.Debug(strings.TrimSpace(fmt.Sprintf(format, args...)))
}
func (l badgerLog) Debugf(format string, args ...any) {}
