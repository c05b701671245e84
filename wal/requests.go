package wal

import (
	"bytes"
	"errors"
	"fmt"

	"hookwheel/webhook"
)

// requestWindow is for how many entries the replies to requests are kept. A node repeats a request
// for a few seconds only, and a leader creates at most about a thousand entries per second.
const requestWindow = 1 << 15

// appendRequest: request ID 16 | reply preceded by its length
func appendRequest(dst []byte, request [16]byte, reply []byte) []byte {
	if len(dst) == 0 {
		dst = append(dst, requestsVersion)
	}
	return appendBytes(append(dst, request[:]...), reply)
}

func findRequest(data []byte, request [16]byte) (reply []byte, found bool, err error) {
	if len(data) == 0 {
		return nil, false, nil
	}
	r := newReader(data, requestsVersion)
	for r.more() {
		name, reply := r.take(16), r.bytes()
		if r.err == nil && bytes.Equal(name, request[:]) {
			return bytes.Clone(reply), true, nil
		}
	}
	return nil, false, r.err
}

// replySource is the record from which a reply can be read again. Without a key the reply has no
// record.
type replySource struct {
	key  []byte
	form byte // of the reply; 0: the value of the record
}

// Forms of a reply that contains an application.
const (
	formFound   = 1
	formCreated = 2
)

// keep returns what to keep of a reply: the reply itself, or replyStored | form 1 | key if that is
// shorter. What the reply says of the record is not to outlive it.
func (s *replySource) keep(reply []byte) []byte {
	if s.key == nil || len(reply) <= len(s.key)+2 {
		return reply
	}
	return append([]byte{replyStored, s.form}, s.key...)
}

var errReplyGone = &webhook.Error{Code: webhook.CodeNotFound, Detail: "this request took effect, but what it was about has been removed since"}

// whole returns the full reply. If the object has changed since, a repetition sees the newer one.
func (e replyTable) whole(kept []byte) ([]byte, error) {
	if len(kept) < 3 || kept[0] != replyStored {
		return kept, nil
	}
	body, err := e.readAgain(replySource{key: kept[2:], form: kept[1]})
	switch {
	case err != nil:
		return nil, err
	case body == nil:
		return errorReply(errReplyGone)
	default:
		return okReply(body), nil
	}
}

// readAgain reads the body of a reply again. It returns nil if the record is gone.
func (e replyTable) readAgain(s replySource) ([]byte, error) {
	if s.key[0] == keyTask {
		if t := taskTable(e).find(webhook.ID(s.key[1:])); t != nil { // with the changes of this entry so far
			return encodeJSON(t)
		}
		return nil, nil
	}
	value, found, err := e.store.pending.get(s.key)
	switch {
	case err != nil || !found:
		return nil, err
	case s.key[0] == keyReply:
		kept, err := decodeKeptReply(value)
		if err != nil {
			return nil, err
		}
		whole, err := kept.whole(e.store.pending.get)
		if errors.Is(err, errReplyGone) {
			return nil, nil
		}
		return append([]byte{s.form}, whole...), err
	case s.form != 0:
		c := createApplication{Created: s.form == formCreated}
		if err := decodeJSON(value, &c.Application); err != nil {
			return nil, err
		}
		return encodeJSON(c)
	default:
		return value, nil
	}
}

// repliedBefore looks for an earlier try of c, in this entry and in those since c.Since.
func (e replyTable) repliedBefore(c *Command) (reply []byte, found bool, err error) {
	if reply, found, err = e.keptOf(c); found && err == nil {
		reply, err = e.whole(reply)
	}
	return reply, found, err
}

