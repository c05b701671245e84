package scheduler

import (
	"slices"
	"testing"
	"time"
)

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
					r.t.Errorf("timer %d is at level %d slot %d, want %d, %d", x.Value, level, slot, l, s)
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
