package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"hookwheel/cluster"
	"hookwheel/wal"
	"hookwheel/webhook"
)

const linesType = "application/x-ndjson"

// A batch goes into the log in parts, one after the other, so that the messages are in its order
// and requests of others get their turn in between. How it is divided depends on nothing but the
// body, and must not change from version to version: under an idempotency key each part takes
// effect once, under a key of its own, whatever has become of the parts around it. If a part
// fails, those before have taken effect, and the response is the error; a repetition of the
// request continues there and responds as if nothing had happened.
const (
	maxMessages = 1000
	batchTime   = 30 * time.Second // for all parts
	slowTime    = 5 * time.Second  // during which parts may be delayed because deliveries lack CPU
	partBytes   = 60 << 10         // of a part, unless its first message has more
	leastBytes  = 96               // that a message counts at least

	faultsBytes = 256 << 10 // of errors in a response
)

// batchResult is what became of a message: an ID, or errors.
type batchResult struct {
	ID     string        `json:"id,omitempty"`
	Errors []invalidItem `json:"errors,omitempty"`
}

// batch is the work on one request.
type batch struct {
	*request
	app     webhook.ID
	missing error // why there is no app
	items   []item
	results []batchResult
	told    int // bytes of errors so far
}

func createBatch(r *request) (*response, error) {
	b := batch{request: r}
	var err error
	if b.items, err = r.split(); err != nil {
		return nil, err
	}
	app, err := r.named().applicationByName(r.path("app"))
	switch {
	case err == nil:
		b.app = app.ID
	case r.once().key() == nil:
		return nil, err
	default: // it may have been deleted since the request took effect
		b.missing = err
	}
	r.server.live.Load().rates.charge(r.caller, len(b.items)-1, time.Now())
	b.results = make([]batchResult, len(b.items))
	if err := b.send(); err != nil {
		return nil, err
	}
	return accepted(b.results), nil
}

const (
	longTurn = "long body" // the name of the turn of bodies larger than longBody
	longRest = 3
)

// split takes the body apart. Long ones take turns: one that somebody has made for that takes tens
// of milliseconds, and several at once would take all processors. After each, the turns rest for
// longRest times as long.
func (r *request) split() ([]item, error) {
	split := splitArray
	if r.hasLines() {
		split = splitLines
	}
	body := r.body()
	if len(body) <= longBody {
		return split(body)
	}
	ctx, cancel := leaderContext()
	defer cancel()
	end, err := r.server.changes.take(ctx, longTurn, 1)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	defer func() { time.AfterFunc(longRest*time.Since(begin), end) }()
	return split(body)
}

// hasLines reports whether the body is NDJSON.
func (r *request) hasLines() bool {
	mediaType, _, _ := bytes.Cut(r.http.Request.Header.ContentType(), []byte(";"))
	return bytes.EqualFold(bytes.TrimSpace(mediaType), []byte(linesType))
}

// send sends the parts, one after the other.
func (b *batch) send() error {
	ctx, cancel := context.WithTimeout(context.Background(), batchTime)
	defer cancel()
	begun, slow := time.Now(), true
	for first, part := 0, 0; first < len(b.items); part++ {
		if slow && time.Since(begun) > slowTime {
			ctx, slow = cluster.WithoutDelay(ctx), false
		}
		end := partEnd(b.items, first)
		if err := b.sendPart(ctx, part, first, end); err != nil {
			return err
		}
		first = end
	}
	return nil
}

// partEnd returns where the part ends that begins with an item.
func partEnd(items []item, first int) (end int) {
	size := 0
	for end = first; end < len(items) && end-first < wal.MaxMessages; end++ {
		if size += max(len(items[end].text), leastBytes); size > partBytes && end > first {
			break
		}
	}
	return end
}

