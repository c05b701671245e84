package wal

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// requestCheck checks the requests that are remembered.
type requestCheck struct {
	*checkedStore
	requests [][16]byte
}

// inWindow reports whether requests of an entry are still remembered.
func (c *requestCheck) inWindow(index uint64) bool {
	return index > 0 && index <= c.meta.index && index+requestWindow > c.meta.index
}

// checkRequests checks the requests of one entry and their replies.
func (c *requestCheck) checkRequests(key, value []byte) {
	index := binary.BigEndian.Uint64(key[1:])
	if !c.inWindow(index) {
		c.violated("the requests of entry %d are still kept, but the store is at entry %d and keeps those of %d entries", index, c.meta.index, requestWindow)
	}
	r := newReader(value, requestsVersion)
	for r.more() {
		name, reply := r.take(16), r.bytes()
		if r.err != nil {
			break
		}
		request := [16]byte(name)
		if len(reply) == 0 || reply[0] > replyStored || reply[0] == replyStored && len(reply) < 3 {
			c.violated("the reply to request %x of entry %d is invalid: %x", request, index, reply)
		}
		if request != [16]byte{} {
			c.requests = append(c.requests, request)
		}
	}
	if r.err != nil {
		c.violated("the requests of entry %d can't be read: %v", index, r.err)
	}
}

// checkRequestsOnce reports requests that were applied twice.
func (c *requestCheck) checkRequestsOnce() {
	slices.SortFunc(c.requests, func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	for i := 1; i < len(c.requests); i++ {
		if c.requests[i] == c.requests[i-1] {
			c.violated("request %x was applied twice", c.requests[i])
		}
	}
	c.requests = nil
}

// checkOvertaker checks the record of a repetition that was applied before the first try arrived.
func (c *requestCheck) checkOvertaker(key, value []byte) error {
	index, request, err := parseOvertakerKey(key)
	if err != nil {
		return err
	}
	if len(value) != 0 {
		c.violated("the record of the repetition of request %x in entry %d has %d bytes", request, index, len(value))
	}
	if !c.inWindow(index) {
		c.violated("the repetition of request %x in entry %d is still kept, but the store is at entry %d and keeps those of %d entries",
			request, index, c.meta.index, requestWindow)
		return nil
	}
	data, _, err := c.get(requestsKey(index))
	if err != nil {
		return err
	}
	if _, found, _ := findRequest(data, request); !found {
		c.violated("the repetition of request %x is recorded for entry %d, which has no reply to it", request, index)
	}
	return nil
}
