package wal

import (
	"context"
	"slices"
	"time"

	"hookwheel/webhook"
)

// IdempotencyWindow is how long an idempotency key is known, by the log's clock.
const IdempotencyWindow = 12 * time.Hour

// Once is the idempotency key of a request. The command that is proposed with its context takes
// effect once and returns the same reply each time, however often and on whichever node it is
// requested.
type Once struct {
	Key         [16]byte // a hash of the caller and the word that the caller chose
	Fingerprint [16]byte // a hash of the request: method, path, query and body
	Repeated    bool     // set to true if the command had taken effect before
	Size        int      // set to what keeping the key and the reply takes at most, unless the command had taken effect before
}

var errKeyReused = &webhook.Error{Code: webhook.CodeKeyReused, Field: "idempotency-key",
	Detail: "was used for a different request in the last 12 hours, with another path, query or body: use a new key for each request, and a key again only to repeat its request"}

type onceContext struct{}

// Context returns ctx with the key.
func (o *Once) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, onceContext{}, o)
}

// The first byte of a reply to kindIdempotent. The reply of the inner command follows.
const (
	replyFirst    = 0
	replyRepeated = 1
)

// encodeIdempotent: key 16 | fingerprint 16 | the command to apply once.
func encodeIdempotent(key, fingerprint [16]byte, command []byte) []byte {
	dst := make([]byte, 0, 2+len(key)+len(fingerprint)+len(command))
	dst = append(dst, byte(kindIdempotent), commandVersion)
	return append(append(append(dst, key[:]...), fingerprint[:]...), command...)
}

func decodeIdempotent(body []byte) (key, fingerprint [16]byte, command []byte, err error) {
	r := newReader(body, commandVersion)
	copy(key[:], r.take(uint64(len(key))))
	copy(fingerprint[:], r.take(uint64(len(fingerprint))))
	if r.err == nil && (len(r.rest) < 2 || kind(r.rest[0]) == kindIdempotent || kind(r.rest[0]) == kindBehalf) {
		r.fail()
	}
	return key, fingerprint, r.rest, r.err
}

// replyTable finds and keeps the replies to commands for an entry: by request, for as long as a
// try of it may still come, and by idempotency key.
type replyTable struct{ *entry }

// applyOnce applies the inner command, unless the same key came with it before. The entry that has
// the effect stores the key too. A refused command changes nothing and may be requested again.
func (e replyTable) applyOnce(c *once) ([]byte, error) {
	name := c.key[:]
	kept, found, err := e.replyTo(name)
	switch {
	case err != nil:
		return nil, err
	case found && (kept.fingerprint != c.fingerprint || kept.kind != c.kind):
		return nil, errKeyReused
	case found:
		e.source = replySource{key: replyKey(name), form: replyRepeated}
		whole, err := kept.whole(e.store.pending.get)
		return append([]byte{replyRepeated}, whole...), err
	}
	reply, err := c.within.apply(e.entry)
	if err != nil {
		return nil, err
	}
	if m, is := c.within.(*createMessage); is && !m.Only.IsZero() {
		reply = slices.Concat(reply, m.Payload)
	}
	if len(e.replies) == 0 {
		e.replies = append(e.replies, repliesVersion)
	}
	e.replies = append(e.replies, name...)
	keep := reply
	if c.kind == kindCreateApplication && e.source.form == formFound && len(reply) > maxFoundReply {
		keep = e.source.key
	}
	e.batch.set(replyKey(name), encodeKeptReply(&keptReply{e.first(), c.fingerprint, c.kind, keep}))
	e.source = replySource{key: replyKey(name), form: replyFirst}
	return append([]byte{replyFirst}, reply...), nil
}

// keepAnswer is the body of kindKeepAnswer. It has no effect but with an idempotency key, which
// then keeps it: the answer to a request that consists of many changes, or of none.
type keepAnswer []byte

// encodeKeepAnswer: the answer preceded by its length.
func encodeKeepAnswer(answer []byte) []byte {
	return appendBytes([]byte{byte(kindKeepAnswer), commandVersion}, answer)
}

func decodeKeepAnswer(body []byte) (keepAnswer, error) {
	r := newReader(body, commandVersion)
	answer := r.bytes()
	return answer, r.end()
}

func (c keepAnswer) validate() error {
	if len(c) > maxAnswer {
		return tooLarge("the response that is kept under the Idempotency-Key", maxAnswer)
	}
	return nil
}

// KeepAnswer keeps an answer under the idempotency key of the context, and returns the one that is
// kept: another if the key has one already.
func (w *Writer) KeepAnswer(ctx context.Context, answer []byte) (kept []byte, err error) {
	return w.client.propose(ctx, encodeKeepAnswer(answer))
}

// maxFoundReply is how many bytes a kept reply about an application may have that was there
// already.
const maxFoundReply = 1 << 10

// keptReply is the record of an idempotency key. For a message it contains the ID, and if that is
// an example the payload, since no repetition has that: the event type may be another by then. For
// a large application that was there already it contains the key of its record, since small
// requests without end may find it. For other objects it contains the object as it was.
type keptReply struct {
	entry       webhook.ID // determines its age, and its position in the order of age
	fingerprint [16]byte   // of the request
	kind        kind       // of the command
	reply       []byte
}

// encodeKeptReply: entry 13 | fingerprint 16 | kind 1 | reply.
func encodeKeptReply(a *keptReply) []byte {
	dst := make([]byte, 0, 1+entrySize+len(a.fingerprint)+1+len(a.reply))
	dst = append(append(dst, repliesVersion), a.entry[:entrySize]...)
	dst = append(append(dst, a.fingerprint[:]...), byte(a.kind))
	return append(dst, a.reply...)
}

