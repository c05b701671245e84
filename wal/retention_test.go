package wal

import (
	"bytes"
	"testing"
	"time"

	"hookwheel/webhook"
)

// agingWorld is three stores whose logs age.
type agingWorld struct {
	*sweepWorld
	clock int64
	seen  int // records, deleted ones too, that retention has passed
	steps int
}

func (w *agingWorld) Propose(body []byte) []byte {
	w.t.Helper()
	var replies [3][]byte
	for i, s := range w.stores {
		before := s.pending.seen
		replies[i] = applyAt(w.t, s, w.clock, body)[0]
		if i == 1 && kind(body[0]) == kindRetain {
			w.seen += s.pending.seen - before
		}
		if !bytes.Equal(replies[i], replies[0]) {
			w.t.Errorf("store %d replies %q instead of %q", i, replies[i], replies[0])
		}
	}
	return replies[0]
}

// age has retention remove what is older than a day, as whichever node leads asks for.
func (w *agingWorld) age() {
	w.t.Helper()
	for range 1000 {
		o, err := NewCleaner(w.stores[w.rnd.Intn(len(w.stores))], nil).overdue(w.clock-day, w.clock)
		w.must(err)
		w.seen += o.seen
		w.steps++
		if len(o.command.Parts)+len(o.command.Looked) == 0 {
			return
		}
		o.command.Records = 1 + w.rnd.Intn(200)
		w.Propose(mustEncode(w.t, kindRetain, o.command))
		if w.rnd.Intn(20) == 0 {
			w.disturb()
		}
	}
	w.t.Fatal("there is always more that is overdue")
}

// Messages come and expire, day after day, but some stay for long: they ask for that, or are
// scheduled. Each step of retention looks only at what has become old since, and passes neither
// over those that stay, nor over what Badger holds of those that are gone. All nodes remember the
// place.
func TestRetentionGoesOn(t *testing.T) {
	const days, each = 30, 60
	w := &agingWorld{sweepWorld: newSweepWorld(t, seeded(t)), clock: testClock}
	var apps []webhook.ID
	for range 3 {
		a, _, _ := w.app(1, 0, 0)
		apps = append(apps, a)
	}
	staying := 0
	for range days {
		for i := range each {
			m := webhook.Message{App: apps[i%len(apps)], EventType: "a", Payload: []byte("{}")}
			switch w.rnd.Intn(6) {
			case 0:
				m.Retention = 90 * 24 * time.Hour
				staying++
			case 1:
				m.Retention = time.Duration(1+w.rnd.Intn(30)) * time.Hour
			case 2:
				m.DeliverAt = time.UnixMilli(w.clock + 60*day)
				staying++
			}
			w.clock += day / each
			w.Propose(appendCreateMessage(nil, &m))
		}
		w.age()
	}
	if left := countKeys(t, w.stores[1], keyLog); left < staying || left > staying+3*each {
		t.Errorf("%d messages are left, but %d stay", left, staying)
	}
	for i, s := range w.stores {
		if diff := differences(t, content(t, w.stores[0]), content(t, s)); len(diff) > 0 {
			t.Errorf("store %d differs from the first in %d records, such as %s", i, len(diff), diff[0])
		}
	}
	t.Logf("%d steps passed %d records of %d messages, of which %d stay", w.steps, w.seen, days*each, staying)
	if limit := 4*days*each + 10*w.steps; w.seen > limit {
		t.Errorf("%d steps passed %d records, more than %d", w.steps, w.seen, limit)
	}
	w.clock += 100 * day
	w.age()
	if left := countKeys(t, w.stores[1], keyLog); left > 0 {
		t.Errorf("%d messages are left for ever", left)
	}
}

