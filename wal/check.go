package wal

import (
	"bytes"
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
		txn = db.NewTransactionAt(math.MaxUint64, false)
	}
	report, err := check(viewOf(txn), o.Progress)
	txn.Discard()
	return report, errors.Join(err, db.Close())
}

// openToCheck opens the current Badger folder of a store that is not in use.
func openToCheck(dir string, logger *slog.Logger) (*badger.DB, error) {
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
	db, _, err := openBadger(Config{Logger: logger}, path)
	if err != nil {
		return nil, fmt.Errorf("opening the store in %s: %w", path, err)
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

// checker is the work on one store.
type checker struct {
	db       dbView
	report   *Report
	progress func(records int64)
	records  int64

	meta      meta
	apps      map[webhook.ID]*webhook.Application
	endpoints map[webhook.ID]*webhook.Endpoint
	byApp     map[webhook.ID][]*webhook.Endpoint
	cursors   map[webhook.ID]*cursor
	removed   map[webhook.ID]bool       // endpoints
	dropped   map[webhook.ID]bool       // messages that have left the log but not all of whose attempts are gone
	goneApps  map[webhook.ID]bool       // applications that are being removed
	leaving   map[webhook.ID]bool       // their endpoints
	ends      map[webhook.ID]webhook.ID // last message of an application's log
	fronts    map[webhook.ID]front      // of logs, by application

	logs      chunkCache[webhook.Message] // without payloads
	histories chunkCache[recorded]
	before    chunkPlace // the last chunk read
	bytes     int64      // of the chunks read
	shares    shareCheck
	tallies   tallyCheck
	changes   changes
	indexed   messageHistory        // of the message whose index is being read
	lines     map[webhook.ID]uint64 // of an endpoint's retry set
	held      map[webhook.ID]uint64 // of its held set
	manual    map[webhook.ID]uint64 // of its manual set
	tasks     map[webhook.ID]*webhook.Task
	taskLines map[webhook.ID]int64 // of manual sets, by the task that asked for them
	tasksOver int
	passed    map[webhook.ID]int // messages that an endpoint wants and has left behind
	reached   map[webhook.ID]int // of them, those that were attempted
	uids      map[uid]webhook.ID
	eventIDs  int // messages that have one
	expiries  int // messages that belong under X
	replies   int // idempotency keys that the entry lists that it has replied to
	requests  [][16]byte
}

func check(db dbView, progress func(int64)) (*Report, error) {
	if progress == nil {
		progress = func(int64) {}
	}
	c := &checker{db: db, progress: progress, report: &Report{Records: make(map[string]int), Violations: []string{}},
		apps: make(map[webhook.ID]*webhook.Application), endpoints: make(map[webhook.ID]*webhook.Endpoint),
		byApp: make(map[webhook.ID][]*webhook.Endpoint), cursors: make(map[webhook.ID]*cursor),
		removed: make(map[webhook.ID]bool), dropped: make(map[webhook.ID]bool), goneApps: make(map[webhook.ID]bool), leaving: make(map[webhook.ID]bool), ends: make(map[webhook.ID]webhook.ID), fronts: make(map[webhook.ID]front), uids: make(map[uid]webhook.ID),
		lines: make(map[webhook.ID]uint64), held: make(map[webhook.ID]uint64), manual: make(map[webhook.ID]uint64),
		tasks: make(map[webhook.ID]*webhook.Task), taskLines: make(map[webhook.ID]int64),
		passed: make(map[webhook.ID]int), reached: make(map[webhook.ID]int), shares: newShareCheck(), changes: newChanges()}
	if err := c.loadCatalog(); err != nil {
		return nil, err
	}
	if err := c.walk(); err != nil {
		return nil, err
	}
	c.progress(c.records)
	return c.report, c.finish()
}

// violated records a violation.
func (c *checker) violated(format string, args ...any) {
	if len(c.report.Violations) < maxViolations {
		c.report.Violations = append(c.report.Violations, fmt.Sprintf(format, args...))
	} else {
		c.report.Unnamed++
	}
}

// walk checks each record, in order of key.
func (c *checker) walk() error {
	sum, pieces := newStateSum(), pieceCheck{}
	opts := badger.DefaultIteratorOptions
	opts.PrefetchValues = false
	it := c.db.txn.NewIterator(opts)
	defer it.Close()
	for it.Rewind(); it.Valid(); it.Next() {
		key := it.Item().KeyCopy(nil)
		if !isRecord(it.Item()) {
			if !pieces.expects(key) {
				c.violated("the record %q is a piece of a missing record", key)
			}
			continue
		}
		pieces = pieceCheck{key, int(it.Item().UserMeta())}
		value, err := copyRecord(c.db.txn, it.Item())
		if errors.Is(err, errPieceLost) {
			c.violated("the record %q has a missing piece", key)
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

// pieceCheck is the record that was read last, and how many pieces of it follow.
type pieceCheck struct {
	record []byte
	more   int
}

func (p pieceCheck) expects(key []byte) bool {
	record, n, piece := cutPieceKey(key)
	return piece && bytes.Equal(record, p.record) && n >= 1 && n <= p.more
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
	if c.eventIDs != c.report.Records[recordKinds[keyUnique].name] {
		if err := c.findLooseEventIDs(); err != nil {
			return err
		}
	}
	if lines := c.report.Records[recordKinds[keyExpiry].name]; c.expiries != lines {
		c.violated("%d messages leave in an order of their own, but %d are listed by expiry", c.expiries, lines)
	}
	if c.report.Attempts != c.report.Records[recordKinds[keyIndex].name] {
		if err := c.findUnindexed(); err != nil {
			return err
		}
	}
	if c.replies != c.report.Records[recordKinds[keyReply].name] {
		if err := c.findLooseReplies(); err != nil {
			return err
		}
	}
	return c.findPassed()
}

// checkID reports whether an id can have been made by this log.
func (c *checker) checkID(id webhook.ID, what string) bool {
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

func (c *checker) clock() string { return time.UnixMilli(c.meta.clock).UTC().Format(time.RFC3339Nano) }

// get reads one record, and reports whether it exists.
func (c *checker) get(key []byte) (value []byte, found bool, err error) {
	value, found, err = c.db.get(key)
	switch {
	case errors.Is(err, errPieceLost): // walk says so
		return nil, false, nil
	case err != nil:
		err = fmt.Errorf("reading the record %q: %w", key, err)
	}
	return value, found, err
}

// chunkPlace is the position of a chunk.
type chunkPlace struct {
	owner []byte // prefix and owner
	index uint64
}

// follows reports whether a chunk comes from a later entry than the one of the same owner that was
// read before it.
func (c *checker) follows(key []byte) bool {
	var id webhook.ID
	copy(id[:], key[1+idSize:])
	place := chunkPlace{owner: key[:1+idSize], index: id.Index()}
	before := c.before
	c.before = place
	return !bytes.Equal(before.owner, place.owner) || before.index < place.index
}

// entryOf returns the first ID of the entry that wrote a chunk.
func entryOf(key []byte) webhook.ID { return placedID(key, 0) }

func appName(id webhook.ID) string      { return "application " + id.Text(webhook.KindApplication) }
func endpointName(id webhook.ID) string { return "endpoint " + id.Text(webhook.KindEndpoint) }
func messageName(id webhook.ID) string  { return "message " + id.Text(webhook.KindMessage) }
func attemptName(id webhook.ID) string  { return "attempt " + id.Text(webhook.KindAttempt) }