func decodeKeptReply(data []byte) (a keptReply, err error) {
	r := newReader(data, repliesVersion)
	if place := r.take(entrySize); place != nil {
		a.entry = placedID(place, 0)
	}
	copy(a.fingerprint[:], r.take(uint64(len(a.fingerprint))))
	a.kind, a.reply = kind(r.byte()), r.rest
	return a, r.err
}

// whole returns the reply. A large application that was there already is read again, with get.
func (a *keptReply) whole(get func(key []byte) (value []byte, found bool, err error)) ([]byte, error) {
	if a.kind != kindCreateApplication || len(a.reply) == 0 || a.reply[0] != keyApplication {
		return a.reply, nil
	}
	value, found, err := get(a.reply)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, errReplyGone
	}
	var c createApplication
	if err := decodeJSON(value, &c.Application); err != nil {
		return nil, err
	}
	return encodeJSON(c)
}

// replyTo returns the kept reply of this name, unless it is too old.
func (e replyTable) replyTo(name []byte) (kept keptReply, found bool, err error) {
	kept, found, err = e.findReply(name)
	return kept, found && !e.isOutdated(kept.entry), err
}

// findReply returns the kept reply of this name.
func (e replyTable) findReply(name []byte) (kept keptReply, found bool, err error) {
	data, found, err := e.store.pending.get(replyKey(name))
	if err != nil || !found {
		return kept, false, err
	}
	kept, err = decodeKeptReply(data)
	return kept, err == nil, err
}

// isOutdated reports whether the replies of an entry are too old to keep.
func (e replyTable) isOutdated(entry webhook.ID) bool {
	return entry.Millis()+IdempotencyWindow.Milliseconds() <= e.batch.meta.clock
}

// keepReplies records which idempotency keys this entry was the first to use.
func (e replyTable) keepReplies() {
	if len(e.replies) > 0 {
		e.store.catalog.aging.add(e.first())
		e.batch.set(agingKey(e.first()), e.replies)
	}
}

// keptOverhead is how many bytes an idempotency key takes besides the reply: in Y its key, its
// entry, fingerprint and kind, and in y, at worst, a record of its own.
const keptOverhead = (1 + replyNameSize) + (1 + entrySize + 16 + 1) + (1 + entrySize + 1 + replyNameSize)

// replyNameSize is the size of the name of an idempotency key.
const replyNameSize = 16

// forgetReplies removes the keys of the oldest entry when they are too old, and those of a few
// more entries while they have few keys. An entry adds keys of one entry only, so they do not pile
// up.
func (e replyTable) forgetReplies() error {
	for forgotten := 0; forgotten < sweepPerEntry; {
		oldest, found, err := e.oldestReplies()
		if err != nil || !found || !e.isOutdated(oldest) {
			return err
		}
		names, _, err := e.store.pending.get(agingKey(oldest))
		if err != nil {
			return err
		}
		if err := e.forgetNames(oldest, names); err != nil {
			return err
		}
		forgotten += len(names) / replyNameSize
		e.store.catalog.aging.drop()
		e.batch.delete(agingKey(oldest))
	}
	return nil
}

// forgetNames removes the replies that an entry has given, except those that a later entry has
// replaced.
func (e replyTable) forgetNames(oldest webhook.ID, names []byte) error {
	for r := newReader(names, repliesVersion); r.more() || r.err != nil; {
		name := r.take(replyNameSize)
		if r.err != nil {
			return r.err
		}
		kept, found, err := e.findReply(name)
		if err != nil {
			return err
		}
		if found && kept.entry == oldest {
			e.batch.delete(replyKey(name))
		}
	}
	return nil
}

// oldestReplies returns the oldest entry with idempotency keys.
func (e replyTable) oldestReplies() (oldest webhook.ID, found bool, err error) {
	a := &e.store.catalog.aging
	if len(a.oldest) == 0 && a.more {
		keys, err := e.firstKeys([]byte{keyAging}, agingKey(a.dropped), agingAhead)
		if err != nil {
			return oldest, false, err
		}
		a.fill(keys)
	}
	if len(a.oldest) == 0 {
		return oldest, false, nil
	}
	return a.oldest[0], true, nil
}

// agingAhead is how many entries with idempotency keys are kept in memory, because reading each
// one as it becomes due takes long.
const agingAhead = 1024

// aging holds the oldest entries with idempotency keys in memory. Only Apply uses it.
type aging struct {
	oldest  []webhook.ID // in order
	more    bool         // more of them follow in the store
	dropped webhook.ID   // there are none up to here
}

func (a *aging) add(entry webhook.ID) {
	if a.more || len(a.oldest) == agingAhead {
		a.more = true
		return
	}
	a.oldest = append(a.oldest, entry)
}

func (a *aging) drop() { a.dropped, a.oldest = a.oldest[0], a.oldest[1:] }

// fill takes the first keys of the records, up to agingAhead.
func (a *aging) fill(keys [][]byte) {
	a.oldest, a.more = make([]webhook.ID, len(keys)), len(keys) == agingAhead
	for i, key := range keys {
		a.oldest[i] = placedID(key, 0)
	}
}

func (a *aging) load(v view) error {
	keys, err := firstKeysIn(v, []byte{keyAging}, agingAhead)
	if err == nil {
		a.fill(keys)
	}
	return err
}
