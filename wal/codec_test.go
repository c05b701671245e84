package wal

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"hookwheel/systemtest/memdir"
	"hookwheel/webhook"
)

// No format may be cut anywhere without being found out, but where a shorter list is as good a
// list.
func TestCutRecordsAreRefused(t *testing.T) {
	for name, f := range goldenFormats() {
		if strings.HasPrefix(name, "reply ok") || strings.HasPrefix(name, "key") {
			continue // has no structure, or is never cut
		}
		t.Run(name, func(t *testing.T) {
			data, err := f.encode()
			if err != nil {
				t.Fatal(err)
			}
			for size := 1; size < len(data); size++ {
				if got, err := f.decode(data[:size]); err == nil && reflect.DeepEqual(got, f.value) {
					t.Errorf("%d of %d bytes read as the whole", size, len(data))
				}
			}
		})
	}
}

// What goes on behind its end is damaged as well.
func TestTrailingBytesAreRefused(t *testing.T) {
	message := appendCreateMessage(nil, &webhook.Message{App: goldenApp, EventType: "a"})
	bodies := map[string][]byte{
		"message":     message,
		"application": mustEncode(t, kindCreateApplication, createApplication{Application: goldenApplication()}),
		"endpoint":    mustEncode(t, kindCreateEndpoint, goldenEndpointRecord()),
		"event type":  mustEncode(t, kindCreateEventType, goldenEventType()),
		"move":        mustEncode(t, kindMoveCursor, moveCursor{App: goldenApp, Endpoint: goldenEndpoint}),
		"deletion":    mustEncode(t, kindDeleteEndpoint, deleteEndpoint{goldenApp, goldenEndpoint}),
		"progress":    encodeProgress(1, []webhook.Progress{{Endpoint: goldenEndpoint}}),
		"fingerprint": encodeFingerprint(),
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			s := openTest(t, memdir.New(t))
			defer s.Close() // says what Apply has said
			if _, err := s.Apply(1, 1, testClock, []Command{{Body: append(body, 7)}}); err == nil {
				t.Error("a command that goes on behind its end was applied")
			}
		})
	}
	if err := new(meta).decode(append((&meta{index: 1, term: 1}).encode(), 0)); !errors.Is(err, errCut) {
		t.Errorf("meta: %v", err)
	}
}

func randomBytes(rnd *rand.Rand, limit int) []byte {
	data := make([]byte, rnd.Intn(limit))
	rnd.Read(data)
	return data
}

func randomTime(rnd *rand.Rand) time.Time {
	if rnd.Intn(3) == 0 {
		return time.Time{}
	}
	return time.UnixMilli(1 + rnd.Int63n(1<<42)).UTC()
}

func randomMessage(rnd *rand.Rand) webhook.Message {
	m := webhook.Message{App: goldenApp, EventType: string(randomBytes(rnd, 20)), EventID: string(randomBytes(rnd, 20)), Payload: randomBytes(rnd, 300)}
	for range rnd.Intn(4) {
		m.Channels = append(m.Channels, string(randomBytes(rnd, 9)))
	}
	if rnd.Intn(2) == 0 {
		m.Tags, m.OrderingKey, m.DeliverAt = []string{"t"}, string(randomBytes(rnd, 9)), randomTime(rnd)
		m.Retention, m.ContentType, m.Raw, m.Expunged = time.Duration(rnd.Intn(90))*time.Hour, string(randomBytes(rnd, 9)), rnd.Intn(2) == 0, rnd.Intn(2) == 0
		rnd.Read(m.Only[:])
	}
	if rnd.Intn(2) == 0 {
		m.Trace = &webhook.TraceContext{Sampled: rnd.Intn(2) == 0, State: string(randomBytes(rnd, 20))}
		rnd.Read(m.Trace.TraceID[:])
		rnd.Read(m.Trace.SpanID[:])
	}
	return m
}

