package wal

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"hookwheel/webhook"
)

// Versions of the binary formats.
const (
	metaVersion     = 1
	messageVersion  = 1
	attemptVersion  = 1
	cursorVersion   = 1
	requestsVersion = 1
	repliesVersion  = 1
	shareVersion    = 1
	frontVersion    = 1
)

// meta describes how far the state machine has come.
type meta struct {
	index, term uint64
	clock       int64                // milliseconds since the Unix epoch; the log's clock, which never goes back
	bytes       int64                // of all records but this one, keys and values
	left        int64                // milliseconds: time of the newest message that retention has removed; 0: none
	confIndex   uint64               // of the newest Raft configuration
	conf        []byte               // that configuration, as the cluster package wrote it
	expiries    [expiryClasses]int64 // milliseconds: by class, no line under X is due before
	tallies     tallyQueues
	removed     removedByClass
	untold      uint64 // changes of customers without an operational message, because they were too many
}

func (m *meta) encode() []byte {
	dst := []byte{metaVersion}
	dst = binary.AppendUvarint(dst, m.index)
	dst = binary.AppendUvarint(dst, m.term)
	dst = binary.AppendUvarint(dst, uint64(m.clock))
	dst = binary.AppendUvarint(dst, uint64(m.bytes))
	dst = binary.AppendUvarint(dst, uint64(m.left))
	for _, due := range m.expiries {
		dst = binary.AppendUvarint(dst, uint64(due))
	}
	dst = binary.AppendUvarint(dst, m.confIndex)
	dst = binary.AppendUvarint(m.removed.append(m.tallies.append(dst)), m.untold)
	return appendBytes(dst, m.conf)
}

func (m *meta) decode(data []byte) error {
	r := newReader(data, metaVersion)
	m.index, m.term, m.clock = r.uvarint(), r.uvarint(), int64(r.uvarint())
	m.bytes, m.left = int64(r.uvarint()), int64(r.uvarint())
	for class := range m.expiries {
		m.expiries[class] = int64(r.uvarint())
	}
	m.confIndex = r.uvarint()
	m.tallies.read(r)
	m.removed.read(r)
	m.untold = r.uvarint()
	m.conf = slices.Clone(r.bytes())
	return r.end()
}

// Optional fields of a message; most messages have none of them.
const (
	messageTags        = 1 << 0
	messageOrderingKey = 1 << 1
	messageDeliverAt   = 1 << 2
	messageRetention   = 1 << 3
	messageOnly        = 1 << 4
	messageContentType = 1 << 5
	messageRaw         = 1 << 6
	messageExpunged    = 1 << 7
	messageTrace       = 1 << 8
)

const (
	traceSampled = 1  // the flag of a trace context
	traceBytes   = 64 // that one takes, about
)

// appendMessage writes what is the same in a command and in the log: all but the ID.
//
//	event type | event id | channels | payload | flags | what the flags name, in their order
//
// Strings have their length before them, flags are a uvarint, retention is in hours. A trace is
//
//	trace 16 | span 8 | flags 1 | tracestate
func appendMessage(dst []byte, m *webhook.Message) []byte {
	dst = appendBytes(dst, m.EventType)
	dst = appendBytes(dst, m.EventID)
	dst = appendStrings(dst, m.Channels)
	dst = appendBytes(dst, m.Payload)
	flags := messageFlags(m)
	if dst = binary.AppendUvarint(dst, uint64(flags)); flags == 0 {
		return dst
	}
	if flags&messageTags != 0 {
		dst = appendStrings(dst, m.Tags)
	}
	if flags&messageOrderingKey != 0 {
		dst = appendBytes(dst, m.OrderingKey)
	}
	if flags&messageDeliverAt != 0 {
		dst = appendTime(dst, m.DeliverAt)
	}
	if flags&messageRetention != 0 {
		dst = binary.AppendUvarint(dst, uint64(m.Retention/time.Hour))
	}
	if flags&messageOnly != 0 {
		dst = append(dst, m.Only[:]...)
	}
	if flags&messageContentType != 0 {
		dst = appendBytes(dst, m.ContentType)
	}
	if flags&messageTrace != 0 {
		dst = appendTraceContext(dst, m.Trace)
	}
	return dst
}

func messageFlags(m *webhook.Message) (flags uint16) {
	for _, f := range [...]struct {
		set bool
		bit uint16
	}{{len(m.Tags) > 0, messageTags}, {m.OrderingKey != "", messageOrderingKey}, {!m.DeliverAt.IsZero(), messageDeliverAt},
		{m.Retention != 0, messageRetention}, {!m.Only.IsZero(), messageOnly}, {m.ContentType != "", messageContentType},
		{m.Raw, messageRaw}, {m.Expunged, messageExpunged}, {m.Trace != nil, messageTrace}} {
		if f.set {
			flags |= f.bit
		}
	}
	return flags
}

func appendTraceContext(dst []byte, c *webhook.TraceContext) []byte {
	dst = append(append(dst, c.TraceID[:]...), c.SpanID[:]...)
	flags := byte(0)
	if c.Sampled {
		flags = traceSampled
	}
	return appendBytes(append(dst, flags), c.State)
}

func readTraceContext(r *reader) *webhook.TraceContext {
	c := new(webhook.TraceContext)
	copy(c.TraceID[:], r.take(uint64(len(c.TraceID))))
	copy(c.SpanID[:], r.take(uint64(len(c.SpanID))))
	flags := r.byte()
	if flags > traceSampled {
		r.fail()
	}
	c.Sampled, c.State = flags&traceSampled != 0, r.string()
	return c
}

