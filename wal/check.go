package wal

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"path/filepath"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/wal/badgerfiles"
	"hookwheel/wal/blobfiles"
	"hookwheel/webhook"
)

// Faults of opening a store to check it.
var (
	ErrNoStore = errors.New("there is no store")
	ErrInUse   = errors.New("another hookwheel process is using this folder: stop that one first")
)

// maxViolations is how many violations a report lists; it counts the others.
const maxViolations = 100

// CheckOptions configure Check.
type CheckOptions struct {
	Logger   *slog.Logger
	Progress func(records int64) // is told from time to time how many have been read; may be nil
}

// Report describes the contents of a store and what is wrong with it.
type Report struct {
	Index       uint64         `json:"index"` // of the last entry applied
	Term        uint64         `json:"term"`
	Clock       time.Time      `json:"clock"`       // of the log
	Fingerprint string         `json:"fingerprint"` // the same on all nodes at the same index
	Records     map[string]int `json:"records"`     // by kind
	Bytes       int64          `json:"bytes"`       // of all keys and values
	Messages    int            `json:"messages"`
	Attempts    int            `json:"attempts"`
	Violations  []string       `json:"violations"`         // the first of them
	Unnamed     int            `json:"unnamed,omitempty"`  // violations beyond those
	Repeated    int            `json:"repeated,omitempty"` // attempts whose number was recorded before: allowed, but not usual
}

// Err is nil if nothing is wrong.
func (r *Report) Err() error {
	if len(r.Violations) == 0 {
		return nil
	}
	return fmt.Errorf("the store breaks %d of its invariants, such as: %s", len(r.Violations)+r.Unnamed, r.Violations[0])
}

// Check reads the whole store in the folder dir, which no node may be using, and verifies all that
// can be said of it:
//
//   - each id was made by an entry that is applied, at a time that the clock of the log has
//     reached;
//   - each endpoint's application exists, or is being removed; names are unique where they must
//     be;
//   - there is a cursor for each endpoint and for no other; it is between the endpoint's
//     creation and the end of the log; what is done beyond it is in order and exists;
//   - each line of a retry set belongs to an endpoint, or to one that is being removed; its
//     message exists and was attempted or scheduled; it is the only line of its message, and is
//     what the last attempt asked for;
//   - each line of a held set or a manual set belongs to an endpoint, and its message exists;
//   - cursors count the lines of these sets correctly, and tasks those in manual sets that they
//     asked for; the attempts at all endpoints, in all applications and altogether are as many in
//     each period of time;
//   - the messages that say themselves how long they are kept, those scheduled, and no others, are
//     listed by expiry; retention has overlooked none, nor any before the front of a log;
//   - what an endpoint wants and its cursor has left behind was attempted;
//   - the log and the history are in order; each message has its event id and each event id its
//     message; each attempt is in the index and nothing else is;
//   - the store counts correctly how many bytes its records take, and how many of each
//     application's log and histories;
//   - the attempts to deliver a message to an endpoint are numbered from 1, without gaps. A
//     leader that is lost takes attempts that it had not recorded with it, and the next leader
//     gives the same numbers, so this holds however many leaders were lost. It may happen that a
//     number is recorded twice; that is counted, not called wrong;
//   - each API key has the hash of a token and a role; that of an application belongs to one that
//     exists;
//   - each idempotency key is listed by the entry that has answered it, so that it will be
//     forgotten in time;
//   - no request was applied twice within the window in which requests are remembered, and nothing
//     else is remembered.
//
// It opens Badger as a start of the node would, which may tidy up after a crash but changes no
// record. Memory is bounded by the number of applications and endpoints and of requests in the
// window.
func Check(dir string, o CheckOptions) (*Report, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	db, err := openToCheck(dir, o.Logger)
	if err != nil {
		return nil, err
	}
	txn, state, err := newestState(db)
	if err != nil || state.index == 0 { // no meta record, which is reported later, says what to read
		txn = db.at(math.MaxUint64)
	}
	report, err := check(viewOf(txn), o.Progress)
	txn.Discard()
	return report, errors.Join(err, db.Close())
}

