package tracing

import (
	"encoding/binary"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"hookwheel/webhook"
)

// The kinds of spans in OTLP.
const (
	kindInternal = 1
	kindServer   = 2
	kindClient   = 3
)

// The numbers of fields in opentelemetry/proto/trace/v1 and common/v1.
const (
	spanTraceID    = 1
	spanID         = 2
	spanState      = 3
	spanParent     = 4
	spanName       = 5
	spanKind       = 6
	spanBegun      = 7
	spanEnded      = 8
	spanAttribute  = 9
	spanLink       = 13
	spanStatus     = 15
	spanFlags      = 16
	linkFlags      = 6
	statusCode     = 3
	keyName        = 1
	keyValue       = 2
	valueText      = 1
	valueNumber    = 3
	scopeName      = 1
	scopeVersion   = 2
	resourceSpans  = 1
	theResource    = 1
	scopeSpans     = 2
	theScope       = 1
	spanOfScope    = 2
	ofResource     = 1 // an attribute
	partialSuccess = 1
	rejectedSpans  = 1
	whyRejected    = 2
)

const statusError = 2

// Bits of the flags of spans and links, beside those of the trace context.
const (
	flagSampled       = 1
	flagKnowsRemote   = 1 << 8 // the next bit is meant
	flagRemoteContext = 1 << 9 // the parent, or what the link leads to, is of another process
)

// span is one span, with its attributes in OTLP.
type span struct {
	context      webhook.TraceContext
	parent       [8]byte // zero: none
	remoteParent bool
	link         *webhook.TraceContext // nil: none
	name         string
	kind         uint64
	begun, ended time.Time
	failed       bool
	attributes   []byte
}

func (s *span) text(key, value string) {
	if value != "" {
		s.attributes = appendText(s.attributes, spanAttribute, key, value)
	}
}

func (s *span) number(key string, value int64) {
	v := protowire.AppendVarint(protowire.AppendTag(nil, valueNumber, protowire.VarintType), uint64(value))
	s.attributes = appendAttribute(s.attributes, spanAttribute, key, v)
}

// statusType names a status code as the kind of an error.
func (s *span) statusType(code int) { s.text("error.type", strconv.Itoa(code)) }

// ids adds those that are known.
func (s *span) ids(app, message webhook.ID) {
	s.text("hookwheel.application.id", app.Text(webhook.KindApplication))
	if !message.IsZero() {
		s.text("messaging.message.id", message.Text(webhook.KindMessage))
	}
}

// address adds where a request went, without the path and the query, which are often secrets.
func (s *span) address(text string) {
	u, err := webhook.ParseURL(text)
	if err != nil {
		return // of an attempt, which could not be made then
	}
	u.User, u.Password, u.Target = "", "", "/"
	s.text("url.full", u.String())
	s.text("server.address", u.Host)
	s.number("server.port", int64(u.Port))
}

func appendAttribute(dst []byte, field protowire.Number, key string, value []byte) []byte {
	size := protowire.SizeTag(keyName) + protowire.SizeBytes(len(key)) + protowire.SizeTag(keyValue) + protowire.SizeBytes(len(value))
	dst = protowire.AppendVarint(protowire.AppendTag(dst, field, protowire.BytesType), uint64(size))
	dst = protowire.AppendString(protowire.AppendTag(dst, keyName, protowire.BytesType), key)
	return protowire.AppendBytes(protowire.AppendTag(dst, keyValue, protowire.BytesType), value)
}

func appendText(dst []byte, field protowire.Number, key, value string) []byte {
	return appendAttribute(dst, field, key, appendString(nil, valueText, value))
}

func appendString(dst []byte, field protowire.Number, text string) []byte {
	return protowire.AppendString(protowire.AppendTag(dst, field, protowire.BytesType), text)
}

func appendBytes(dst []byte, field protowire.Number, data []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(dst, field, protowire.BytesType), data)
}

func appendTime(dst []byte, field protowire.Number, t time.Time) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(dst, field, protowire.Fixed64Type), uint64(t.UnixNano()))
}

// append appends the span as OTLP.
func (s *span) append(dst []byte) []byte {
	c := &s.context
	dst = appendBytes(dst, spanTraceID, c.TraceID[:])
	dst = appendBytes(dst, spanID, c.SpanID[:])
	if c.State != "" {
		dst = appendString(dst, spanState, c.State)
	}
	if s.parent != [8]byte{} {
		dst = appendBytes(dst, spanParent, s.parent[:])
	}
	dst = appendString(dst, spanName, s.name)
	dst = protowire.AppendVarint(protowire.AppendTag(dst, spanKind, protowire.VarintType), s.kind)
	dst = appendTime(dst, spanBegun, s.begun)
	dst = appendTime(dst, spanEnded, latest(s.begun, s.ended))
	dst = append(dst, s.attributes...)
	if s.link != nil {
		link := appendBytes(appendBytes(nil, spanTraceID, s.link.TraceID[:]), spanID, s.link.SpanID[:])
		if s.link.State != "" {
			link = appendString(link, spanState, s.link.State)
		}
		dst = appendBytes(dst, spanLink, appendFlags(link, linkFlags, true))
	}
	if s.failed {
		status := protowire.AppendVarint(protowire.AppendTag(nil, statusCode, protowire.VarintType), statusError)
		dst = appendBytes(dst, spanStatus, status)
	}
	return appendFlags(dst, spanFlags, s.remoteParent)
}

func appendFlags(dst []byte, field protowire.Number, remote bool) []byte {
	flags := uint32(flagSampled | flagKnowsRemote)
	if remote {
		flags |= flagRemoteContext
	}
	return protowire.AppendFixed32(protowire.AppendTag(dst, field, protowire.Fixed32Type), flags)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// envelope makes the beginning of a request of so many bytes of spans, which follow it.
func envelope(resource, scope []byte, spans int) []byte {
	inner := protowire.SizeTag(theScope) + protowire.SizeBytes(len(scope)) + spans
	outer := protowire.SizeTag(theResource) + protowire.SizeBytes(len(resource)) + protowire.SizeTag(scopeSpans) + protowire.SizeBytes(inner)
	dst := protowire.AppendVarint(protowire.AppendTag(nil, resourceSpans, protowire.BytesType), uint64(outer))
	dst = appendBytes(dst, theResource, resource)
	dst = protowire.AppendVarint(protowire.AppendTag(dst, scopeSpans, protowire.BytesType), uint64(inner))
	return appendBytes(dst, theScope, scope)
}

// refused reads the response of a collector: how many spans it has refused, and why.
func refused(response []byte) (count int, why string) {
	partial := fieldsOf(response)[partialSuccess]
	fields := fieldsOf(partial)
	n, _ := binary.Uvarint(fields[rejectedSpans])
	return int(min(n, maxPending)), string(fields[whyRejected])
}

// fieldsOf returns the fields of a message of protobuf, as far as it can be read. The value of a
// number is its encoding.
func fieldsOf(data []byte) map[protowire.Number][]byte {
	fields := make(map[protowire.Number][]byte)
	for len(data) > 0 {
		field, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			break
		}
		data = data[n:]
		if n = protowire.ConsumeFieldValue(field, kind, data); n < 0 {
			break
		}
		value := data[:n]
		if kind == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(value)
		}
		fields[field], data = value, data[n:]
	}
	return fields
}
