package scheduler

import (
	"math/rand/v2"
	"runtime"
	"slices"
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

// A sleeper who follows next wakes a few times for a distant timer, not once per tick.
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

// A million timers over 30 days, half of them cancelled; a sleeper who follows next sees the rest
// in order, each once, each within its tick.
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
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
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

// wheelRig drives a wheel and its model through the same operations and compares them.
type wheelRig struct {
	t      *testing.T
	decide func() byte // where the choice of operations comes from
	wheel  *wheel[int]
	timers [24]timer[int]
	model  wheelModel
}

func newWheelRig(t *testing.T, start time.Time, decide func() byte) *wheelRig {
	r := &wheelRig{t: t, decide: decide, wheel: newWheel[int](start), model: wheelModel{now: start}}
	r.model.present = start.Truncate(wheelTick)
	for i := range r.timers {
		r.timers[i].Value = i
	}
	return r
}

func (r *wheelRig) run(operations int) {
	for range operations {
		switch r.decide() % 4 {
		case 0, 1:
			r.add(r.pick(), r.distance())
		case 2:
			r.cancel(r.pick())
		case 3:
			r.advance(r.distance())
		}
		r.checkNext()
		r.checkSlots()
		if r.t.Failed() {
			return
		}
	}
}

func (r *wheelRig) pick() int { return int(r.decide()) % len(r.timers) }

// distance is a time between -146 and 146 years, all orders of magnitude alike, the past less
// often.
func (r *wheelRig) distance() time.Duration {
	d := time.Duration(r.decide())<<(r.decide()%54) + time.Duration(r.decide())
	if r.decide()%8 == 1 {
		return -d
	}
	return d
}

func (r *wheelRig) add(id int, after time.Duration) {
	at := r.model.present.Add(after)
	r.wheel.add(&r.timers[id], at)
	r.model.add(id, at)
}

func (r *wheelRig) cancel(id int) {
	if got, want := r.wheel.cancel(&r.timers[id]), r.model.cancel(id); got != want {
		r.t.Errorf("cancel(%d) = %v, want %v", id, got, want)
	}
}

func (r *wheelRig) advance(by time.Duration) {
	now := r.model.now.Add(by)
	r.model.begin(now)
	r.wheel.advance(now, func(x *timer[int]) {
		due := r.model.due()
		i := slices.IndexFunc(due, func(e wheelModelEntry) bool { return e.id == x.Value })
		if i < 0 {
			r.t.Fatalf("timer %d fired, though not one of those that come next: %v", x.Value, due)
		}
		if early := due[i].at.Sub(r.model.now); early > 0 {
			r.t.Errorf("timer %d fired %v early", x.Value, early)
		}
		r.model.fire(due[i])
		r.interfere(x.Value)
	})
	if due := r.model.due(); len(due) > 0 {
		r.t.Errorf("due at %v, but did not fire: %v", r.model.now, due)
	}
	r.model.end()
	for _, e := range r.model.entries {
		if e.lateIn != r.model.round && r.model.now.Sub(e.at) >= wheelTick {
			r.t.Errorf("timer %d is still there, %v after its time", e.id, r.model.now.Sub(e.at))
		}
	}
}

// interfere does to the wheel what a timer that fires may do. On average it adds less than one
// timer, so that this ends.
func (r *wheelRig) interfere(firing int) {
	switch r.decide() % 12 {
	case 1:
		r.add(firing, r.distance())
	case 2:
		r.add(r.pick(), r.distance())
	case 3:
		r.add(firing, 0)
	case 4:
		r.cancel(firing)
	case 5:
		r.cancel(r.pick())
	case 6, 7: // whatever comes next, often in the same slot
		if len(r.model.entries) > 0 {
			r.cancel(r.model.entries[0].id)
		}
	case 8:
		if len(r.model.entries) > 0 {
			r.add(r.model.entries[0].id, r.distance())
		}
	}
	r.checkNext()
}

// checkNext compares len and next with the model: next is not after the first timer is due (or is
// past already), and a sleep until then is not in vain.
func (r *wheelRig) checkNext() {
	r.t.Helper()
	if r.wheel.len() != len(r.model.entries) {
		r.t.Errorf("len() = %d, want %d", r.wheel.len(), len(r.model.entries))
	}
	at, ok := r.wheel.next()
	if ok != (len(r.model.entries) > 0) {
		r.t.Errorf("next() = %v, %v with %d timers", at, ok, len(r.model.entries))
	}
	if !ok {
		return
	}
	first := r.model.entries[0]
	if at.After(first.due) && at.After(r.model.present) {
		r.t.Errorf("next() = %v is after timer %d is due, %v", at, first.id, first.due)
	}
	if first.due.After(r.model.present) && !at.After(r.model.present) {
		r.t.Errorf("next() = %v is not after the present %v, though nothing is due", at, r.model.present)
	}
}

// checkSlots checks what the wheel keeps true between calls: each timer is where its tick belongs,
// the bitmaps show what is occupied, and the count is right.
func (r *wheelRig) checkSlots() {
	r.t.Helper()
	w, count := r.wheel, 0
	for x := w.late.next; x != &w.late; x = x.next {
		count++
	}
	for level := range w.slots {
		for slot := range w.slots[level] {
			list := &w.slots[level][slot]
			if occupied := w.occupied[level]>>slot&1 == 1; occupied == list.isEmpty() {
				r.t.Errorf("slot %d of level %d: occupied is %v", slot, level, occupied)
			}
			for x := list.next; x != list; x = x.next {
				count++
				if l, s := w.position(x.tick); l != level || s != slot || x.tick <= w.tick {
					r.t.Errorf("timer %d stands at level %d slot %d, want %d, %d", x.Value, level, slot, l, s)
				}
			}
		}
	}
	if count != w.len() {
		r.t.Errorf("%d timers in the slots, len() = %d", count, w.len())
	}
}

// wheelModel says in the simplest way what a wheel does: it keeps its timers sorted.
type wheelModel struct {
	now     time.Time // the latest time of all advances
	present time.Time // the tick up to which timers have fired
	round   int       // number of advances begun
	firing  bool      // inside an advance
	entries []wheelModelEntry
}

type wheelModelEntry struct {
	id     int
	at     time.Time // as asked
	due    time.Time // the tick from which on it may fire
	lateIn int       // the round in which it was added, too late to fire in that one; 0 if it was in time
}

func (m *wheelModel) add(id int, at time.Time) {
	m.cancel(id)
	e := wheelModelEntry{id: id, at: at, due: at.Add(wheelTick - 1).Truncate(wheelTick)}
	if !e.due.After(m.present) {
		e.due = m.present
		if m.firing {
			e.lateIn = m.round
		}
	}
	m.entries = append(m.entries, e)
	slices.SortStableFunc(m.entries, func(a, b wheelModelEntry) int { return a.due.Compare(b.due) })
}

func (m *wheelModel) cancel(id int) bool {
	before := len(m.entries)
	m.entries = slices.DeleteFunc(m.entries, func(e wheelModelEntry) bool { return e.id == id })
	return len(m.entries) < before
}

// begin starts an advance. Timers added too late for the one before are all due now, in no order.
func (m *wheelModel) begin(now time.Time) {
	m.round++
	m.firing = true
	if now.After(m.now) {
		m.now = now
	}
	for i, e := range m.entries {
		if e.due.Before(m.present) {
			m.entries[i].due = m.present
		}
	}
}

// due returns the timers of which one must fire next in this advance: those of the earliest tick.
func (m *wheelModel) due() (next []wheelModelEntry) {
	for _, e := range m.entries {
		if e.lateIn == m.round || e.due.After(m.now) || len(next) > 0 && e.due.After(next[0].due) {
			continue
		}
		next = append(next, e)
	}
	return next
}

func (m *wheelModel) fire(e wheelModelEntry) {
	m.cancel(e.id)
	m.present = e.due
}

func (m *wheelModel) end() {
	m.firing = false
	m.present = m.now.Truncate(wheelTick)
}

const wheelBenchTimers = 1_000_000

func reportPerWheelTimer(b *testing.B, rounds int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rounds*wheelBenchTimers), "ns/timer")
}