// openToCheck opens the current Badger folder of a store that is not in use.
func openToCheck(dir string, logger *slog.Logger) (*database, error) {
	name, err := badgerfiles.CurrentName(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w in %s", ErrNoStore, dir)
	}
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, name)
	if err := verifyFiles(path); err != nil {
		return nil, err
	}
	if _, err := newDisk(path, 1); err != nil { // Badger would end the process
		return nil, err
	}
	db, _, err := openDatabase(Config{Logger: logger}, path)
	if err != nil {
		return nil, fmt.Errorf("opening the store in %s: %w", path, err)
	}
	if err := db.verifyBlobs(func(int) error { return nil }); err != nil {
		return nil, errors.Join(badgerfiles.Damaged(path, err), db.Close())
	}
	return db, nil
}

// checkPatience is for the lock of a process that was killed just now.
const checkPatience = 2 * time.Second

// verifyFiles reads all blocks of all tables before Badger does, which drops what it can't
// read.
func verifyFiles(path string) error {
	unlock, err := badgerfiles.Lock(path, checkPatience)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %s is not there", ErrNoStore, path)
	case errors.Is(err, syscall.EWOULDBLOCK):
		return fmt.Errorf("%s: %w", path, ErrInUse)
	case err != nil:
		return err
	}
	defer func() { _ = unlock() }() // closes a folder
	tables, err := badgerfiles.Check(path)
	for i := 0; i < len(tables) && err == nil; i++ {
		err = badgerfiles.Damaged(path, badgerfiles.VerifyTable(tables[i], func(int) error { return nil }))
	}
	return err
}

// checker is the work on one store: the checks of all kinds of records, each with what it has to
// remember until the end.
type checker struct {
	*checkedStore
	catalog *checkedCatalog
	catalogCheck
	cursorCheck
	removalCheck
	logCheck
	historyCheck
	setCheck
	taskCheck
	passedCheck
	changeCheck
	replyCheck
	requestCheck
	shareCheck
	tallyCheck

	progress func(records int64)
	records  int64
	bytes    int64 // of all records but meta
}

func newChecker(db dbView, progress func(int64)) *checker {
	if progress == nil {
		progress = func(int64) {}
	}
	store := &checkedStore{db: db, report: &Report{Records: make(map[string]int), Violations: []string{}}}
	catalog, chunks := newCheckedCatalog(store), &checkedChunks{checkedStore: store}
	c := &checker{checkedStore: store, catalog: catalog, progress: progress,
		catalogCheck: catalogCheck{checkedCatalog: catalog, uids: make(map[uid]webhook.ID)},
		cursorCheck:  cursorCheck{checkedCatalog: catalog, chunks: chunks, ends: make(map[webhook.ID]webhook.ID)},
		taskCheck:    newTaskCheck(catalog),
		passedCheck:  newPassedCheck(catalog, chunks),
		changeCheck:  changeCheck{checkedStore: store, changes: newChanges()},
		replyCheck:   replyCheck{checkedStore: store},
		requestCheck: requestCheck{checkedStore: store},
		shareCheck:   newShareCheck(catalog),
		tallyCheck:   tallyCheck{checkedCatalog: catalog, sums: make(map[tallyPlace]*[scopes]Tally)}}
	c.removalCheck = removalCheck{checkedCatalog: catalog, shares: &c.shareCheck}
	c.logCheck = logCheck{checkedCatalog: catalog, chunks: chunks, shares: &c.shareCheck, passed: &c.passedCheck}
	c.historyCheck = historyCheck{checkedCatalog: catalog, chunks: chunks, shares: &c.shareCheck, passed: &c.passedCheck}
	c.setCheck = newSetCheck(catalog, chunks, &c.taskCheck)
	return c
}

func check(db dbView, progress func(int64)) (*Report, error) {
	c := newChecker(db, progress)
	if err := c.catalog.load(); err != nil {
		return nil, err
	}
	if err := c.walk(); err != nil {
		return nil, err
	}
	c.progress(c.records)
	return c.report, c.finish()
}

// checkedStore is the store, and what is found to be wrong with it. All checks share it.
type checkedStore struct {
	db     dbView
	report *Report
	meta   meta
}

