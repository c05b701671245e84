package bench

import (
	"math/rand/v2"
	"time"
)

// A payload is a JSON object with its numbers at fixed positions, so that the sink need not parse
// it:
//
//	{"event":"0000000042","sent":"1763913600000000000","pad":"…"}
//	0         10         20      30                 49      58   size-2
//
// The numbers are strings because JSON allows no leading zeros. The time is in nanoseconds since
// the Unix epoch.
const (
	payloadOpen  = `{"event":"`
	payloadSent  = `","sent":"`
	payloadPad   = `","pad":"`
	payloadClose = `"}`

	eventAt     = len(payloadOpen)
	eventDigits = 10
	sentAt      = eventAt + eventDigits + len(payloadSent)
	sentDigits  = 19
	padAt       = sentAt + sentDigits + len(payloadPad)
)

// What is around a payload in a message.
const (
	messageBefore = `{"eventType":"bench.event","payload":`
	messageAfter  = `}`
)

// MinSize and MaxSize bound a payload, in bytes.
const (
	MinSize = padAt + len(payloadClose)
	MaxSize = 4 << 20
)

// noise is what payloads are padded with: each event begins at another place of it, so that a store
// that compresses gains no more than it would with real text.
var noise = makeNoise(64 << 10)

func makeNoise(size int) []byte {
	const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
	random := rand.New(rand.NewPCG(1, 2))
	text := make([]byte, size)
	for i := range text {
		text[i] = letters[random.IntN(len(letters))]
	}
	return text
}

// writePayload fills dst, at least MinSize bytes, with the payload of event, sent at that time.
func writePayload(dst []byte, event int, sent int64) {
	copy(dst, payloadOpen)
	writeDigits(dst[eventAt:eventAt+eventDigits], int64(event))
	copy(dst[eventAt+eventDigits:], payloadSent)
	writeDigits(dst[sentAt:sentAt+sentDigits], sent)
	copy(dst[sentAt+sentDigits:], payloadPad)
	end := len(dst) - len(payloadClose)
	for pad, from := dst[padAt:end], event*61%len(noise); len(pad) > 0; from = 0 {
		pad = pad[copy(pad, noise[from:]):]
	}
	copy(dst[end:], payloadClose)
}

// parsePayload reads what writePayload wrote; ok reports whether it is such a payload.
func parsePayload(body []byte) (event int, sent int64, ok bool) {
	if len(body) < MinSize || string(body[:eventAt]) != payloadOpen ||
		string(body[eventAt+eventDigits:sentAt]) != payloadSent {
		return 0, 0, false
	}
	number, ok1 := readDigits(body[eventAt : eventAt+eventDigits])
	sent, ok2 := readDigits(body[sentAt : sentAt+sentDigits])
	return int(number), sent, ok1 && ok2
}

// writeDigits fills dst with the decimal digits of value, zeros in front.
func writeDigits(dst []byte, value int64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = byte('0' + value%10)
		value /= 10
	}
}

// readDigits reads up to 19 decimal digits; ok is false for an empty text and for
// one with anything else in it.
func readDigits(text []byte) (value int64, ok bool) {
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		value = value*10 + int64(c-'0')
	}
	return value, len(text) > 0
}

var started = time.Now()

// now is the time in nanoseconds since the Unix epoch. Unlike time.Now it never steps when the
// clock is set, as latencies are differences of it.
func now() int64 { return started.UnixNano() + int64(time.Since(started)) }
