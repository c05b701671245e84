package scheduler

import (
	"math"
	"math/bits"
	"time"
)

const (
	// wheelTick is the wheel's unit of time. A tick's number is its count since 1 January 1970 UTC.
	wheelTick = 10 * time.Millisecond

	// wheelBits makes a level 64 slots wide, so that its occupancy is one machine word.
	wheelBits  = 6
	wheelSlots = 1 << wheelBits

	// wheelLevels gives ticks of 48 bits, which last until about the year 91000: nothing lies
	// beyond the wheel.
	wheelLevels = 8

	wheelTicksPerSecond = uint64(time.Second / wheelTick)
	wheelMaxSeconds     = int64(1<<(wheelBits*wheelLevels)/wheelTicksPerSecond) - 1

	// wheelNever is later than every tick.
	wheelNever = math.MaxUint64
)

// timer is one entry of a wheel, a node of the list of its slot. It is embedded by value in what it
// wakes, or allocated alone: 32 bytes if Value is a pointer. The zero timer is ready for use, and
// is of no wheel. It must not be copied while it is in a wheel, and be in one wheel at a time.
type timer[T any] struct {
	next, prev *timer[T] // nil outside a wheel
	tick       uint64    // not to be fired before
	Value      T
}

// wheel holds timers and hands over those that are due. It reads no clock and has no lock: the
// caller brings the time, and sees to it that one call runs at a time.
//
// It is a hierarchical timing wheel: Varghese & Lauck, "Hashed and hierarchical timing wheels: data
// structures for the efficient implementation of a timer facility", SOSP 1987, scheme 7. A tick is
// read as a number of eight digits in base 64. A timer is at the level of the highest digit in
// which its tick differs from the present one, in the slot of that digit's value. From there it
// moves to lower levels as the present comes nearer, at most once per level. So
//   - all timers of a level are due before those of the levels above, and slots within a level
//     follow in order of time;
//   - the present can jump to the next occupied slot, which the bitmaps find, without touching
//     those between;
//   - slots do not wrap around: at each level those before the present are empty.
type wheel[T any] struct {
	tick     uint64              // the present: everything up to here has been fired, or is in late
	count    int                 // timers in slots and in late
	late     timer[T]            // head of the list of timers that were already due when they were added
	occupied [wheelLevels]uint64 // bit s of word l is set if slots[l][s] has a timer
	slots    [wheelLevels][wheelSlots]timer[T]
}

// newWheel returns an empty wheel whose present is now.
func newWheel[T any](now time.Time) *wheel[T] {
	w := &wheel[T]{tick: wheelTickOf(now)}
	w.late.reset()
	for level := range w.slots {
		for slot := range w.slots[level] {
			w.slots[level][slot].reset()
		}
	}
	return w
}

// add sets t to fire at the first tick that is not before at, instead of any time it was set to
// before. If that is not later than the present, t is late and fires in the next advance; added by
// a timer that fires, not in the same one, so that a timer which always sets itself to the past
// again cannot hold up the caller. O(1).
func (w *wheel[T]) add(t *timer[T], at time.Time) {
	w.cancel(t)
	w.count++
	t.tick = wheelTickAfter(at)
	if t.tick <= w.tick {
		t.link(&w.late)
		return
	}
	w.place(t)
}

// cancel takes t out of the wheel; false if it was not in. O(1).
func (w *wheel[T]) cancel(t *timer[T]) bool {
	if t.next == nil {
		return false
	}
	w.count--
	t.unlink()
	// For a late timer this is some slot it was never in; to clear the bit of an empty slot is
	// right for any slot.
	if level, slot := w.position(t.tick); w.slots[level][slot].isEmpty() {
		w.occupied[level] &^= 1 << slot
	}
	return true
}