// violated records a violation.
func (c *checkedStore) violated(format string, args ...any) {
	if len(c.report.Violations) < maxViolations {
		c.report.Violations = append(c.report.Violations, fmt.Sprintf(format, args...))
	} else {
		c.report.Unnamed++
	}
}

// walk checks each record, in order of key.
func (c *checker) walk() error {
	sum := newStateSum()
	opts := badger.DefaultIteratorOptions
	opts.PrefetchValues = false
	it := c.db.txn.NewIterator(opts)
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		key := it.Item().KeyCopy(nil)
		if !isRecord(it.Item()) {
			continue
		}
		value, err := c.db.txn.copy(it.Item())
		if errors.Is(err, blobfiles.ErrDamaged) {
			c.violated("the record %q has no value: %v", key, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("reading the record %q: %w", key, err)
		}
		sum.add(key, value)
		c.report.Bytes += int64(len(key) + len(value))
		if c.records++; c.records%10_000 == 0 {
			c.progress(c.records)
		}
		if err := c.record(key, value); err != nil {
			return err
		}
	}
	c.report.Fingerprint = sum.text()
	return nil
}

func (c *checker) record(key, value []byte) error {
	kind := &recordKinds[key[0]]
	if kind.name == "" {
		c.report.Records["unknown"]++
		c.violated("the record %q has an unknown kind", key)
		return nil
	}
	c.report.Records[kind.name]++
	if key[0] != keyMeta {
		c.bytes += int64(len(key) + len(value))
	}
	if !kind.hasSize(key) {
		c.violated("the record %q has an invalid key length of %d bytes", key, len(key))
		return nil
	}
	return kind.check(c, key, value)
}

// finish checks what can be checked only at the end.
func (c *checker) finish() error {
	if err := c.endMessage(); err != nil {
		return err
	}
	c.checkRequestsOnce()
	c.checkCounts()
	if c.bytes != c.meta.bytes {
		c.violated("the records take %d bytes, but the store counts %d", c.bytes, c.meta.bytes)
	}
	c.checkShares()
	c.checkTallies()
	c.checkRoomOfChanges()
	c.checkTasks()
	if err := c.findLooseEventIDs(); err != nil {
		return err
	}
	c.checkExpiries()
	if err := c.findUnindexed(); err != nil {
		return err
	}
	if err := c.findLooseReplies(); err != nil {
		return err
	}
	return c.findPassed()
}

// count returns how many records of a kind there are.
func (c *checkedStore) count(kind byte) int { return c.report.Records[recordKinds[kind].name] }

// checkID reports whether an id can have been made by this log.
func (c *checkedStore) checkID(id webhook.ID, what string) bool {
	switch {
	case webhook.NewID(id.Millis(), id.Index(), id.Place()) != id:
		c.violated("%s has an id with wrong check digits", what)
	case id.Index() > c.meta.index || id.Index() == 0:
		c.violated("%s comes from entry %d, but the store is at entry %d", what, id.Index(), c.meta.index)
	case id.Millis() > c.meta.clock:
		c.violated("%s is from %s, but the log's clock is at %s", what, id.Time().Format(time.RFC3339Nano), c.clock())
	default:
		return true
	}
	return false
}

func (c *checkedStore) clock() string { return clockTime(c.meta.clock).Format(time.RFC3339Nano) }

func clockTime(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// get reads one record, and reports whether it exists.
func (c *checkedStore) get(key []byte) (value []byte, found bool, err error) {
	value, found, err = c.db.get(key)
	switch {
	case errors.Is(err, blobfiles.ErrDamaged): // walk says so
		return nil, false, nil
	case err != nil:
		err = fmt.Errorf("reading the record %q: %w", key, err)
	}
	return value, found, err
}

func appName(id webhook.ID) string      { return "application " + id.Text(webhook.KindApplication) }
func endpointName(id webhook.ID) string { return "endpoint " + id.Text(webhook.KindEndpoint) }
func messageName(id webhook.ID) string  { return "message " + id.Text(webhook.KindMessage) }
func attemptName(id webhook.ID) string  { return "attempt " + id.Text(webhook.KindAttempt) }
