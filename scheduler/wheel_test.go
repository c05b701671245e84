package scheduler

import (
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"
)

var wheelStart = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const wheelMonth = 30 * 24 * time.Hour

// fireWheel advances the wheel and returns the values of the timers that fired.
func fireWheel[T any](w *wheel[T], now time.Time) (fired []T) {
	w.advance(now, func(t *timer[T]) { fired = append(fired, t.Value) })
	return fired
}

func TestWheelFiresOnTheTickAfter(t *testing.T) {
	for _, c := range []struct {
		after       time.Duration // what the timer is set to
		early, late time.Duration // the last moment at which it must not fire, the first at which it must
	}{
		{1, 0, wheelTick},
		{wheelTick, wheelTick - 1, wheelTick},
		{wheelTick + 1, wheelTick, 2 * wheelTick},
		{time.Second, time.Second - 1, time.Second},
		{wheelMonth, wheelMonth - 1, wheelMonth},
		{200 * 365 * 24 * time.Hour, 200*365*24*time.Hour - 1, 200 * 365 * 24 * time.Hour},
	} {
		w := newWheel[string](wheelStart)
		w.add(&timer[string]{Value: "x"}, wheelStart.Add(c.after))
		if fired := fireWheel(w, wheelStart.Add(c.early)); len(fired) != 0 {
			t.Errorf("set to %v: fired at %v", c.after, c.early)
		}
		if fired := fireWheel(w, wheelStart.Add(c.late)); len(fired) != 1 || w.len() != 0 {
			t.Errorf("set to %v: fired %d times at %v, %d left", c.after, len(fired), c.late, w.len())
		}
	}
}

func TestWheelLateTimerFiresInTheNextAdvance(t *testing.T) {
	w := newWheel[int](wheelStart)
	late := &timer[int]{Value: 1}
	for _, at := range []time.Time{wheelStart, wheelStart.Add(-wheelMonth), {}, time.Unix(-1<<60, 0)} {
		w.add(late, at)
		if next, ok := w.next(); !ok || next.After(wheelStart) {
			t.Errorf("late timer: next() = %v, %v", next, ok)
		}
		if fired := fireWheel(w, wheelStart.Add(-time.Hour)); len(fired) != 1 {
			t.Errorf("timer set to %v fired %d times", at, len(fired))
		}
	}
}

func TestWheelTimerThatAlwaysSetsItselfLateFiresOncePerAdvance(t *testing.T) {
	w := newWheel[int](wheelStart)
	w.add(&timer[int]{}, wheelStart)
	for i := range 3 {
		count := 0
		w.advance(wheelStart.Add(time.Duration(i)*time.Hour), func(t *timer[int]) {
			count++
			w.add(t, wheelStart)
		})
		if count != 1 || w.len() != 1 {
			t.Errorf("advance %d: fired %d times, %d left", i, count, w.len())
		}
	}
}

func TestWheelBeyondItsEnd(t *testing.T) {
	w := newWheel[int](wheelStart)
	w.add(&timer[int]{}, time.Unix(1<<60, 0))
	if fired := fireWheel(w, wheelStart.AddDate(80_000, 0, 0)); len(fired) != 0 || w.len() != 1 {
		t.Errorf("fired %d timers, %d left", len(fired), w.len())
	}
}

// A caller that sleeps until next wakes a few times for a distant timer, not once per tick.
func TestWheelNextWakesAtMostOncePerLevel(t *testing.T) {
	w := newWheel[int](wheelStart)
	w.add(&timer[int]{}, wheelStart.Add(wheelMonth+12345*time.Millisecond))
	wakes, fired := 0, 0
	for at, ok := w.next(); ok; at, ok = w.next() {
		wakes++
		fired += len(fireWheel(w, at))
	}
	if fired != 1 || wakes > wheelLevels {
		t.Errorf("fired %d times after %d wake-ups", fired, wakes)
	}
}

func TestWheelCancel(t *testing.T) {
	w := newWheel[int](wheelStart)
	x := &timer[int]{}
	if w.cancel(x) {
		t.Error("cancelled a timer that was never added")
	}
	for _, after := range []time.Duration{-time.Second, time.Second, wheelMonth} {
		w.add(x, wheelStart.Add(after))
		if !w.cancel(x) || w.cancel(x) {
			t.Errorf("timer after %v: want it cancelled once", after)
		}
		if _, ok := w.next(); ok || w.len() != 0 {
			t.Errorf("timer after %v: wheel is not empty", after)
		}
	}
}

// A million timers over 30 days, half of them canceled: a caller that sleeps until next sees the
// others in order, each once and within its tick.
func TestWheelMillion(t *testing.T) {
	const n = 1_000_000
	timers, at := wheelMillion(n)
	w := newWheel[int](wheelStart)
	for i := range timers {
		w.add(&timers[i], at[i])
	}
	for i := 0; i < n; i += 2 {
		if !w.cancel(&timers[i]) {
			t.Fatalf("timer %d was not in the wheel", i)
		}
	}
	if w.len() != n/2 {
		t.Fatalf("%d timers in the wheel, want %d", w.len(), n/2)
	}

	fired := make([]int, n)
	var last uint64
	for now, ok := w.next(); ok; now, ok = w.next() {
		w.advance(now, func(x *timer[int]) {
			fired[x.Value]++
			if late := now.Sub(at[x.Value]); late < 0 || late >= wheelTick {
				t.Fatalf("timer %d fired %v late", x.Value, late)
			}
			if x.tick < last {
				t.Fatalf("timer %d of tick %d fired after one of tick %d", x.Value, x.tick, last)
			}
			last = x.tick
		})
	}
	for i, times := range fired {
		if times != i%2 {
			t.Fatalf("timer %d fired %d times", i, times)
		}
	}
}

// wheelMillion returns n timers, numbered by Value, and the times to set them to, spread at random
// over 30 days.
func wheelMillion(n int) ([]timer[int], []time.Time) {
	random := rand.New(rand.NewPCG(1, 2))
	timers, at := make([]timer[int], n), make([]time.Time, n)
	for i := range timers {
		timers[i].Value = i
		at[i] = wheelStart.Add(time.Duration(random.Int64N(int64(wheelMonth))))
	}
	return timers, at
}

func TestWheelAgainstModel(t *testing.T) {
	for seed := range histories(200) {
		random := rand.New(rand.NewPCG(uint64(seed), 0))
		start := wheelStart.Add(time.Duration(random.Int64N(int64(20 * 365 * 24 * time.Hour))))
		newWheelRig(t, start, func() byte { return byte(random.Uint32()) }).run(1000)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func FuzzWheel(f *testing.F) {
	f.Add([]byte("every byte is a decision; operation, timer, distance, and so on"))
	f.Add([]byte{0, 1, 200, 30, 0, 0, 2, 100, 30, 0, 1, 1, 2, 255, 35, 0, 3, 3, 1, 0})
	f.Fuzz(func(t *testing.T, decisions []byte) {
		newWheelRig(t, wheelStart, func() (b byte) {
			if len(decisions) > 0 {
				b, decisions = decisions[0], decisions[1:]
			}
			return b
		}).run(min(len(decisions), 400))
	})
}

func TestWheelTimerIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(timer[*int]{}); size > 64 {
		t.Errorf("a timer takes %d bytes, more than the 64 we promise", size)
	}
}

// len returns the number of timers in the wheel.
func (w *wheel[T]) len() int { return w.count }
