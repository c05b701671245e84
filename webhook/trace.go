package webhook

import (
	"bytes"
	"hash/fnv"
	"net/netip"
	"time"
)

// Limits of the response headers that an attempt keeps, in bytes. A successful attempt keeps
// fewer: there are far more of them.
const (
	MaxHeaders        = 4096
	MaxHeadersSuccess = 512
)

// Control is an instruction in a response, beside its status.
type Control uint8

// The instructions, which Svix defines.
const (
	ControlNone    Control = 0
	ControlDisable Control = 1 // disable the endpoint
	ControlAbort   Control = 2 // make no further attempt at this message
)

// Trace describes how an attempt went on the network.
type Trace struct {
	Peer       netip.AddrPort // the receiver's address; invalid: none, or only a proxy knows it
	Internal   bool           // Peer is a private address: only operators may see it
	Reused     bool           // an earlier attempt had opened the connection
	Proxied    bool
	Propagated bool   // the request carried the attempt's TraceContext
	TLS        uint16 // the version, as in crypto/tls; 0: none
	Control    Control
	Settings   uint32        // Endpoint.SettingsHash when the request was made
	Sent       uint32        // bytes of the request
	Received   uint32        // bytes of the response that were read
	Lookup     time.Duration // for the name; all durations are exact to the microsecond
	Connect    time.Duration
	Handshake  time.Duration // of TLS
	FirstByte  time.Duration // from the request to the first byte of the response
	Headers    []byte        // of the response: "Name: value\n", without secrets
	HeadersCut bool          // some are missing or shortened
}

// CutHeaders limits the kept headers to whole lines of so many bytes altogether.
func (t *Trace) CutHeaders(limit int) {
	if len(t.Headers) <= limit {
		return
	}
	t.Headers = t.Headers[:bytes.LastIndexByte(t.Headers[:limit], '\n')+1]
	t.HeadersCut = true
}

// SettingsHash returns a hash of the settings that requests depend on, besides the URL. It changes
// with them, and reveals nothing about secrets: only their sealed forms enter into it.
func (e *Endpoint) SettingsHash() uint32 {
	h := fnv.New32a()
	write := func(text []byte) {
		_, _ = h.Write(append(text, 0)) // it never fails
	}
	write([]byte(e.Style))
	if e.Envelope {
		write([]byte("envelope"))
	}
	write(bytes.Clone(e.Headers))
	for _, key := range e.Keys {
		write(bytes.Clone(key.Sealed))
		write([]byte(key.Expires.UTC().Format(time.RFC3339Nano)))
	}
	return max(h.Sum32(), 1)
}