// sendPart sends the valid messages of a part.
func (b *batch) sendPart(ctx context.Context, part, first, end int) error {
	list := b.parsePart(first, end)
	key := b.partKey(part)
	if len(list) == 0 && (key == nil || part > 0) { // a key is noted even if nothing else is to be done
		return nil
	}
	made, repeated, err := b.createPart(ctx, key, list)
	if err != nil {
		return err
	}
	for _, p := range made {
		at := first + p.Place
		switch {
		case at >= end:
			return fmt.Errorf("the reply to a part of %d messages has a place %d", end-first, p.Place)
		case p.ID.IsZero():
			b.refuse(at, &webhook.Error{Code: webhook.CodeConflict, Field: "eventId", Detail: wal.EventIDTaken})
		default:
			b.results[at] = batchResult{ID: p.ID.Text(webhook.KindMessage)}
			if !repeated {
				b.server.accepted.Inc()
			}
		}
	}
	for _, m := range list { // by now valid, but not when the request was first made
		if at := first + m.Place; b.results[at].ID == "" && b.results[at].Errors == nil {
			b.refuse(at, webhook.Invalid("", "was not valid when this request was first made"))
		}
	}
	return nil
}

// createPart proposes a part, unless it took effect before.
func (b *batch) createPart(ctx context.Context, key *wal.Once, list []wal.PlacedMessage) (made []wal.PlacedID, repeated bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, leaderTimeout)
	defer cancel()
	if key == nil {
		made, err = b.propose(ctx, list)
		return made, false, err
	}
	if kept, err := b.store().Kept(key, time.Now()); kept != nil || err != nil {
		return keptMessages(kept), true, err
	}
	made, err = b.propose(key.Context(ctx), list)
	var refused *webhook.Error
	if !errors.As(err, &refused) || refused.Code == webhook.CodeKeyReused || b.current() != nil {
		return made, key.Repeated, err
	}
	// It may be refused only because it took effect before, which this node did not know.
	if kept, failed := b.store().Kept(key, time.Now()); kept != nil || failed != nil {
		return keptMessages(kept), true, failed
	}
	return nil, false, err
}

// propose appends the messages of a part to the log.
func (b *batch) propose(ctx context.Context, list []wal.PlacedMessage) ([]wal.PlacedID, error) {
	if b.missing != nil {
		return nil, b.missing
	}
	trace := b.trace(b.app)
	kept, begun := trace.commit()
	for i := range list {
		list[i].Trace = kept
	}
	made, err := b.server.config.Writer.CreateMessages(ctx, b.app, list)
	var id webhook.ID
	count := 0
	for _, p := range made {
		if !p.ID.IsZero() {
			id = p.ID
			count++
		}
	}
	trace.committed(begun, count, id, err)
	return made, err
}

func keptMessages(kept *wal.Kept) []wal.PlacedID {
	if kept == nil {
		return nil
	}
	return kept.Messages
}

// partKey returns the idempotency key of a part, or nil. That of the first one is the key of the
// request, so that it is noticed if another request has the same.
func (b *batch) partKey(part int) *wal.Once {
	key := b.once().key()
	if key == nil || part == 0 {
		return key
	}
	return &wal.Once{Key: hashOf(key.Key[:], key.Fingerprint[:], fmt.Append(nil, part)), Fingerprint: key.Fingerprint}
}

// parsePart returns the messages of a part that are valid.
func (b *batch) parsePart(first, end int) (list []wal.PlacedMessage) {
	for at := first; at < end; at++ {
		m, err := b.parse(b.items[at])
		if err != nil {
			b.refuse(at, err)
			continue
		}
		m.App = b.app
		list = append(list, wal.PlacedMessage{Place: at - first, Message: m.Message})
	}
	return list
}

func (b *batch) parse(i item) (m messageIn, err error) {
	if limit := b.server.config.MaxBody; len(i.text) > limit {
		return m, &webhook.Error{Code: webhook.CodeTooLarge, Detail: fmt.Sprintf(
			"the message is larger than the %d bytes that one may have; api.max_body changes that", limit)}
	}
	if i.err != nil {
		return m, i.err
	}
	return messageInPlace("the message", i.text, i.fields)
}

