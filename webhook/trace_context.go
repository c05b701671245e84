package webhook

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// TraceContext is a span of a distributed trace, as W3C Trace Context describes it. The context of
// a message is the span of the request that created it.
type TraceContext struct {
	TraceID [16]byte
	SpanID  [8]byte
	Sampled bool   // whether the trace is recorded
	State   string // tracestate; may be empty
}

const (
	// MaxTraceState is how many bytes of a tracestate are kept. The specification asks for 512.
	MaxTraceState = 512

	maxStateMembers   = 32
	longStateMember   = 128 // bytes; longer members are left out before others
	maxStateKey       = 256 // bytes of the key of a member, and of its value
	traceparentLength = 55  // of version 00; later versions begin the same way
	lateAttempt       = time.Hour
)

// ParseTraceContext reads the headers traceparent and tracestate of a request. It returns nil if
// there is no valid traceparent, and ignores a tracestate that is not valid, as the specification
// says.
func ParseTraceContext(traceparent, tracestate [][]byte) *TraceContext {
	if len(traceparent) != 1 {
		return nil
	}
	c := new(TraceContext)
	if !c.parse(traceparent[0]) {
		return nil
	}
	c.State = parseTraceState(string(bytes.Join(tracestate, []byte(","))))
	return c
}

// parse reads a traceparent: version, trace ID, span ID and flags, in lower case. Later versions
// may add more after another hyphen. Of the flags only sampled is kept.
func (c *TraceContext) parse(text []byte) bool {
	var version, flags [1]byte
	if len(text) < traceparentLength || text[2] != '-' || text[35] != '-' || text[52] != '-' ||
		!decodeLowerHex(version[:], text[:2]) || !decodeLowerHex(c.TraceID[:], text[3:35]) ||
		!decodeLowerHex(c.SpanID[:], text[36:52]) || !decodeLowerHex(flags[:], text[53:55]) {
		return false
	}
	more := text[traceparentLength:]
	if version[0] == 0xff || len(more) > 0 && (version[0] == 0 || more[0] != '-') {
		return false
	}
	c.Sampled = flags[0]&1 != 0
	return c.isValid()
}

func (c *TraceContext) isValid() bool { return c.TraceID != [16]byte{} && c.SpanID != [8]byte{} }

func decodeLowerHex(dst, text []byte) bool {
	if bytes.ContainsAny(text, "ABCDEF") {
		return false
	}
	_, err := hex.Decode(dst, text)
	return err == nil
}

// parseTraceState returns a tracestate without what is optional in it, or "" if it is not valid.
// What does not fit loses members as the specification says: long ones first, then those at the
// end.
func parseTraceState(text string) string {
	var members, keys []string
	for member := range strings.SplitSeq(text, ",") {
		member = strings.Trim(member, " \t")
		if member == "" {
			continue
		}
		key, value, _ := strings.Cut(member, "=")
		if !isStateKey(key) || !isStateValue(value) || slices.Contains(keys, key) || len(keys) == maxStateMembers {
			return ""
		}
		members, keys = append(members, member), append(keys, key)
	}
	state := strings.Join(members, ",")
	for i := len(members) - 1; i >= 0 && len(state) > MaxTraceState; i-- {
		if len(members[i]) > longStateMember {
			members = slices.Delete(members, i, i+1)
			state = strings.Join(members, ",")
		}
	}
	for len(state) > MaxTraceState {
		members = members[:len(members)-1]
		state = strings.Join(members, ",")
	}
	return state
}

// isStateKey accepts the keys of both levels of the specification: a letter or digit, and then
// some more characters.
func isStateKey(key string) bool {
	isFirst := func(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }
	if key == "" || len(key) > maxStateKey || !isFirst(key[0]) {
		return false
	}
	for i := range len(key) {
		if !isFirst(key[i]) && strings.IndexByte("_-*/@", key[i]) < 0 {
			return false
		}
	}
	return true
}

func isStateValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' || c == '=' {
			return false
		}
	}
	return value != "" && len(value) <= maxStateKey
}

// AppendTraceparent appends the value of a header traceparent.
func (c *TraceContext) AppendTraceparent(dst []byte) []byte {
	dst = hex.AppendEncode(append(dst, "00-"...), c.TraceID[:])
	dst = hex.AppendEncode(append(dst, '-'), c.SpanID[:])
	if c.Sampled {
		return append(dst, "-01"...)
	}
	return append(dst, "-00"...)
}

// validate refuses what ParseTraceContext does not return.
func (c *TraceContext) validate() error {
	if !c.isValid() || len(c.State) > MaxTraceState {
		return Invalid("traceparent", "is not a trace context")
	}
	return nil
}

// AttemptContext returns the span of an attempt at m, which must have a Trace. The same attempt
// always has the same one, so what was sent can be shown without recording it.
//
// An attempt that begins soon after its message is part of the message's trace. A late one, and
// one that a user or a task has asked for, has a trace of its own, which should have a link to
// that of the message: tools that collect traces do not wait for hours.
func (m *Message) AttemptContext(a *Attempt) (c TraceContext, linked bool) {
	text := make([]byte, 0, 128)
	text = append(append(append(text, m.Trace.TraceID[:]...), m.ID[:]...), a.Endpoint[:]...)
	text = binary.BigEndian.AppendUint32(append(text, byte(a.Trigger)), a.Number)
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(text, uint64(a.Start.UnixMilli())))
	c = *m.Trace
	copy(c.SpanID[:], sum[:8])
	if linked = a.Trigger == TriggerManual || a.Start.Sub(m.ID.Time()) > lateAttempt; linked {
		copy(c.TraceID[:], sum[8:24])
		c.State = ""
	}
	return c, linked
}

// Acceptance is how a request went that creates messages, for its trace.
type Acceptance struct {
	Context      *TraceContext // of its span
	Producer     *TraceContext // the span of the producer; nil: the request began the trace
	Route        string        // the pattern of the path
	Scheme       string        // http or https
	Status       int           // of the response
	RequestID    string
	App          ID
	Message      ID // if there is only one; otherwise zero
	Messages     int
	Begun, Ended time.Time
	Commits      []Commit
}

// Commit is one wait for messages to be replicated.
type Commit struct {
	Begun, Ended time.Time
	Failed       bool
}
