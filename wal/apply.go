package wal

import (
	"errors"
	"fmt"
	"slices"

	"hookwheel/webhook"
)

// Apply applies the commands of one Raft entry; now is the clock of the leader that made it, in
// milliseconds since the Unix epoch. It returns a reply for each command. It is deterministic: the
// same entries lead to the same store and the same replies on every node. An entry that the store
// already holds is skipped, without replies.
//
// All reads see it at once, but it is staged only: Commit makes it durable, soon and for many
// entries together. A crash before that loses nothing, for the Raft log has the entry on stable
// storage and replays it.
//
// Any error is the end of this store: a state machine that leaves out an entry has left the
// cluster. The caller must stop the process.
func (s *Store) Apply(index, term uint64, now int64, commands []Command) ([][]byte, error) {
	s.pending.Lock()
	defer s.pending.Unlock()
	if index <= s.pending.staged.meta.index {
		return nil, nil
	}
	replies, changes, err := s.apply(index, term, now, commands)
	if err != nil {
		// Half an entry may be staged: it must never be committed.
		s.pending.broken = fmt.Errorf("applying entry %d: %w", index, err)
		return nil, s.pending.broken
	}
	s.applied.Store(index)
	if len(commands) > 0 || s.pending.staged.removes { // what is outdated goes without a command
		s.changed.Store(true)
	}
	s.space.resize(s.pending.staged.meta.bytes)
	s.left.Store(s.pending.staged.meta.left)
	s.tell(changes)
	return replies, nil
}

const (
	entryOverhead = 4096            // what an entry writes in any case, in bytes
	shortReply    = 1 + idSize      // bytes of the reply to most commands: an ID, or nothing
	shortRequest  = 17 + shortReply // likewise, of what is remembered of a request
)

func (s *Store) apply(index, term uint64, now int64, commands []Command) ([][]byte, effects, error) {
	size := entryOverhead
	for i := range commands {
		size += 2*len(commands[i].Body) + 128
	}
	if err := s.pending.begin(size); err != nil {
		return nil, effects{}, err
	}
	b := &s.pending.staged
	before := b.meta.index
	b.meta.index, b.meta.term, b.meta.clock = index, term, max(b.meta.clock, now)
	e := entry{store: s, batch: b, size: size / 2, answers: make([]byte, 0, len(commands)*shortReply),
		requests: make([]byte, 0, len(commands)*shortRequest)}
	replies := make([][]byte, len(commands))
	for i := range commands {
		var err error
		if replies[i], err = e.run(&commands[i]); err != nil {
			return nil, effects{}, fmt.Errorf("command %d: %w", i, err)
		}
	}
	err := e.finish(before)
	if err == nil {
		err = b.failed
	}
	if err == nil && e.fingerprint {
		err = s.fingerprints.begin()
	}
	return replies, e.changes, err
}

// Configure applies a change of the Raft configuration, which is opaque here.
func (s *Store) Configure(index, term uint64, configuration []byte) error {
	s.pending.Lock()
	defer s.pending.Unlock()
	b := &s.pending.staged
	if index <= b.meta.index {
		return nil
	}
	if err := s.pending.begin(len(configuration)); err != nil {
		return err
	}
	s.forgetRequests(b.meta.index, index)
	b.meta.index, b.meta.term, b.meta.confIndex, b.meta.conf = index, term, index, slices.Clone(configuration)
	s.applied.Store(index)
	return nil
}

// tell reports the changes of an entry.
func (s *Store) tell(told effects) {
	if len(told.events) > 0 {
		s.tails.tell(told.events)
	}
	s.mu.RLock()
	watch := s.watch
	s.mu.RUnlock()
	if watch != nil && !told.IsEmpty() {
		watch(told.Changes)
	}
}

// entry is the work on one Raft entry.
type entry struct {
	store    *Store
	batch    *batch
	place    uint32 // of the next ID
	size     int    // bytes of all commands
	logs     []chunk
	history  []chunk
	shares   map[webhook.ID]int64 // by how much what an application holds has changed
	requests []byte
	answers  []byte                     // memory for replies
	replies  []byte                     // idempotency keys
	tallies  map[webhook.ID]*Tally      // of the attempts recorded, by application
	cells    struct{ step, sum []cell } // memory to count in, used again for each endpoint
	changes  effects
	source   replySource     // of the reply to the command that is being applied
	log      logReader       // reads for that command
	past     historyReader   // likewise
	tasks    []*webhook.Task // that this entry changes, as they are to be

	states []webhook.StateChange
	actor  webhook.Actor                // of the command that is being applied
	actors map[webhook.ID]webhook.Actor // of the last command about each task

	fingerprint bool // is asked for
	sweeps      int  // how many records of deleted objects to remove
}

// chunk is being built for one owner.
type chunk struct {
	owner webhook.ID
	app   webhook.ID       // of the endpoint, if it is of a history
	last  *webhook.Attempt // in it
	data  []byte
}

// chunkOf finds or makes the chunk of owner; an entry has few.
func chunkOf(list *[]chunk, owner webhook.ID) *chunk {
	for i := len(*list) - 1; i >= 0; i-- {
		if (*list)[i].owner == owner {
			return &(*list)[i]
		}
	}
	*list = append(*list, chunk{owner: owner, last: &noAttempt})
	return &(*list)[len(*list)-1]
}

// id returns the next ID of this entry.
func (e *entry) id() (webhook.ID, error) {
	if e.place > webhook.MaxPlace {
		return webhook.ID{}, errors.New("wal: more than 2^24 ids in one entry")
	}
	id := webhook.NewID(e.batch.meta.clock, e.batch.meta.index, e.place)
	e.place++
	return id, nil
}

