package wal

import (
	"encoding/binary"
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
)

// meta says how far the state machine has come.
type meta struct {
	index, term uint64
	clock       int64  // milliseconds since the Unix epoch; the log's clock, which never goes back
	confIndex   uint64 // of the newest Raft configuration
	conf        []byte // that configuration, as the cluster package wrote it
}

func (m *meta) encode() []byte {
	dst := []byte{metaVersion}
	dst = binary.AppendUvarint(dst, m.index)
	dst = binary.AppendUvarint(dst, m.term)
	dst = binary.AppendUvarint(dst, uint64(m.clock))
	dst = binary.AppendUvarint(dst, m.confIndex)
	return appendBytes(dst, m.conf)
}

func (m *meta) decode(data []byte) error {
	r := newReader(data, metaVersion)
	m.index, m.term, m.clock = r.uvarint(), r.uvarint(), int64(r.uvarint())
	m.confIndex, m.conf = r.uvarint(), slices.Clone(r.bytes())
	return r.end()
}

// appendMessage writes what is the same in a command and in the log: all but the ID.
//
//	event type | event id | channels | payload        each with its length before it
func appendMessage(dst []byte, m *webhook.Message) []byte {
	dst = appendBytes(dst, m.EventType)
	dst = appendBytes(dst, m.EventID)
	dst = appendStrings(dst, m.Channels)
	return appendBytes(dst, m.Payload)
}

// readMessage is the reverse; Payload is a part of the record.
func readMessage(r *reader, m *webhook.Message) {
	m.EventType, m.EventID, m.Channels, m.Payload = r.string(), r.string(), r.strings(), r.bytes()
}

// appendPlaced begins a record of a chunk: its place in the entry, then what follows.
func appendPlaced(chunk []byte, version byte, place uint32) []byte {
	if len(chunk) == 0 {
		chunk = append(chunk, version)
	}
	return binary.AppendUvarint(chunk, uint64(place))
}

// placedID makes the ID of a record in a chunk from the chunk's key, which ends with the entry, and its place.
func placedID(key []byte, place uint64) webhook.ID {
	var id webhook.ID
	copy(id[:], key[len(key)-entrySize:])
	return webhook.NewID(id.Millis(), id.Index(), uint32(place))
}

// decodeMessages reads a chunk of the log. The messages share data, which must not change any more.
func decodeMessages(key, data []byte, app webhook.ID) ([]webhook.Message, error) {
	var list []webhook.Message
	r := newReader(data, messageVersion)
	for r.more() {
		m := webhook.Message{App: app, ID: placedID(key, r.uvarint())}
		readMessage(r, &m)
		list = append(list, m)
	}
	return list, r.err
}

// appendAttempt writes what is the same in a command and in the history: all but the ID and the endpoint. The URL is left
// out when it is that of the attempt before.
//
//	message 20 | number | trigger 1 | status 1 | status code | start | duration ms | next | URL | response
func appendAttempt(dst []byte, a *webhook.Attempt, urlBefore string) []byte {
	dst = append(dst, a.Message[:]...)
	dst = binary.AppendUvarint(dst, uint64(a.Number))
	dst = append(dst, byte(a.Trigger), byte(a.Status))
	dst = binary.AppendUvarint(dst, uint64(a.StatusCode))
	dst = appendTime(dst, a.Start)
	dst = binary.AppendUvarint(dst, uint64(a.Duration.Milliseconds()))
	dst = appendTime(dst, a.Next)
	if a.URL == urlBefore {
		dst = append(dst, 0)
	} else {
		dst = appendBytes(dst, a.URL)
	}
	return appendBytes(dst, a.Response)
}

// readAttempt is the reverse; Response is a part of the record.
func readAttempt(r *reader, a *webhook.Attempt, urlBefore string) {
	a.Message = r.id()
	a.Number = uint32(r.uvarint())
	a.Trigger, a.Status = webhook.Trigger(r.byte()), webhook.Status(r.byte())
	a.StatusCode = uint16(r.uvarint())
	a.Start = r.time()
	a.Duration = time.Duration(r.uvarint()) * time.Millisecond
	a.Next = r.time()
	if a.URL = r.string(); a.URL == "" {
		a.URL = urlBefore
	}
	a.Response = r.bytes()
}

// decodeAttempts reads a chunk of the history. The attempts share data, which must not change any more.
func decodeAttempts(key, data []byte, endpoint webhook.ID) ([]webhook.Attempt, error) {
	var list []webhook.Attempt
	url := ""
	r := newReader(data, attemptVersion)
	for r.more() {
		a := webhook.Attempt{Endpoint: endpoint, ID: placedID(key, r.uvarint())}
		readAttempt(r, &a, url)
		url = a.URL
		list = append(list, a)
	}
	return list, r.err
}

// cursor is an endpoint's place in its log. All up to position is attempted or filtered out; of what comes after it,
// done has been attempted too, because answers do not come in order. done is sorted and holds at most as many as the
// scheduler lets run ahead.
type cursor struct {
	position webhook.ID
	done     []webhook.ID
}

func (c *cursor) encode() []byte {
	dst := append([]byte{cursorVersion}, c.position[:]...)
	for i := range c.done {
		dst = append(dst, c.done[i][:]...)
	}
	return dst
}

func (c *cursor) decode(data []byte) error {
	r := newReader(data, cursorVersion)
	c.position, c.done = r.id(), nil
	for r.more() {
		c.done = append(c.done, r.id())
	}
	return r.err
}

// fresh tells whether no attempt of that message is recorded yet.
func (c *cursor) fresh(message webhook.ID) bool {
	_, done := slices.BinarySearchFunc(c.done, message, webhook.ID.Compare)
	return message.After(c.position) && !done
}

func (c *cursor) settle(message webhook.ID) {
	i, done := slices.BinarySearchFunc(c.done, message, webhook.ID.Compare)
	if !done {
		c.done = slices.Insert(c.done, i, message)
	}
}

// advance moves the position forward, never back, and forgets what of done lies behind it.
func (c *cursor) advance(position webhook.ID) {
	if position.After(c.position) {
		c.position = position
	}
	behind, found := slices.BinarySearchFunc(c.done, c.position, webhook.ID.Compare)
	if found {
		behind++
	}
	c.done = slices.Delete(c.done, 0, behind)
}
