package scheduler

import (
	"fmt"
	"testing"
	"time"

	"hookwheel/webhook"
)

// manyTypes are event types that only their ends tell apart.
func manyTypes(count int) (names []string) {
	for i := range count {
		names = append(names, fmt.Sprintf("t%030d", i))
	}
	return names
}

// The filter of a lane says what its endpoint says.
func TestFilterIsThatOfTheEndpoint(t *testing.T) {
	names := manyTypes(1000)
	for _, count := range []int{0, 1, fewTypes, fewTypes + 1, 100, 1000} {
		for _, channels := range [][]string{nil, {"a", "b"}} {
			e := testEndpoint(1, append(names[:count:count], names[:count/2]...)...) // some twice
			e.Channels = channels
			l := &lane{endpoint: e}
			for i, name := range append(names, "", "t", "u") {
				for _, m := range []webhook.Message{{}, {Channels: []string{"c", "b"}}, {Channels: []string{"c"}}, {Only: e.ID}, {Only: testApp}} {
					m.EventType = name
					if got, want := l.isWanted(&m), e.Wants(&m); got != want {
						t.Fatalf("with %d event types and channels %q, number %d with %q, only for %s: got %t", count, channels, i, m.Channels, m.Only, got)
					}
				}
			}
		}
	}
}

// Messages that an endpoint does not want are passed over as fast if it names a thousand event
// types as if it names one.
func TestManyEventTypesCostNoTime(t *testing.T) {
	const messages = 1000
	names := manyTypes(1001)
	pass := func(count int) (shortest time.Duration) {
		shortest = time.Hour
		for range 10 {
			r := logReader{tail: new(tail), done: map[webhook.ID]struct{}{}}
			for i := range messages {
				m := testMessage(i+1, 10)
				m.EventType = names[len(names)-1]
				r.window = append(r.window, m)
			}
			l := &lane{endpoint: testEndpoint(1, names[:count]...)}
			begun := time.Now()
			if m, _ := r.next(l.isWanted); m != nil {
				t.Fatal("a message is wanted")
			}
			shortest = min(shortest, time.Since(begun))
		}
		return shortest
	}
	if one, many := pass(1), pass(1000); many > 20*one+time.Millisecond {
		t.Errorf("%d messages take %s with a thousand event types, and %s with one", messages, many, one)
	}
}
