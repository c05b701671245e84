package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strconv"
	"sync/atomic"
)

// mac computes HMAC-SHA256 under one key, for any number of goroutines. It keeps a hash that has
// been used: such a hash knows its state after the key, so the key is not hashed for each request.
type mac struct {
	key   []byte
	spare atomic.Pointer[keyedHash]
}

// keyedHash is a hash with the memory that its use needs.
type keyedHash struct {
	hash.Hash
	head []byte
	sum  [sha256.Size]byte
}

// begin returns a hash of the key alone, which no other goroutine uses until end.
func (m *mac) begin() *keyedHash {
	if h := m.spare.Swap(nil); h != nil {
		h.Reset()
		return h
	}
	return &keyedHash{Hash: hmac.New(sha256.New, m.key), head: make([]byte, 0, 64)}
}

func (m *mac) end(h *keyedHash) { m.spare.Store(h) }

// appendSignature appends v1 and the signature of a request, see Secret.AppendSignature.
func (m *mac) appendSignature(dst []byte, id string, timestamp int64, body []byte) []byte {
	h := m.begin()
	h.head = append(append(h.head[:0], id...), '.')
	h.head = append(strconv.AppendInt(h.head, timestamp, 10), '.')
	h.Write(h.head)
	h.Write(body)
	dst = base64.StdEncoding.AppendEncode(append(dst, signaturePrefix...), h.Sum(h.sum[:0]))
	m.end(h)
	return dst
}

// appendHex appends the HMAC over body in hexadecimal.
func (m *mac) appendHex(dst, body []byte) []byte {
	h := m.begin()
	h.Write(body)
	dst = hex.AppendEncode(dst, h.Sum(h.sum[:0]))
	m.end(h)
	return dst
}

// appendHexTimed appends the HMAC over "timestamp.body" in hexadecimal.
func (m *mac) appendHexTimed(dst []byte, timestamp int64, body []byte) []byte {
	h := m.begin()
	h.head = append(strconv.AppendInt(h.head[:0], timestamp, 10), '.')
	h.Write(h.head)
	h.Write(body)
	dst = hex.AppendEncode(dst, h.Sum(h.sum[:0]))
	m.end(h)
	return dst
}