// readMessage is the reverse; Payload is a part of the record.
func readMessage(r *reader, m *webhook.Message) {
	m.EventType, m.EventID, m.Channels, m.Payload = r.string(), r.string(), r.strings(), r.bytes()
	flags := r.number(1<<9 - 1)
	if flags == 0 {
		return
	}
	if flags&messageTags != 0 {
		m.Tags = r.strings()
	}
	if flags&messageOrderingKey != 0 {
		m.OrderingKey = r.string()
	}
	if flags&messageDeliverAt != 0 {
		m.DeliverAt = r.time()
	}
	if flags&messageRetention != 0 {
		m.Retention = time.Duration(r.number(maxHours)) * time.Hour
	}
	if flags&messageOnly != 0 {
		m.Only = r.id()
	}
	if flags&messageContentType != 0 {
		m.ContentType = r.string()
	}
	if flags&messageTrace != 0 {
		m.Trace = readTraceContext(r)
	}
	m.Raw, m.Expunged = flags&messageRaw != 0, flags&messageExpunged != 0
}

// appendPlaced begins a record of a chunk with its place in the entry.
func appendPlaced(chunk []byte, version byte, place uint32) []byte {
	if len(chunk) == 0 {
		chunk = append(chunk, version)
	}
	return binary.AppendUvarint(chunk, uint64(place))
}

// placedID returns the ID of a record in a chunk, from its place and the chunk's key, which ends
// with the entry.
func placedID(key []byte, place uint64) webhook.ID {
	var id webhook.ID
	copy(id[:], key[len(key)-entrySize:])
	return webhook.NewID(id.Millis(), id.Index(), uint32(place))
}

// decodeMessages reads a chunk of the log. The messages share data, which must not change any
// more.
func decodeMessages(key, data []byte, app webhook.ID) ([]webhook.Message, error) {
	var list []webhook.Message
	r := newReader(data, messageVersion)
	for r.more() {
		m := webhook.Message{App: app, ID: placedID(key, r.number(webhook.MaxPlace))}
		readMessage(r, &m)
		list = append(list, m)
	}
	return list, r.err
}

const (
	attemptOfTask = 1 << 7
	attemptTraced = 1 << 6
	maxHours      = 100 * 365 * 24         // of a retention
	maxMillis     = maxHours * 3_600_000   // of a duration
	lastStatus    = webhook.StatusCanceled // with the highest number
	lastTrigger   = webhook.TriggerManual  // likewise
)

// noAttempt is what precedes the first attempt of a chunk.
var noAttempt webhook.Attempt

// appendAttempt writes what is the same in a command and in the history: all but the ID and the
// endpoint. The URL is left out when it is that of the attempt before.
//
//	message 20 | number | trigger 1 | status 1 | status code | start | duration ms | next | URL | response
//
// If the highest bit of trigger is set, the task follows, 20 bytes. If the next bit is set, the
// trace follows the response.
func appendAttempt(dst []byte, a, before *webhook.Attempt) []byte {
	dst = append(dst, a.Message[:]...)
	dst = binary.AppendUvarint(dst, uint64(a.Number))
	trigger := byte(a.Trigger)
	if a.Trace != nil {
		trigger |= attemptTraced
	}
	if a.Task.IsZero() {
		dst = append(dst, trigger, byte(a.Status))
	} else {
		dst = append(dst, trigger|attemptOfTask)
		dst = append(append(dst, a.Task[:]...), byte(a.Status))
	}
	dst = binary.AppendUvarint(dst, uint64(a.StatusCode))
	dst = appendTime(dst, a.Start)
	dst = binary.AppendUvarint(dst, uint64(a.Duration.Milliseconds()))
	dst = appendTime(dst, a.Next)
	if a.URL == before.URL {
		dst = append(dst, 0)
	} else {
		dst = appendBytes(dst, a.URL)
	}
	dst = appendBytes(dst, a.Response)
	if a.Trace != nil {
		dst = appendTrace(dst, a.Trace, before.Trace)
	}
	return dst
}

// readAttempt is the reverse; Response and the trace's Headers are parts of the record.
func readAttempt(r *reader, a, before *webhook.Attempt) {
	a.Message = r.id()
	a.Number = r.uint32()
	trigger := r.byte()
	if trigger&attemptOfTask != 0 {
		a.Task = r.id()
	}
	a.Trigger, a.Status = webhook.Trigger(trigger&^(attemptOfTask|attemptTraced)), webhook.Status(r.byte())
	if a.Trigger > lastTrigger || a.Status > lastStatus {
		r.fail()
	}
	a.StatusCode = uint16(r.number(math.MaxUint16))
	a.Start = r.time()
	a.Duration = time.Duration(r.number(maxMillis)) * time.Millisecond
	a.Next = r.time()
	if a.URL = r.string(); a.URL == "" {
		a.URL = before.URL
	}
	a.Response = r.bytes()
	if trigger&attemptTraced != 0 {
		a.Trace = new(webhook.Trace)
		readTrace(r, a.Trace, before.Trace)
	}
}

// decodeAttempts reads a chunk of the history. The attempts share data, which must not change any
// more.
func decodeAttempts(key, data []byte, endpoint webhook.ID) ([]webhook.Attempt, error) {
	var list []webhook.Attempt
	before := &noAttempt
	r := newReader(data, attemptVersion)
	for r.more() {
		a := webhook.Attempt{Endpoint: endpoint, ID: placedID(key, r.number(webhook.MaxPlace))}
		readAttempt(r, &a, before)
		list = append(list, a)
		before = &list[len(list)-1]
	}
	return list, r.err
}
