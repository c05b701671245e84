package wal

import (
	"bytes"
	"slices"
	"time"

	"hookwheel/webhook"
)

// retain removes messages that were kept long enough, with their event IDs and attempts. It ends
// when it has looked at as many records, or read as many bytes of chunks, as one command may.
// Attempts of the last message may then be left to sweep.
func (e *entry) retain(c *retain) error {
	r := retainer{entry: e, before: c.Before, size: c.Size, share: c.Share, budget: c.Records, bytes: retainBytes,
		history: make(map[string]*goneAttempts), freed: make(map[webhook.ID]int64), cursors: make(map[webhook.ID]*cursor),
		removed: make(map[webhook.ID]webhook.ID), left: make(map[webhook.ID]webhook.ID)}
	if err := r.forgetTallies(c.Tallies); err != nil {
		return err
	}
	for len(e.store.catalog.dropped) > 0 && !r.isSpent() {
		if err := r.goOn(); err != nil {
			return err
		}
	}
	for _, part := range c.Parts {
		if e.store.catalog.applications[part.App] == nil { // sweep removes it
			continue
		}
		if r.isSpent() || r.isSmall() {
			r.unfinished(part.App, part.Entry)
			continue
		}
		if err := r.retainPart(part.App, part.Entry); err != nil {
			return err
		}
	}
	r.rewriteHistory()
	r.keepCursors()
	if err := r.keepExpiries(); err != nil {
		return err
	}
	return r.keepFronts(c.Looked)
}

// retainBytes is roughly how many bytes of chunks one retain command reads and rewrites.
const retainBytes = 4 << 20

// retainer is the work of one command.
type retainer struct {
	*entry
	before  int64
	size    int64                    // not 0: what no endpoint waits for goes, whatever its age
	share   int64                    // then: what each application may keep
	budget  int                      // records that may yet be looked at
	bytes   int                      // of chunks, likewise
	history map[string]*goneAttempts // by the key of their chunk
	freed   map[webhook.ID]int64     // by application: roughly how much smaller its chunks will be once rewritten
	cursors map[webhook.ID]*cursor   // those that have changed
	names   int                      // in filters that were compared with a message

	at  webhook.ID // the application of the last message that was looked at
	its recipients // of that application

	removed map[webhook.ID]webhook.ID // by application: the last part of its log of which nothing is left
	left    map[webhook.ID]webhook.ID // by application: the first part of its log that is not finished
}

// goneAttempts are attempts to remove from a chunk of a history.
type goneAttempts struct {
	app   webhook.ID // to whose share the chunk counts
	chunk []byte     // as it was
	list  []webhook.Attempt
	ids   map[webhook.ID]bool
}

// isSpent reports whether the command has used its budget.
func (r *retainer) isSpent() bool { return r.budget <= 0 || r.bytes <= 0 }

// isSmall reports whether the records are down to the requested size.
func (r *retainer) isSmall() bool {
	if r.size == 0 {
		return false
	}
	bytes := r.batch.meta.bytes
	for _, freed := range r.freed { // a sum: the order does not matter
		bytes -= freed
	}
	return bytes <= r.size
}

// isWithinShare reports whether an application holds no more than its share.
func (r *retainer) isWithinShare(app webhook.ID) bool {
	return r.size > 0 && r.held(app)-r.freed[app] <= r.share
}

// leaves reports whether a message is to be removed.
func (r *retainer) leaves(m *webhook.Message) (bool, error) {
	if r.size == 0 {
		return r.isDue(m), nil
	}
	wanted, err := r.wanted(m)
	return !wanted, err
}

// isDue reports whether the retention of a message has ended.
func (r *retainer) isDue(m *webhook.Message) bool {
	if m.Retention != 0 {
		return leavesAt(m) <= r.batch.meta.clock
	}
	return begin(m) < r.before
}

// unfinished records that something in a part of a log is yet to leave.
func (r *retainer) unfinished(app, entry webhook.ID) {
	entry = entryOf(entry[:entrySize])
	if first, found := r.left[app]; !found || first.After(entry) {
		r.left[app] = entry
	}
}

// retainPart looks at the messages that one entry has added to a log.
func (r *retainer) retainPart(app, entry webhook.ID) error {
	key := chunkKey(keyLog, app, entry)
	data, found, err := r.store.pending.get(key)
	if err != nil || !found {
		return err
	}
	list, err := decodeMessages(key, data, app)
	if err != nil {
		return err
	}
	r.budget--
	r.bytes -= len(data)
	gone := make([]bool, len(list))
	freed := int64(0) // of this chunk
	first := 0
	if r.size > 0 && len(list) > 0 { // lest messages that stay spend the budget of each command
		first = int(r.batch.meta.index % uint64(len(list)))
	}
	for i := range list {
		i = (first + i) % len(list)
		if gone[i], err = r.retainMessage(&list[i], entry); err != nil {
			return err
		}
		if gone[i] {
			freed += int64(len(data) / len(list))
			r.freed[app] += int64(len(data) / len(list))
		}
	}
	var kept []webhook.Message
	for i := range list {
		if !gone[i] {
			kept = append(kept, list[i])
		}
	}
	r.budget -= len(kept)
	if len(kept) < len(list) {
		r.freed[app] -= freed
		r.setChunk(app, key, data, encodeMessages(kept)) // nil if none are kept
	}
	if len(kept) == 0 {
		r.removed[app] = latest(r.removed[app], entryOf(key))
	}
	return nil
}