// view reads everything applied, and what this entry has written so far. The attempts and messages
// that it adds are written at its end, so they are not found.
func (e *entry) view() view { return view{e.store.pending} }

// first returns the first ID of the entry.
func (e *entry) first() webhook.ID { return webhook.NewID(e.batch.meta.clock, e.batch.meta.index, 0) }

// run applies one command and remembers its reply, or where to read it again. A command that was
// applied before gets the same reply again.
func (e *entry) run(c *Command) ([]byte, error) {
	reply, found, err := replyTable{e}.repliedBefore(c)
	if err != nil || found {
		return reply, err
	}
	command, err := decodeCommand(c.Body)
	if err != nil {
		return nil, err
	}
	e.source, e.log, e.past = replySource{}, logReader{view: e.view()}, historyReader{view: e.view()}
	body, err := command.apply(e)
	if err == nil {
		reply = e.okReply(body)
	} else if refused, is := errors.AsType[*webhook.Error](err); is {
		e.source = replySource{}
		reply, err = errorReply(refused)
	}
	if err != nil {
		return nil, err
	}
	replyTable{e}.remember(c, reply)
	return reply, nil
}

// okReply is the function of that name, with the replies of an entry in one piece of memory.
func (e *entry) okReply(body []byte) []byte {
	if size := 1 + len(body); size > cap(e.answers)-len(e.answers) {
		return okReply(body)
	}
	start := len(e.answers)
	e.answers = append(append(e.answers, replyOK), body...)
	return e.answers[start:len(e.answers):len(e.answers)]
}

// finish writes what the commands of the entry have in common; before is the index of the previous
// entry.
func (e *entry) finish(before uint64) error {
	first := e.first()
	for _, c := range e.logs {
		e.setChunk(c.owner, chunkKey(keyLog, c.owner, first), nil, c.data)
	}
	for _, c := range e.history {
		e.setChunk(c.app, chunkKey(keyHistory, c.owner, first), nil, c.data)
	}
	if err := (tallyTable{e}).keep(); err != nil {
		return err
	}
	if err := (taskTable{e}).keep(); err != nil {
		return err
	}
	if err := (changeTable{e}).keep(); err != nil {
		return err
	}
	replyTable{e}.keepRequests()
	e.store.forgetRequests(before, e.batch.meta.index)
	keyTable{e}.forgetExpired()
	replyTable{e}.keepReplies()
	if err := (replyTable{e}).forgetReplies(); err != nil {
		return err
	}
	if err := e.sweep(); err != nil {
		return err
	}
	e.keepShares()
	return nil
}

var (
	errNoApplication = &webhook.Error{Code: webhook.CodeNotFound, Detail: "Application not found"}
	errNoEndpoint    = &webhook.Error{Code: webhook.CodeNotFound, Detail: "Endpoint not found"}
	errOperational   = &webhook.Error{Code: webhook.CodeForbidden, Detail: "Only Hookwheel itself writes the messages of operational webhooks."}
	errNoMessage     = &webhook.Error{Code: webhook.CodeNotFound, Detail: "Message not found"}
	errNoAttempt     = &webhook.Error{Code: webhook.CodeNotFound, Detail: "Attempt not found"}
	errNoPayload     = &webhook.Error{Code: webhook.CodeMissingPayload, Detail: "The payload of this message is gone: it was expunged or has expired"}
	errNoTask        = &webhook.Error{Code: webhook.CodeNotFound, Detail: "Background task not found"}
	errLateProgress  = &webhook.Error{Code: webhook.CodeConflict, Detail: "the leader that made these attempts has been replaced"}
)

// createMessage appends to the log of an application. The reply is the message's ID.
func (e *entry) createMessage(m *webhook.Message) ([]byte, error) {
	if err := e.acceptsMessages(m.App); err != nil {
		return nil, err
	}
	taken, err := e.isTaken(m)
	switch {
	case err != nil:
		return nil, err
	case taken:
		return nil, &webhook.Error{Code: webhook.CodeConflict, Detail: EventIDTaken}
	}
	if err := e.appendToLog(m); err != nil {
		return nil, err
	}
	return m.ID[:], nil
}

// EventIDTaken says why a message is refused.
const EventIDTaken = "a message with this eventId exists already"

// acceptsMessages refuses messages for an application that has no log for them.
func (e *entry) acceptsMessages(id webhook.ID) error {
	switch app := e.store.catalog.applications[id]; {
	case app == nil:
		return errNoApplication
	case app.UID == webhook.OperationalUID:
		return errOperational
	default:
		return nil
	}
}

// isTaken reports whether there is a message with the same event ID.
func (e *entry) isTaken(m *webhook.Message) (taken bool, err error) {
	if m.EventID == "" {
		return false, nil
	}
	_, taken, err = e.store.pending.get(uniqueKey(m.App, m.EventID))
	return taken, err
}

// appendToLog assigns a message its ID and appends it to the log.
func (e *entry) appendToLog(m *webhook.Message) (err error) {
	if m.ID, err = e.id(); err != nil {
		return err
	}
	if m.EventID != "" {
		e.batch.set(uniqueKey(m.App, m.EventID), m.ID[:])
	}
	if key := expiryKey(m); key != nil {
		e.batch.set(key, nil)
	}
	c := chunkOf(&e.logs, m.App)
	if len(e.logs) == 1 && c.data == nil {
		c.data = make([]byte, 0, e.size) // most entries are for one application
	}
	c.data = appendMessage(appendPlaced(c.data, messageVersion, m.ID.Place()), m)
	e.changes.Messages = append(e.changes.Messages, m)
	return nil
}