func randomAttempt(rnd *rand.Rand) webhook.Attempt {
	a := webhook.Attempt{Number: 1 + rnd.Uint32()>>1, Trigger: webhook.Trigger(rnd.Intn(2)), Status: webhook.Status(rnd.Intn(4)),
		StatusCode: uint16(rnd.Intn(1000)), Start: randomTime(rnd), Duration: time.Duration(rnd.Intn(1e6)) * time.Millisecond,
		Next: randomTime(rnd), URL: fmt.Sprint("u", rnd.Intn(3)), Response: randomBytes(rnd, 100)}
	rnd.Read(a.Message[:])
	if rnd.Intn(3) == 0 {
		rnd.Read(a.Task[:])
	}
	if rnd.Intn(3) > 0 {
		a.Trace = randomTrace(rnd)
	}
	return a
}

func randomTrace(rnd *rand.Rand) *webhook.Trace {
	micros := func() time.Duration { return time.Duration(rnd.Intn(1e9)) * time.Microsecond }
	t := &webhook.Trace{Internal: rnd.Intn(2) == 0, Reused: rnd.Intn(2) == 0, Proxied: rnd.Intn(2) == 0, HeadersCut: rnd.Intn(2) == 0, Propagated: rnd.Intn(2) == 0,
		TLS: []uint16{0, tls.VersionTLS12, tls.VersionTLS13}[rnd.Intn(3)], Control: webhook.Control(rnd.Intn(3)), Settings: rnd.Uint32(),
		Sent: rnd.Uint32(), Received: rnd.Uint32(), Lookup: micros(), Connect: micros(), Handshake: micros(), FirstByte: micros()}
	if rnd.Intn(2) == 0 {
		t.Headers = []byte(fmt.Sprintf("X: %d\n", rnd.Intn(2)))
	}
	switch rnd.Intn(3) {
	case 0:
		t.Peer = netip.MustParseAddrPort("203.0.113.7:443")
	case 1:
		t.Peer = netip.MustParseAddrPort("[2001:db8::1]:8080")
	}
	return t
}

func randomOutcome(rnd *rand.Rand, a webhook.Attempt) webhook.Outcome {
	o := webhook.Outcome{Source: webhook.Source(rnd.Intn(4)), Attempt: a, Spent: rnd.Uint32(), Key: uint64(rnd.Intn(3))}
	if o.Source == webhook.SourceRetry {
		o.Due = randomTime(rnd)
	}
	if rnd.Intn(4) == 0 {
		o.Attempt = webhook.Attempt{Message: a.Message, Next: a.Next}
		o.Hold = rnd.Intn(2) == 0
	}
	return o
}

func TestRoundTrips(t *testing.T) {
	rnd := seeded(t)
	for range 300 {
		var messages []webhook.Message
		var attempts []webhook.Attempt
		p := webhook.Progress{Endpoint: goldenEndpoint, Cursor: goldenMessage}
		for i := range 1 + rnd.Intn(5) {
			m, a := randomMessage(rnd), randomAttempt(rnd)
			p.Outcomes = append(p.Outcomes, randomOutcome(rnd, a))
			m.ID, a.ID, a.Endpoint = webhook.NewID(goldenMessage.Millis(), 3, uint32(i*1000)), webhook.NewID(goldenMessage.Millis(), 3, uint32(i)), goldenEndpoint
			messages, attempts = append(messages, m), append(attempts, a)
		}
		gotMessages, err := decodeMessages(goldenKey, encodeMessages(messages), goldenApp)
		wantSame(t, gotMessages, messages, err)
		gotAttempts, err := decodeAttempts(goldenKey, encodeAttempts(attempts), goldenEndpoint)
		wantSame(t, gotAttempts, attempts, err)
		messages[0].ID = webhook.ID{}
		gotMessage, err := decodeCreateMessage(appendCreateMessage(nil, &messages[0])[1:])
		wantSame(t, *gotMessage, messages[0], err)
		list := []webhook.Progress{p, {Endpoint: goldenApp}, p}
		term, gotList, err := decodeProgress(encodeProgress(rnd.Uint64(), list)[1:])
		wantSame(t, gotList, list, err)
		m := meta{index: rnd.Uint64(), term: term, clock: rnd.Int63(), bytes: rnd.Int63(), left: rnd.Int63(), confIndex: rnd.Uint64(), conf: append([]byte{1}, randomBytes(rnd, 50)...)}
		var gotMeta meta
		err = gotMeta.decode(m.encode())
		wantSame(t, gotMeta, m, err)
	}
}

func wantSame[T any](t *testing.T, got, want T, err error) {
	t.Helper()
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, want %+v; %v", got, want, err)
	}
}