// keptOf returns what was kept of the reply to an earlier try of c.
func (e replyTable) keptOf(c *Command) (reply []byte, found bool, err error) {
	if c.Since == 0 {
		return e.repliedToRepetition(c.Request)
	}
	if reply, found, err = findRequest(e.requests, c.Request); found || err != nil {
		return reply, found, err
	}
	if c.Since+requestWindow < e.batch.meta.index {
		reply, err = errorReply(&webhook.Error{Code: webhook.CodeUnavailable,
			Detail: "the outcome of this request is no longer known: see whether it took effect before sending it again"})
		return reply, true, err
	}
	for index := c.Since; index < e.batch.meta.index && !found && err == nil; index++ {
		reply, found, err = e.replyAt(index, c.Request)
	}
	return reply, found, err
}

// replyAt looks for the reply to a request in an entry of the window.
func (e replyTable) replyAt(index uint64, request [16]byte) (reply []byte, found bool, err error) {
	if index == e.batch.meta.index {
		return findRequest(e.requests, request)
	}
	data, _, err := e.store.pending.get(requestsKey(index))
	if err != nil {
		return nil, false, fmt.Errorf("reading the requests of entry %d: %w", index, err)
	}
	return findRequest(data, request)
}

// repliedToRepetition looks for a repetition of a request that overtook its first try. There are
// some for a while after a leader was lost; at all other times this costs nothing.
func (e replyTable) repliedToRepetition(request [16]byte) (reply []byte, found bool, err error) {
	index, overtaken := e.store.catalog.overtakers.find(request)
	if !overtaken {
		return nil, false, nil
	}
	return e.replyAt(index, request)
}

// remember keeps the reply to an applied command.
func (e replyTable) remember(c *Command, reply []byte) {
	e.requests = appendRequest(e.requests, c.Request, e.source.keep(reply))
	if c.Since == 0 {
		return
	}
	index := e.batch.meta.index
	e.store.catalog.overtakers.add(index, c.Request)
	e.batch.set(overtakerKey(index, c.Request), nil)
}

// keepRequests writes the requests of this entry.
func (e replyTable) keepRequests() {
	if len(e.requests) > 0 {
		e.batch.setChunk(requestsKey(e.batch.meta.index), nil, e.requests)
	}
}

// forgetRequests removes the requests that leave the window when entry index follows entry before.
// The two may not be adjacent, because Raft has entries of its own.
func (s *Store) forgetRequests(before, index uint64) {
	if index <= requestWindow {
		return
	}
	first, last := uint64(1), index-requestWindow
	if before > requestWindow {
		first = before - requestWindow + 1
	}
	for gone := first; gone <= last && gone <= before; gone++ {
		s.pending.staged.delete(requestsKey(gone))
	}
	for _, o := range s.catalog.overtakers.forget(last) {
		s.pending.staged.delete(overtakerKey(o.index, o.request))
	}
}

// overtakers holds the requests in the window whose repetition was applied although no first try
// had been. The first try may still arrive. Only Apply uses them.
type overtakers struct {
	list []overtaker // in order of index
	at   map[[16]byte]uint64
}

type overtaker struct {
	index   uint64
	request [16]byte
}

func (o *overtakers) find(request [16]byte) (index uint64, found bool) {
	if len(o.list) == 0 {
		return 0, false
	}
	index, found = o.at[request]
	return index, found
}

func (o *overtakers) add(index uint64, request [16]byte) {
	if o.at == nil {
		o.at = make(map[[16]byte]uint64)
	}
	o.list = append(o.list, overtaker{index, request})
	o.at[request] = index
}

// forget removes those up to the entry last.
func (o *overtakers) forget(last uint64) (gone []overtaker) {
	count := 0
	for count < len(o.list) && o.list[count].index <= last {
		if first := o.list[count]; o.at[first.request] == first.index {
			delete(o.at, first.request)
		}
		count++
	}
	gone, o.list = o.list[:count], o.list[count:]
	return gone
}

func (o *overtakers) load(v view) error {
	return v.scan([]byte{keyOvertaker}, func(key, _ []byte) error {
		index, request, err := parseOvertakerKey(key)
		if err == nil {
			o.add(index, request)
		}
		return err
	})
}