// refuse notes what is wrong with a message.
func (b *batch) refuse(at int, err error) {
	many := faultsIn(err)
	if many == nil {
		many = manyInvalid{webhook.Invalid("", "is not valid")}
	}
	b.results[at].Errors = invalidItems(many, "body", fmt.Sprintf("[%d]", at))
	if text, err := json.Marshal(b.results[at].Errors); err == nil {
		b.told += len(text)
	}
	if b.told > faultsBytes {
		b.results[at].Errors = invalidItems(manyInvalid{webhook.Invalid("", fmt.Sprintf(
			"is not valid: the errors before this one take the %d KiB that a response has for them", faultsBytes>>10))}, "body", fmt.Sprintf("[%d]", at))
	}
}

var (
	errNotArray     = webhook.Invalid("", "the body is not valid JSON")
	errNoMessages   = webhook.Invalid("", fmt.Sprintf("the batch has no messages: send 1 to %d", maxMessages))
	errManyMessages = webhook.Invalid("", fmt.Sprintf("the batch has more than %d messages, which is the limit: send several", maxMessages))
)

// item is the text of a message with the places of its fields, or what is wrong with it as JSON.
type item struct {
	text   []byte
	fields fields
	err    error
}

// newItem returns the item with a text.
func newItem(text []byte) item {
	found, err := checkJSON("the message", text)
	return item{text, found, err}
}

const space = " \t\r\n" // that JSON allows between tokens

// splitLines returns the lines that are not blank.
func splitLines(text []byte) (items []item, err error) {
	for line := range bytes.Lines(text) {
		line = bytes.Trim(line, space)
		switch {
		case len(line) == 0:
			continue
		case len(items) == maxMessages:
			return nil, errManyMessages
		}
		items = append(items, newItem(line))
	}
	if len(items) == 0 {
		return nil, errNoMessages
	}
	return items, nil
}

// splitArray returns the items of a JSON array. Each is checked by itself, so one that is nested
// too deep does not spoil the others.
func splitArray(text []byte) (items []item, err error) {
	text = bytes.Trim(text, space)
	if len(text) == 0 {
		return nil, webhook.Invalid("", "the body is empty, a JSON array of messages was expected")
	}
	if text[0] != '[' {
		return nil, webhook.Invalid("", "the body is not a JSON array; with the content type application/x-ndjson, each line is a message")
	}
	for rest := text[1:]; ; {
		one, end := firstItem(rest)
		last := end == len(rest) || rest[end] != ','
		switch {
		case last && len(one.text) == 0 && len(items) == 0 && string(rest[end:]) == "]":
			return nil, errNoMessages
		case last && string(rest[end:]) != "]":
			return nil, errNotArray
		case len(items) == maxMessages:
			return nil, errManyMessages
		}
		if one.err != nil && utf8.Valid(one.text) && !tooDeep(one.text) {
			return nil, errNotArray
		}
		if items = append(items, one); last {
			return items, nil
		}
		rest = rest[end+1:]
	}
}

// firstItem returns the item that a text within an array begins with, and where it ends: at a
// comma, or, if it is the last one, at the bracket behind it or the end of the text.
func firstItem(text []byte) (first item, end int) {
	w := walk{text: text}
	w.next()
	start := w.at
	if w.document() {
		first = item{text: text[start:w.at], fields: w.fields}
		first.fields.move(-start)
		if c := w.next(); c == ',' || c == ']' {
			return first, w.at
		}
	}
	end = itemEnd(text)
	return newItem(bytes.Trim(text[:end], space)), end
}

// itemEnd returns where an item of an array ends that may not be JSON.
func itemEnd(text []byte) int {
	depth, inString := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
		case depth == 0 && (c == ',' || c == ']' || c == '}'):
			return i
		case c == '}' || c == ']':
			depth--
		}
	}
	return len(text)
}
