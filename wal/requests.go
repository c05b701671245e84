package wal

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/dgraph-io/badger/v4"

	"hookwheel/webhook"
)

// requestWindow is for how many entries the replies to requests are kept. A node tries again for some seconds only, and a
// leader makes at most about a thousand entries in one.
const requestWindow = 1 << 15

// appendRequest: request id 16 | reply with its length before it
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

// repliedBefore looks for an earlier try of c, in this entry and in those since c.Since.
func (e *entry) repliedBefore(c *Command) (reply []byte, found bool, err error) {
	if reply, found, err = findRequest(e.requests, c.Request); found || err != nil {
		return reply, found, err
	}
	if c.Since+requestWindow < e.batch.meta.index {
		reply, err = errorReply(&webhook.Error{Code: webhook.CodeUnavailable,
			Detail: "the outcome of this request is no longer known: see whether it took effect before sending it again"})
		return reply, true, err
	}
	for index := c.Since; index < e.batch.meta.index; index++ {
		item, err := e.batch.txn.Get(requestsKey(index))
		if errors.Is(err, badger.ErrKeyNotFound) {
			continue
		}
		if err != nil {
			return nil, false, fmt.Errorf("reading the requests of entry %d: %w", index, err)
		}
		err = item.Value(func(data []byte) (err error) {
			reply, found, err = findRequest(data, c.Request)
			return err
		})
		if err != nil || found {
			return reply, found, err
		}
	}
	return nil, false, nil
}

// keepRequests writes the requests of this entry and drops those that have left the window.
func (e *entry) keepRequests() error {
	index := e.batch.meta.index
	if len(e.requests) > 0 {
		if err := e.batch.txn.Set(requestsKey(index), e.requests); err != nil {
			return err
		}
	}
	if index <= requestWindow {
		return nil
	}
	return e.batch.txn.Delete(requestsKey(index - requestWindow))
}
