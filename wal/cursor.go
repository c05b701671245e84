package wal

import (
	"encoding/binary"
	"slices"
	"time"

	"hookwheel/webhook"
)

// cursor is an endpoint's position in its log, with further state that changes at each step. All
// messages up to position are settled, postponed or filtered out. Of the later ones, so are those
// in done, because responses do not arrive in order. done is sorted, and holds at most as many as
// the scheduler lets run ahead.
type cursor struct {
	position webhook.ID
	done     []webhook.ID
	fares    string // its health as appendHealth writes it, which takes less memory; empty: zero
	counts   counts
	skips    []skip // the last maxSkips of them, in log order
	record   int32  // bytes of the endpoint's record: it is here to save memory
}

// health returns how the endpoint fares.
func (c *cursor) health() (h webhook.Health) {
	if c.fares != "" {
		readHealth(&reader{rest: []byte(c.fares)}, &h)
	}
	return h
}

func (c *cursor) setHealth(h *webhook.Health) {
	c.fares = ""
	if *h != (webhook.Health{}) {
		c.fares = string(appendHealth(nil, h))
	}
}

// maxSkips is how many skips a cursor remembers. Beyond that the two oldest are merged. Attempts
// still show what was attempted between them.
const maxSkips = 16

// skip is a range of the log that a user told an endpoint to skip: after from, up to to.
type skip struct {
	from, to webhook.ID
	at       int64 // in milliseconds since the Unix epoch
}

// counts holds the counts of one endpoint.
type counts struct {
	waiting uint64 // lines in its retry set
	held    uint64 // in its held set
	manual  uint64 // in its manual set
	expired uint64 // messages that it wanted and that left the log before they were settled

	recent recent // attempts; earlier ones are in records of their own, under N
}

// encode: position 20 | health flags, then what they name | counts | skips | recent attempts | done
func (c *cursor) encode() []byte {
	dst := append([]byte{cursorVersion}, c.position[:]...)
	health := c.health()
	dst = appendHealth(dst, &health)
	n := &c.counts
	for _, count := range []uint64{n.waiting, n.held, n.manual, n.expired, uint64(len(c.skips))} {
		dst = binary.AppendUvarint(dst, count)
	}
	for _, s := range c.skips {
		dst = append(append(dst, s.from[:]...), s.to[:]...)
		dst = binary.AppendUvarint(dst, uint64(s.at))
	}
	dst = appendRecent(dst, &n.recent)
	for i := range c.done {
		dst = append(dst, c.done[i][:]...)
	}
	return dst
}

func (c *cursor) decode(data []byte) error {
	r := newReader(data, cursorVersion)
	*c = cursor{position: r.id()}
	var health webhook.Health
	readHealth(r, &health)
	c.setHealth(&health)
	n := &c.counts
	var skips uint64
	for _, count := range []*uint64{&n.waiting, &n.held, &n.manual, &n.expired, &skips} {
		*count = r.uvarint()
	}
	for ; skips > 0 && r.err == nil; skips-- {
		c.skips = append(c.skips, skip{from: r.id(), to: r.id(), at: int64(r.uvarint())})
	}
	n.recent = readRecent(r)
	for r.more() {
		c.done = append(c.done, r.id())
	}
	return r.err
}

const (
	healthFailing = 1 << 0
	healthParked  = 1 << 1
	healthRests   = 1 << 2
)

// appendHealth: flags 1 | with failing: since, last failure | with parked: since, probes, next
// probe | with rests: until
func appendHealth(dst []byte, h *webhook.Health) []byte {
	flags := len(dst)
	dst = append(dst, 0)
	if !h.FailingSince.IsZero() {
		dst[flags] |= healthFailing
		dst = appendBytes(appendTime(dst, h.FailingSince), h.LastFailure)
	}
	if h.Parked {
		dst[flags] |= healthParked
		dst = binary.AppendUvarint(appendTime(dst, h.Since), uint64(h.Probes))
		dst = appendTime(dst, h.NextProbe)
	}
	if !h.Rests.IsZero() {
		dst[flags] |= healthRests
		dst = appendTime(dst, h.Rests)
	}
	return dst
}

func readHealth(r *reader, h *webhook.Health) {
	flags := r.byte()
	if flags&healthFailing != 0 {
		h.FailingSince, h.LastFailure = r.time(), r.string()
	}
	if flags&healthParked != 0 {
		h.Parked, h.Since, h.Probes, h.NextProbe = true, r.time(), r.uint32(), r.time()
	}
	if flags&healthRests != 0 {
		h.Rests = r.time()
	}
}

// isFresh reports whether the cursor has yet to take the message from the log.
func (c *cursor) isFresh(message webhook.ID) bool {
	_, done := slices.BinarySearchFunc(c.done, message, webhook.ID.Compare)
	return message.After(c.position) && !done
}

func (c *cursor) settle(message webhook.ID) {
	i, done := slices.BinarySearchFunc(c.done, message, webhook.ID.Compare)
	if !done {
		c.done = slices.Insert(c.done, i, message)
	}
}

// advance moves the position forward, never back, and drops what lies behind it from done.
func (c *cursor) advance(position webhook.ID) {
	if position.After(c.position) {
		c.position = position
	}
	behind, found := slices.BinarySearchFunc(c.done, c.position, webhook.ID.Compare)
	if found {
		behind++
	}
	if c.done = slices.Delete(c.done, 0, behind); len(c.done) == 0 && cap(c.done) > keptDone {
		c.done = nil
	}
}

// keptDone is for how many IDs an endpoint that waits for nothing keeps memory.
const keptDone = 4

// skip moves the position forward to a message because a user asked for it; now is in milliseconds
// since the Unix epoch.
func (c *cursor) skip(to webhook.ID, now int64) {
	last := len(c.skips) - 1
	if last >= 0 && c.skips[last].to == c.position {
		c.skips[last].to, c.skips[last].at = to, now
	} else {
		c.skips = append(c.skips, skip{from: c.position, to: to, at: now})
	}
	if len(c.skips) > maxSkips {
		c.skips[1].from = c.skips[0].from
		c.skips = slices.Delete(c.skips, 0, 1)
	}
	c.advance(to)
}

// skipped reports whether and when a user told the endpoint to skip a message.
func (c *cursor) skipped(message webhook.ID) (at time.Time, skipped bool) {
	for _, s := range c.skips {
		if message.After(s.from) && !message.After(s.to) {
			return time.UnixMilli(s.at).UTC(), true
		}
	}
	return at, false
}
