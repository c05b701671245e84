package wal

import (
	"bytes"
	"encoding/binary"
	"math"
	"net/netip"
	"time"

	"hookwheel/webhook"
)

// The first byte of a trace.
const (
	traceInternal   = 1 << 0
	traceReused     = 1 << 1
	traceProxied    = 1 << 2
	traceHeadersCut = 1 << 3
	traceSame       = 1 << 4 // the headers are those of the attempt before, and left out
	traceControl    = 5      // the shift of the Control, 2 bits
	tracePropagated = 1 << 7
)

const (
	baseTLS   = 0x300            // TLS versions are written without it
	maxTLS    = 0xff             // beyond baseTLS
	maxMicros = maxMillis * 1000 // of a duration
)

// appendTrace writes a trace behind its attempt.
//
//	flags 1 | peer | TLS version 1 | settings 4 | sent | received | lookup µs | connect µs |
//	handshake µs | first byte µs | headers
func appendTrace(dst []byte, t, before *webhook.Trace) []byte {
	same := before != nil && len(t.Headers) > 0 && bytes.Equal(t.Headers, before.Headers)
	flags := byte(t.Control) << traceControl
	for _, f := range [...]struct {
		set bool
		bit byte
	}{{t.Internal, traceInternal}, {t.Reused, traceReused}, {t.Proxied, traceProxied}, {t.HeadersCut, traceHeadersCut}, {same, traceSame}, {t.Propagated, tracePropagated}} {
		if f.set {
			flags |= f.bit
		}
	}
	dst = append(dst, flags)
	if t.Peer.IsValid() {
		at := len(dst)
		dst = append(dst, 0)
		dst, _ = t.Peer.AppendBinary(dst) // it never fails
		dst[at] = byte(len(dst) - at - 1)
	} else {
		dst = append(dst, 0)
	}
	version := byte(0)
	if t.TLS > baseTLS && t.TLS <= baseTLS+maxTLS {
		version = byte(t.TLS - baseTLS)
	}
	dst = append(dst, version)
	dst = binary.BigEndian.AppendUint32(dst, t.Settings)
	dst = binary.AppendUvarint(dst, uint64(t.Sent))
	dst = binary.AppendUvarint(dst, uint64(t.Received))
	for _, d := range [...]time.Duration{t.Lookup, t.Connect, t.Handshake, t.FirstByte} {
		dst = binary.AppendUvarint(dst, uint64(max(0, d.Microseconds())))
	}
	if same {
		return dst
	}
	return appendBytes(dst, t.Headers)
}

// readTrace is the reverse; Headers is a part of the record.
func readTrace(r *reader, t, before *webhook.Trace) {
	flags := r.byte()
	t.Internal, t.Reused, t.Proxied, t.HeadersCut = flags&traceInternal != 0, flags&traceReused != 0, flags&traceProxied != 0, flags&traceHeadersCut != 0
	t.Propagated = flags&tracePropagated != 0
	if t.Control = webhook.Control(flags &^ tracePropagated >> traceControl); t.Control > webhook.ControlAbort {
		r.fail()
	}
	if peer := r.bytes(); len(peer) > 0 {
		var known netip.AddrPort
		if len(peer) != 4+2 && len(peer) != 16+2 || known.UnmarshalBinary(peer) != nil {
			r.fail()
		}
		t.Peer = known
	}
	if version := r.byte(); version > 0 {
		t.TLS = baseTLS + uint16(version)
	}
	if settings := r.take(4); settings != nil {
		t.Settings = binary.BigEndian.Uint32(settings)
	}
	t.Sent, t.Received = uint32(r.number(math.MaxUint32)), uint32(r.number(math.MaxUint32))
	for _, d := range [...]*time.Duration{&t.Lookup, &t.Connect, &t.Handshake, &t.FirstByte} {
		*d = time.Duration(r.number(maxMicros)) * time.Microsecond
	}
	switch {
	case flags&traceSame == 0:
		if headers := r.bytes(); len(headers) > 0 {
			t.Headers = headers
		}
	case before == nil || len(before.Headers) == 0:
		r.fail()
	default:
		t.Headers = before.Headers
	}
}