// BenchmarkWheelAdd fills a wheel with a million timers in each round.
func BenchmarkWheelAdd(b *testing.B) {
	timers, at := wheelMillion(wheelBenchTimers)
	rounds := 0
	for ; b.Loop(); rounds++ {
		b.StopTimer()
		w := newWheel[int](wheelStart)
		clear(timers)
		b.StartTimer()
		for i := range timers {
			w.add(&timers[i], at[i])
		}
	}
	reportPerWheelTimer(b, rounds)
}

// BenchmarkWheelCancel empties a wheel of a million timers in each round.
func BenchmarkWheelCancel(b *testing.B) {
	timers, at := wheelMillion(wheelBenchTimers)
	rounds := 0
	for ; b.Loop(); rounds++ {
		b.StopTimer()
		w := newWheel[int](wheelStart)
		for i := range timers {
			w.add(&timers[i], at[i])
		}
		b.StartTimer()
		for i := range timers {
			w.cancel(&timers[i])
		}
	}
	reportPerWheelTimer(b, rounds)
}

// BenchmarkWheelMillion is the life of a million timers over 30 days in each round: all are set,
// half are cancelled, the rest fire as the clock follows next. Memory is what the heap grows by for
// the timers, each with a pointer for a value; time is without their allocation.
func BenchmarkWheelMillion(b *testing.B) {
	timers := make([]*timer[*int], wheelBenchTimers)
	b.Run("slice", func(b *testing.B) {
		benchmarkWheelMillion(b, timers, func() {
			array := make([]timer[*int], len(timers))
			for i := range timers {
				timers[i] = &array[i]
			}
		})
	})
	b.Run("single", func(b *testing.B) {
		benchmarkWheelMillion(b, timers, func() {
			for i := range timers {
				timers[i] = new(timer[*int])
			}
		})
	})
}

func benchmarkWheelMillion(b *testing.B, timers []*timer[*int], allocate func()) {
	clear(timers)
	before := wheelHeap()
	allocate()
	bytes := float64(wheelHeap()-before) / float64(len(timers))
	_, at := wheelMillion(len(timers))

	fired, rounds := 0, 0
	for ; b.Loop(); rounds++ {
		w := newWheel[*int](wheelStart)
		for i, t := range timers {
			w.add(t, at[i])
		}
		for i := 0; i < len(timers); i += 2 {
			w.cancel(timers[i])
		}
		for now, ok := w.next(); ok; now, ok = w.next() {
			w.advance(now, func(*timer[*int]) { fired++ })
		}
	}
	if fired != rounds*len(timers)/2 {
		b.Fatalf("%d timers fired in %d rounds", fired, rounds)
	}
	reportPerWheelTimer(b, rounds)
	b.ReportMetric(bytes, "bytes/timer")
}

// wheelHeap returns the bytes of all live objects on the heap.
func wheelHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestWheelTimerIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(timer[*int]{}); size > 64 {
		t.Errorf("a timer takes %d bytes, more than the 64 we promise", size)
	}
}

// len returns the number of timers in the wheel.
func (w *wheel[T]) len() int { return w.count }
