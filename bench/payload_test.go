package bench

import (
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"testing"
)

func TestPayloadRoundTrip(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 1000 {
		size := MinSize + random.IntN(3000)
		if random.IntN(100) == 0 {
			size = len(noise) + random.IntN(100_000)
		}
		event, sent := random.IntN(1e10), random.Int64()
		body := make([]byte, size)
		writePayload(body, event, sent)
		gotEvent, gotSent, ok := parsePayload(body)
		if !ok || gotEvent != event || gotSent != sent {
			t.Fatalf("event %d sent %d: got %d, %d, %v from %.80s", event, sent, gotEvent, gotSent, ok, body)
		}
		var object struct{ Event, Sent, Pad string }
		if err := json.Unmarshal(body, &object); err != nil {
			t.Fatalf("%v: %.80s", err, body)
		}
		if number, _ := strconv.Atoi(object.Event); number != event || len(object.Pad) != size-MinSize {
			t.Fatalf("size %d: JSON reads event %q, %d bytes of padding", size, object.Event, len(object.Pad))
		}
	}
}

func TestPayloadOfOthersIsRefused(t *testing.T) {
	good := make([]byte, MinSize)
	writePayload(good, 7, now())
	for at := range padAt - len(payloadPad) {
		bad := append([]byte(nil), good...)
		bad[at] = '!'
		if _, _, ok := parsePayload(bad); ok {
			t.Errorf("accepted %s", bad)
		}
	}
	for size := range MinSize {
		if _, _, ok := parsePayload(good[:size]); ok {
			t.Errorf("accepted %s", good[:size])
		}
	}
}
