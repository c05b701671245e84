package httpapi

import (
	"testing"
	"time"
)

// TestLongPace lets no more through than the rate, whoever receives how much at a time, and saves
// nothing up.
func TestLongPace(t *testing.T) {
	p := newLongPace(longRate)
	begun := time.Unix(1_800_000_000, 0)
	if wait := p.take(0, begun); wait != 0 {
		t.Errorf("nothing waits %s", wait)
	}
	const pieces, size = 64, 1 << 20
	var wait time.Duration
	for range pieces {
		wait = p.take(size, begun)
	}
	if want := time.Duration(float64(pieces*size) / p.rate * float64(time.Second)); wait < want-time.Microsecond || wait > want+time.Microsecond {
		t.Errorf("%d MiB at once wait %s, want %s", pieces, wait, want)
	}
	later := begun.Add(time.Hour)
	if got, want := p.take(size, later), time.Duration(size/p.rate*float64(time.Second)); got < want-time.Microsecond || got > want+time.Microsecond {
		t.Errorf("after an hour a MiB waits %s, want %s", got, want)
	}
}