// retainMessage drops a message that is to be removed, if there is budget left for it.
func (r *retainer) retainMessage(m *webhook.Message, entry webhook.ID) (dropped bool, err error) {
	if r.isSpent() {
		r.unfinished(m.App, entry)
		return false, nil
	}
	if r.isWithinShare(m.App) {
		return false, nil
	}
	leaves, err := r.leaves(m)
	if err != nil || !leaves {
		return false, err
	}
	if dropped, err = r.drop(m); !dropped {
		r.unfinished(m.App, entry)
	}
	return dropped, err
}

// drop deletes everything about a message except its position in its chunk. A message with an
// attempt recorded by this entry, in a chunk that is not written yet, stays until the next time. If
// a message has too many attempts for one command, later commands remove the rest, and a record
// says so.
func (r *retainer) drop(m *webhook.Message) (dropped bool, err error) {
	r.budget--
	busy := false
	err = r.store.pending.seek(idKey(keyIndex, m.ID), idKey(keyIndex, m.ID, r.first()), func(_, _ []byte) error {
		busy = true
		return errStop
	})
	if err != nil || busy {
		return false, err
	}
	lines, err := r.linesOf(m)
	if err != nil {
		return false, err
	}
	r.batch.meta.left = max(r.batch.meta.left, m.ID.Millis())
	if m.EventID != "" {
		r.batch.delete(uniqueKey(m.App, m.EventID))
	}
	if key := expiryKey(m); key != nil {
		r.batch.delete(key)
	}
	if err := r.forget(m, lines); err != nil {
		return false, err
	}
	gone := droppedMessage{id: m.ID, app: m.App}
	all, err := r.dropAttempts(&gone)
	if err == nil && !all {
		r.note(gone)
	}
	return true, err
}

// dropAttempts deletes attempts of a message, up to the command's budget; all reports whether none
// are left.
func (r *retainer) dropAttempts(m *droppedMessage) (all bool, err error) {
	prefix := idKey(keyIndex, m.id)
	all = true
	err = r.store.pending.seek(prefix, idKey(keyIndex, m.id, m.after), func(line, endpoint []byte) error {
		if r.isSpent() {
			all = false
			return errStop
		}
		r.budget--
		id := webhook.ID(line[len(prefix):])
		chunk := string(chunkKey(keyHistory, webhook.ID(endpoint), id))
		gone := r.history[chunk]
		if gone == nil {
			if gone, err = r.readHistory(m.app, chunk); err != nil {
				return err
			}
			r.history[chunk] = gone
			r.bytes -= len(gone.chunk)
		}
		gone.ids[id], m.after = true, id
		if len(gone.list) > 0 {
			r.freed[m.app] += int64(len(gone.chunk) / len(gone.list))
		}
		r.batch.delete(bytes.Clone(line))
		return nil
	})
	return all, err
}

// readHistory reads a chunk of a history.
func (r *retainer) readHistory(app webhook.ID, chunk string) (*goneAttempts, error) {
	data, found, err := r.store.pending.get([]byte(chunk))
	gone := &goneAttempts{app: app, chunk: data, ids: make(map[webhook.ID]bool)}
	if err == nil && found {
		gone.list, err = decodeAttempts([]byte(chunk), data, webhook.ID([]byte(chunk)[1:1+idSize]))
	}
	return gone, err
}

// note records that a message has left the log before all of its attempts.
func (r *retainer) note(m droppedMessage) {
	r.store.mu.Lock()
	r.store.catalog.dropped = append(r.store.catalog.dropped, m)
	slices.SortFunc(r.store.catalog.dropped, func(a, b droppedMessage) int { return a.id.Compare(b.id) }) // the order in which a restarted node finds them
	r.store.mu.Unlock()
	r.batch.set(droppedKey(m.id), m.encode())
}

// goOn deletes attempts of the first such message.
func (r *retainer) goOn() error {
	first := &r.store.catalog.dropped[0]
	all, err := r.dropAttempts(first)
	if err != nil {
		return err
	}
	if !all {
		r.batch.set(droppedKey(first.id), first.encode())
		return nil
	}
	r.batch.delete(droppedKey(first.id))
	r.store.mu.Lock()
	r.store.catalog.dropped = r.store.catalog.dropped[1:]
	r.store.mu.Unlock()
	return nil
}

// rewriteHistory removes the attempts from their chunks.
func (r *retainer) rewriteHistory() {
	for key, gone := range r.history { // any order will do: each is a record of its own
		if gone.chunk == nil {
			continue
		}
		list := slices.DeleteFunc(gone.list, func(a webhook.Attempt) bool { return gone.ids[a.ID] })
		r.setChunk(gone.app, []byte(key), gone.chunk, encodeAttempts(list)) // nil if none are left
	}
}

// settleGone settles the outcomes of messages that have left the log, and removes them from p: no
// trace of them is kept.
func (e *entry) settleGone(p *webhook.Progress) error {
	endpoint, c := e.store.catalog.endpoints[p.Endpoint], e.store.catalog.cursors[p.Endpoint]
	kept := p.Outcomes[:0]
	for i := range p.Outcomes {
		o := p.Outcomes[i]
		gone := false
		if o.Attempt.Message.Millis() <= e.batch.meta.left {
			m, err := e.log.message(endpoint.App, o.Attempt.Message)
			if err != nil {
				return err
			}
			gone = m == nil
		}
		if !gone {
			kept = append(kept, o)
			continue
		}
		if o.Source == webhook.SourceLog {
			continue
		}
		o.Attempt.Next = time.Time{}
		e.store.mu.Lock()
		_, err := recorder{e}.take(p.Endpoint, c, &o)
		e.store.mu.Unlock()
		if err != nil {
			return err
		}
	}
	p.Outcomes = kept
	return nil
}