// advance moves the present to now and calls fire for every timer that is due by then: first those
// that were late when added, then the others in order of tick, and within a tick in no
// particular order. A timer is out of the wheel when it fires. fire may add and cancel any timer,
// including this one, but not call advance. If now is before the present, advance does nothing.
func (w *wheel[T]) advance(now time.Time, fire func(*timer[T])) {
	target := max(wheelTickOf(now), w.tick)
	w.spread(&w.late)
	for level, slot, start := w.first(); start <= target; level, slot, start = w.first() {
		w.tick = start
		list := &w.slots[level][slot]
		if level > 0 {
			w.occupied[level] &^= 1 << slot
			w.spread(list)
			continue
		}
		for t := list.next; t != list; t = list.next {
			w.cancel(t)
			fire(t)
		}
	}
	w.tick = target
}

// next returns when advance has something to do again: a time to sleep until, never after the first
// timer is due, but sometimes before, as timers have to move down a level; false if the wheel is
// empty. O(levels).
func (w *wheel[T]) next() (time.Time, bool) {
	if w.count == 0 {
		return time.Time{}, false
	}
	tick := w.tick
	if w.late.isEmpty() {
		_, _, tick = w.first()
	}
	return time.UnixMilli(int64(tick) * wheelTick.Milliseconds()), true
}

// first returns the earliest occupied slot, and the tick at which it begins: wheelNever if all
// slots are empty.
func (w *wheel[T]) first() (level, slot int, start uint64) {
	for level, word := range w.occupied {
		if word != 0 {
			slot = bits.TrailingZeros64(word)
			above := w.tick >> (wheelBits * (level + 1)) // the digits that all timers of the level share with the present
			return level, slot, (above<<wheelBits | uint64(slot)) << (wheelBits * level)
		}
	}
	return 0, 0, wheelNever
}

// position returns where a timer for this tick belongs, seen from the present. The present itself
// is at level 0.
func (w *wheel[T]) position(tick uint64) (level, slot int) {
	level = (bits.Len64((tick^w.tick)|1) - 1) / wheelBits
	return level, int(tick >> (wheelBits * level) % wheelSlots)
}

// place puts t, which is in no list, into the slot of its tick; if that is over, into the slot of
// the present.
func (w *wheel[T]) place(t *timer[T]) {
	t.tick = max(t.tick, w.tick)
	level, slot := w.position(t.tick)
	w.occupied[level] |= 1 << slot
	t.link(&w.slots[level][slot])
}

// spread moves all timers of a list to the slots where they belong at present. Memory is what this
// costs: in a long list the next timer is in no cache, and its address is known only when the one
// before it has come. From both ends at once two are on their way at any moment, which makes timers
// fire almost twice as fast.
func (w *wheel[T]) spread(list *timer[T]) {
	for !list.isEmpty() {
		front, back := list.next, list.prev
		front.unlink()
		w.place(front)
		if back != front {
			back.unlink()
			w.place(back)
		}
	}
}

// wheelTickOf returns the tick that t is in. What the wheel cannot count is clamped: to the first
// tick before 1970, to the last one beyond its end.
func wheelTickOf(t time.Time) uint64 {
	seconds := t.Unix()
	if seconds < 0 {
		return 0
	}
	return uint64(min(seconds, wheelMaxSeconds))*wheelTicksPerSecond + uint64(t.Nanosecond())/uint64(wheelTick)
}

// wheelTickAfter returns the first tick that is not before t.
func wheelTickAfter(t time.Time) uint64 { return wheelTickOf(t.Add(wheelTick - 1)) }

// firesBy reports whether t is in a wheel and fires no later than a timer that is set to at.
func (t *timer[T]) firesBy(at time.Time) bool { return t.next != nil && t.tick <= wheelTickAfter(at) }

// reset makes t the head of an empty list. A list is a ring through its head, which holds no value.
func (t *timer[T]) reset() { t.next, t.prev = t, t }

// isEmpty reports whether the list with this head has no timers.
func (t *timer[T]) isEmpty() bool { return t.next == t }

// link appends t to a list.
func (t *timer[T]) link(list *timer[T]) {
	t.next, t.prev = list, list.prev
	t.prev.next, list.prev = t, t
}

// unlink takes t out of its list.
func (t *timer[T]) unlink() {
	t.prev.next, t.next.prev = t.next, t.prev
	t.next, t.prev = nil, nil
}
