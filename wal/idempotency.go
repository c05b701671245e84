package wal

import (
	"context"
	"time"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/webhook"
)

// idempotencyWindow is for how long an idempotency key is known, by the clock of the log.
const idempotencyWindow = 12 * time.Hour

// Once is an idempotency key on its way with a request: each kind of command that is proposed under its context takes
// effect once, however often it is asked for and on whatever node, and has the same reply each time.
type Once struct {
	Key      [16]byte // a hash of who asks, for what, and the word that the asker has chosen
	Repeated bool     // becomes true when the last command had taken effect before
}

type onceContext struct{}

// Context is ctx with the key.
func (o *Once) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, onceContext{}, o)
}

// The first byte of a reply to kindIdempotent; the reply of the command within follows.
const (
	replyFirst    = 0
	replyRepeated = 1
)

// encodeIdempotent: key 16 | the command that is to take effect once.
func encodeIdempotent(key [16]byte, command []byte) []byte {
	dst := make([]byte, 0, 2+len(key)+len(command))
	dst = append(dst, byte(kindIdempotent), commandVersion)
	return append(append(dst, key[:]...), command...)
}

func decodeIdempotent(body []byte) (key [16]byte, command []byte, err error) {
	r := newReader(body, commandVersion)
	copy(key[:], r.take(uint64(len(key))))
	if r.err == nil && (len(r.rest) < 2 || kind(r.rest[0]) == kindIdempotent) {
		r.fail()
	}
	return key, r.rest, r.err
}

// applyOnce does what the command within asks, unless it was asked for under this key before. So the key is kept by the same
// entry that has the effect. What is refused changes nothing, and may be asked for again.
func (e *entry) applyOnce(c *once) ([]byte, error) {
	name := append([]byte{byte(c.kind)}, c.key[:]...)
	reply, found, err := e.answerTo(name)
	if err != nil || found {
		e.source = replySource{key: answerKey(name), form: replyRepeated}
		return append([]byte{replyRepeated}, reply...), err
	}
	if reply, err = c.within.apply(e); err != nil {
		return nil, err
	}
	if len(e.answers) == 0 {
		e.answers = append(e.answers, answersVersion)
	}
	e.answers = append(e.answers, name...)
	e.batch.set(answerKey(name), encodeAnswer(e.first(), reply))
	e.source = replySource{key: answerKey(name), form: replyFirst}
	return append([]byte{replyFirst}, reply...), nil
}

// encodeAnswer: entry 13 | reply. The entry says how old it is, and where the key stands by age.
func encodeAnswer(entry webhook.ID, reply []byte) []byte {
	dst := append([]byte{answersVersion}, entry[:entrySize]...)
	return append(dst, reply...)
}

func decodeAnswer(data []byte) (entry webhook.ID, reply []byte, err error) {
	r := newReader(data, answersVersion)
	if place := r.take(entrySize); place != nil {
		entry = placedID(place, 0)
	}
	return entry, r.rest, r.err
}

// answerTo is the reply that was given under this name and is not too old.
func (e *entry) answerTo(name []byte) (reply []byte, found bool, err error) {
	entry, reply, found, err := e.answer(name)
	return reply, found && !e.outdated(entry), err
}

// answer is the reply that was given under this name, and the entry that gave it.
func (e *entry) answer(name []byte) (entry webhook.ID, reply []byte, found bool, err error) {
	data, found, err := e.store.get(answerKey(name))
	if err != nil || !found {
		return entry, nil, false, err
	}
	entry, reply, err = decodeAnswer(data)
	return entry, reply, err == nil, err
}

// outdated tells whether what an entry has kept is to be forgotten.
func (e *entry) outdated(entry webhook.ID) bool {
	return entry.Millis()+idempotencyWindow.Milliseconds() <= e.batch.meta.clock
}

// keepAnswers writes which idempotency keys this entry has met first.
func (e *entry) keepAnswers() {
	if len(e.answers) > 0 {
		e.store.nouns.aging.add(e.first())
		e.batch.set(agingKey(e.first()), e.answers)
	}
}

// answerNameSize is kind and key.
const answerNameSize = 1 + 16

// forgetAnswers drops the keys of the oldest entry when they are too old, and those of further ones as long as they are few:
// each entry adds one to these, so they do not pile up.
func (e *entry) forgetAnswers() error {
	for forgotten := 0; forgotten < sweepPerEntry; {
		oldest, found, err := e.oldestAnswers()
		if err != nil || !found || !e.outdated(oldest) {
			return err
		}
		names, _, err := e.store.get(agingKey(oldest))
		if err != nil {
			return err
		}
		if err := e.forgetNames(oldest, names); err != nil {
			return err
		}
		forgotten += len(names) / answerNameSize
		e.store.nouns.aging.drop()
		e.batch.delete(agingKey(oldest))
	}
	return nil
}

// forgetNames drops the answers that an entry has given, but for those that were given anew since.
func (e *entry) forgetNames(oldest webhook.ID, names []byte) error {
	for r := newReader(names, answersVersion); r.more() || r.err != nil; {
		name := r.take(answerNameSize)
		if r.err != nil {
			return r.err
		}
		entry, _, found, err := e.answer(name)
		if err != nil {
			return err
		}
		if found && entry == oldest {
			e.batch.delete(answerKey(name))
		}
	}
	return nil
}

// oldestAnswers is the oldest entry with idempotency keys.
func (e *entry) oldestAnswers() (oldest webhook.ID, found bool, err error) {
	a := &e.store.nouns.aging
	if len(a.oldest) == 0 && a.more {
		keys, err := e.firstKeys([]byte{keyAging}, agingAhead)
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

// agingAhead is how many entries with idempotency keys are known in memory: to look for each one as it becomes due takes long.
const agingAhead = 1024

// aging is the entries with idempotency keys, the oldest of them in memory. Only Apply uses it.
type aging struct {
	oldest []webhook.ID // in order
	more   bool         // there are others behind them
}

func (a *aging) add(entry webhook.ID) {
	if a.more || len(a.oldest) == agingAhead {
		a.more = true
		return
	}
	a.oldest = append(a.oldest, entry)
}

func (a *aging) drop() { a.oldest = a.oldest[1:] }

// fill takes the first keys of the records, as many as agingAhead if there are.
func (a *aging) fill(keys [][]byte) {
	a.oldest, a.more = make([]webhook.ID, len(keys)), len(keys) == agingAhead
	for i, key := range keys {
		a.oldest[i] = placedID(key, 0)
	}
}

func (a *aging) load(txn *badger.Txn) error {
	keys, err := firstKeys(txn, []byte{keyAging}, agingAhead)
	if err == nil {
		a.fill(keys)
	}
	return err
}
