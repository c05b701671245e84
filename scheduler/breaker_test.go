package scheduler

import (
	"math/rand"
	"strings"
	"testing"
	"time"
)

func TestBreaker(t *testing.T) {
	p := DefaultBreakerPolicy()
	now := time.Unix(1_790_000_000, 0).UTC()
	var b breaker
	for range p.MinAttempts - 1 {
		b.failure(now, &p, "no", false)
	}
	if b.health.Parked {
		t.Fatal("it opened too early")
	}
	now = now.Add(time.Second)
	b.failure(now, &p, strings.Repeat("x", 500), false)
	h := &b.health
	if !h.Parked || h.Since != now || h.FailingSince != now.Add(-time.Second) || h.NextProbe != now.Add(p.Probe) || len(h.LastFailure) != maxFailureText {
		t.Fatalf("%+v", h)
	}
	b.failure(now, &p, "one that was under way", false)
	if h.Probes != 0 {
		t.Error("what was under way counts as a probe")
	}
	waited := p.Probe
	for range 12 {
		now = h.NextProbe
		b.failure(now, &p, "no", true)
		next := h.NextProbe.Sub(now)
		if want := min(2*waited, p.MaxProbe); next != want {
			t.Fatalf("after %s it waits %s, want %s", waited, next, want)
		}
		waited = next
	}
	if b.isExhausted(now, &p) || !b.isExhausted(now.Add(p.Disable), &p) {
		t.Error("it is disabled at the wrong time")
	}
	b.success(now, &p)
	if b.health.Parked || !b.health.FailingSince.IsZero() {
		t.Errorf("after a success: %+v", b.health)
	}
	if first, later := b.pace(now), b.pace(now.Add(5*time.Second)); first != rampFirst || later != 32*rampFirst || b.pace(now.Add(rampTime)) != 0 {
		t.Errorf("the ramp begins at %v and is %v after 5 s", first, later)
	}
}

// An endpoint that has failed, got nothing for days, and fails again has not failed all the time:
// it is not disabled.
func TestBreakerSilence(t *testing.T) {
	p := DefaultBreakerPolicy()
	now := time.Unix(1_790_000_000, 0).UTC()
	var b breaker
	b.failure(now, &p, "no", false)
	now = now.Add(p.Disable)
	b.failure(now, &p, "no", false)
	if b.isExhausted(now, &p) || b.health.FailingSince != now {
		t.Errorf("after a silence: %+v", b.health)
	}
	next := breaker{health: b.health} // of the next leader
	now = now.Add(p.Disable)
	next.failure(now, &p, "no", false)
	if next.isExhausted(now, &p) {
		t.Errorf("after a silence and a change of leaders: %+v", next.health)
	}
	for ; now.Before(next.health.FailingSince.Add(p.Disable)); now = now.Add(12 * time.Hour) {
		next.failure(now, &p, "no", false)
	}
	if next.failure(now, &p, "no", false); !next.isExhausted(now, &p) {
		t.Errorf("after failures twice a day: %+v", next.health)
	}
}

// Who says that an endpoint is well again gets it probed at once, and it has failed since then
// only, or not at all.
func TestBreakerRetry(t *testing.T) {
	p := DefaultBreakerPolicy()
	now := time.Unix(1_790_000_000, 0).UTC()
	var b breaker
	for range p.MinAttempts {
		b.failure(now, &p, "no", false)
	}
	later := now.Add(p.Disable)
	b.retry(later)
	if h := &b.health; !h.Parked || h.Since != now || h.NextProbe != later || b.isExhausted(later, &p) {
		t.Errorf("%+v", h)
	}
	b.failure(later, &p, "no", true)
	if h := &b.health; h.FailingSince != later || h.NextProbe != later.Add(2*p.Probe) || b.isExhausted(later, &p) {
		t.Errorf("after a probe that failed: %+v", h)
	}
	b.success(later, &p)
	b.retry(later)
	if b.health.Parked || b.pace(later) != rampFirst {
		t.Errorf("one that was not parked: %+v", b.health)
	}
}

// An endpoint of which less than the share fails is never parked, whenever it fails; one of which
// clearly more fails is.
func TestBreakerShare(t *testing.T) {
	p := DefaultBreakerPolicy()
	for _, test := range []struct {
		share float64
		opens bool
	}{{0.2, false}, {0.8, true}} {
		rnd := rand.New(rand.NewSource(1))
		now, opened := time.Unix(1_790_000_000, 0), false
		var b breaker
		for range 20_000 {
			now = now.Add(time.Duration(rnd.Intn(200)) * time.Millisecond)
			if rnd.Float64() < test.share {
				b.failure(now, &p, "no", false)
			} else {
				b.success(now, &p)
			}
			if b.health.Parked {
				opened = true
				break
			}
		}
		if opened != test.opens {
			t.Errorf("of %v failures it opens: %t", test.share, opened)
		}
	}
}

// Old failures are forgotten once there is a success; without any, an endpoint that gets little is
// parked in the end.
func TestBreakerWindow(t *testing.T) {
	p := DefaultBreakerPolicy()
	for _, test := range []struct{ successEvery, parkedAfter int }{{0, p.MinAttempts}, {5, 0}} {
		now := time.Unix(1_790_000_000, 0)
		var b breaker
		parked := 0
		for i := 1; i <= 10*p.MinAttempts && parked == 0; i++ {
			if test.successEvery > 0 && i%test.successEvery == 0 {
				b.success(now, &p)
			} else if b.failure(now, &p, "no", false); b.health.Parked {
				parked = i
			}
			now = now.Add(20 * time.Second)
		}
		if parked != test.parkedAfter {
			t.Errorf("with a success every %d attempts it is parked after %d, want %d", test.successEvery, parked, test.parkedAfter)
		}
	}
}

// A short trouble does not park an endpoint that gets much: so many failures in a row are only
// those that were under way.
func TestBreakerBlip(t *testing.T) {
	p := DefaultBreakerPolicy()
	now := time.Unix(1_790_000_000, 0)
	var b breaker
	for range 5 * p.MinAttempts {
		b.success(now, &p)
	}
	for range 4 * p.MinAttempts {
		b.failure(now, &p, "no", false)
		now = now.Add(time.Millisecond)
	}
	if b.health.Parked {
		t.Error("it is parked")
	}
}

// An endpoint that has failed all the time is disabled however long the window is in which its
// failures are counted.
func TestBreakerIsNotSilentInALongWindow(t *testing.T) {
	p := DefaultBreakerPolicy()
	p.Window, p.MaxProbe, p.Disable = time.Hour, time.Minute, 20*time.Minute
	var b breaker
	begun := time.UnixMilli(1_790_000_000_000)
	now := begun
	for ; now.Sub(begun) < p.Disable; now = now.Add(time.Minute) {
		b.failure(now, &p, "status 500", b.health.Parked)
	}
	if !b.isExhausted(now, &p) {
		t.Errorf("after %v of failures it is said to fail since %v", now.Sub(begun), b.health.FailingSince.Sub(begun))
	}
}