// A store that is always full removes the oldest messages of a log again and again, and does not
// pass over what Badger holds of those that were removed before.
func TestShrinkGoesOn(t *testing.T) {
	const rounds, each, size = 30, 50, 400 << 10
	s := newSized(t, size)
	k := NewShrinker(s.Store, s.w, size)
	k.size, k.tight = size/4*3, size
	steps := 0
	for i := range rounds {
		s.send(t, each)
		s.attempt(t, i*each, each)
		for more := true; more; steps++ {
			var err error
			if more, err = k.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
			if steps > 100*rounds {
				t.Fatal("there is always more to do")
			}
		}
	}
	seen := k.seen + s.pending.seen
	t.Logf("%d steps passed %d+%d records of %d messages", steps, k.seen, s.pending.seen, rounds*each)
	if limit := 12 * rounds * each; seen > limit {
		t.Errorf("%d steps passed %d records, more than %d", steps, seen, limit)
	}
}

// What is left of a deleted application goes step by step, which may take long. Until then its
// messages, whose own retention has ended, keep no others from leaving.
func TestRetentionPassesDeletedApplications(t *testing.T) {
	w := &agingWorld{sweepWorld: newSweepWorld(t, seeded(t)), clock: testClock}
	var apps []webhook.ID
	for range 3 {
		a, _, _ := w.app(1, 0, 0)
		apps = append(apps, a)
	}
	gone, own, plain := apps[0], apps[1], apps[2]
	add := func(app webhook.ID, retention time.Duration, delay int64) {
		m := webhook.Message{App: app, EventType: "a", Payload: []byte("{}"), Retention: retention}
		if w.clock += 10; delay > 0 {
			m.DeliverAt = time.UnixMilli(w.clock + delay)
		}
		w.Propose(appendCreateMessage(nil, &m))
	}
	for i := range 2 * retainParts {
		add(gone, time.Hour*time.Duration(i%2), day*int64(1-i%2))
		if i%retainParts == 0 {
			add(own, time.Hour, 0)
			add(own, 0, day)
			add(plain, 0, 0)
		}
	}
	add(own, time.Hour, 0)
	w.must(w.w.DeleteApplication(w.t.Context(), gone))
	w.clock += 3 * day
	for range 5 {
		o, err := NewCleaner(w.stores[0], nil).overdue(w.clock-day, w.clock)
		w.must(err)
		for _, p := range o.command.Parts {
			if p.App == gone {
				t.Fatal("a step of retention is about messages that sweep removes")
			}
		}
		if len(o.command.Parts)+len(o.command.Looked) > 0 {
			w.Propose(mustEncode(t, kindRetain, o.command))
		}
	}
	if left := countKeys(t, w.stores[1], keyLog); left != 2*retainParts {
		t.Errorf("%d messages are left, but %d are of the deleted application", left, 2*retainParts)
	}
}

// However many such messages there are, each step passes a bounded number of them.
func TestRetentionPassesManyOfDeleted(t *testing.T) {
	w := &agingWorld{sweepWorld: newSweepWorld(t, seeded(t)), clock: testClock}
	gone, _, _ := w.app(1, 0, 0)
	other, _, _ := w.app(1, 0, 0)
	for range retainPasses/100 + 1 {
		list := make([]webhook.Message, 100)
		for i := range list {
			list[i] = webhook.Message{EventType: "a", Payload: []byte("{}"), Retention: time.Hour}
		}
		_, err := w.w.CreateMessages(t.Context(), gone, placed(list...))
		w.must(err)
	}
	w.clock += day
	w.Propose(appendCreateMessage(nil, &webhook.Message{App: other, EventType: "a", Payload: []byte("{}"), Retention: time.Hour}))
	w.must(w.w.DeleteApplication(t.Context(), gone))
	w.clock += day
	c := NewCleaner(w.stores[0], nil)
	first, err := c.overdue(w.clock-10*day, w.clock)
	w.must(err)
	second, err := c.overdue(w.clock-10*day, w.clock)
	w.must(err)
	third, err := c.overdue(w.clock-10*day, w.clock)
	w.must(err)
	if !first.passes || second.passes || len(first.command.Parts) != 0 || len(second.command.Parts) != 1 {
		t.Errorf("the first step found %d parts and the second %d; the first is cut short: %t, the second: %t", len(first.command.Parts), len(second.command.Parts), first.passes, second.passes)
	}
	if third.seen > 10 || len(third.command.Parts) != 1 {
		t.Errorf("the third step passed %d lines", third.seen)
	}
}
