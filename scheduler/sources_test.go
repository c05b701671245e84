package scheduler

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"hookwheel/webhook"
)

// A message with a later deliverAt is in the retry set until then.
func TestScheduledMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newShelf()
		e := testEndpoint(0)
		later := testMessage(10, 10)
		later.DeliverAt = time.Now().Add(time.Minute).Truncate(time.Millisecond)
		b.add(later, testMessage(11, 10))
		var at time.Time
		l := leadTo(t, b, []*webhook.Endpoint{e}, 1, func(d webhook.Delivery) bool { return true }, func(d webhook.Delivery, _ bool) {
			if d.ID == later.ID {
				at = time.Now()
			}
		})
		await(t, b, []*webhook.Endpoint{e})
		l.stop()
		if late := at.Sub(later.DeliverAt); late < 0 || late > 2*wheelTick {
			t.Errorf("it came %s late", late)
		}
		if place := b.Place(e.ID); place.Position != b.log[1].ID {
			t.Error("the cursor waits for it")
		}
	})
}

// A message that has left the log, or that its endpoint no longer wants, is recorded as canceled,
// with the reason.
func TestCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newShelf()
		e := testEndpoint(0, "t1")
		gone, unwanted, expunged := webhook.NewID(1_790_000_000_000, 10, 0), testMessage(11, 10), testMessage(13, 10)
		unwanted.EventType = "other"
		expunged.EventType, expunged.Expunged = "t1", true
		b.add(unwanted, expunged)
		b.cursors[e.ID] = unwanted.ID
		past := time.Now().Add(-time.Minute).Truncate(time.Millisecond)
		b.retries[e.ID] = []webhook.Retry{{Message: gone, Made: 1, Due: past}, {Message: unwanted.ID, Made: 1, Due: past}}
		l := leadTo(t, b, []*webhook.Endpoint{e}, 1, func(d webhook.Delivery) bool { t.Errorf("%v was sent", d.ID); return true }, nil)
		defer l.stop()
		synctest.Wait()
		b.mu.Lock()
		defer b.mu.Unlock()
		if len(b.settled) != 3 {
			t.Errorf("%d of 3 are settled", len(b.settled))
		}
	})
}

// A message that is expunged while it waits in memory is not sent.
func TestExpungedInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newShelf()
		e := testEndpoint(0)
		paused := *e
		paused.Paused = true
		l := leadTo(t, b, []*webhook.Endpoint{&paused}, 1, func(d webhook.Delivery) bool {
			if d.ID == b.log[1].ID {
				t.Error("it was sent")
			}
			return true
		}, nil)
		messages := []*webhook.Message{testMessage(10, 10), testMessage(11, 10), testMessage(12, 10)}
		b.add(messages...)
		offer(l.s, messages)
		gone := *messages[1]
		gone.Payload, gone.Expunged = nil, true
		expunge(l.s, &gone)
		add(l.s, e)
		until(func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return len(b.settled) == 3
		})
		l.stop()
		if b.settled[[2]webhook.ID{gone.ID, e.ID}] != true || b.delivered[[2]webhook.ID{gone.ID, e.ID}] > 0 {
			t.Error("it is not canceled")
		}
	})
}

// A message that has left the log while it waits in memory is not sent.
func TestExpiredInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newShelf()
		e := testEndpoint(0)
		paused := *e
		paused.Paused = true
		sent := make(chan webhook.ID, 10)
		l := leadTo(t, b, []*webhook.Endpoint{&paused}, 1, func(d webhook.Delivery) bool { sent <- d.ID; return true }, nil)
		messages := []*webhook.Message{testMessage(10, 10), testMessage(11, 10), testMessage(12, 10)}
		b.add(messages...)
		offer(l.s, messages)
		b.mu.Lock()
		b.left = messages[1].ID
		b.mu.Unlock()
		add(l.s, e)
		if id := receive(t, sent, "the one that is left was not sent"); id != messages[2].ID {
			t.Errorf("message %d was sent", id.Index())
		}
		l.stop()
	})
}

// An endpoint that is disabled or paused is sent nothing; enabled again it goes on where it stood.
func TestStill(t *testing.T) {
	for name, stop := range map[string]func(*webhook.Endpoint){
		"disabled": func(e *webhook.Endpoint) { e.Disabled = true },
		"paused":   func(e *webhook.Endpoint) { e.Paused = true },
	} {
		runInBubble(t, name, func(t *testing.T) {
			b := newShelf()
			e := testEndpoint(0)
			stopped := *e
			stop(&stopped)
			b.add(testMessage(10, 10), testMessage(11, 10))
			sent := make(chan webhook.ID, 8)
			l := leadTo(t, b, []*webhook.Endpoint{&stopped}, 1, func(d webhook.Delivery) bool { sent <- d.ID; return true }, nil)
			select {
			case <-sent:
				t.Error("something was sent")
			case <-time.After(time.Minute):
			}
			add(l.s, e)
			await(t, b, []*webhook.Endpoint{e})
			l.stop()
		})
	}
}

// An endpoint that takes a message and says that it wants no more is disabled, and the message is
// delivered.
func TestDisabledBySuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newShelf()
		e := testEndpoint(0)
		b.add(testMessage(10, 10))
		s := New(b, 2, testConfig(4), slog.New(slog.DiscardHandler))
		add(s, e)
		offer(s, b.log)
		start := time.Now()
		s.clock = func() time.Time { return start }
		d, _ := s.Next()
		o := s.Done(d, webhook.Attempt{Message: d.ID, Endpoint: e.ID, Number: 1, Start: start}, Verdict{Disable: true})
		if found, isTo := s.NextDisabled(); !isTo || found != (Disable{e, start}) || !o.Attempt.Next.IsZero() {
			t.Errorf("%+v, %+v", found, o)
		}
	})
}

// However many attempts at an endpoint ask for it, it is to be disabled once, and not if it was
// disabled, changed or deleted meanwhile, or before the answer came.
func TestDisabledOnce(t *testing.T) {
	changes := map[string]func(s *Scheduler, e webhook.Endpoint){
		"disabled": func(s *Scheduler, e webhook.Endpoint) { e.Disabled = true; add(s, &e) },
		"changed":  func(s *Scheduler, e webhook.Endpoint) { e.URL = "https://example.com/new"; add(s, &e) },
		"reorders": func(s *Scheduler, e webhook.Endpoint) { e.Ordering = webhook.OrderingKey; add(s, &e) },
		"deleted":  func(s *Scheduler, e webhook.Endpoint) { s.Apply(webhook.Changes{Removed: []webhook.ID{e.ID}}) },
		"moved":    func(s *Scheduler, e webhook.Endpoint) { move(s, e.ID) },
	}
	for name, change := range changes {
		synctest.Test(t, func(t *testing.T) {
			b := newShelf()
			e := testEndpoint(0)
			b.add(testMessage(10, 10), testMessage(11, 10), testMessage(12, 10), testMessage(13, 10))
			s := New(b, 2, testConfig(4), slog.New(slog.DiscardHandler))
			add(s, e)
			offer(s, b.log)
			answer := func(d webhook.Delivery) {
				s.Done(d, webhook.Attempt{Message: d.ID, Endpoint: e.ID, Number: 1}, Verdict{Disable: true})
			}
			end := func() {
				d, _ := s.Next()
				answer(d)
			}
			end()
			end()
			if d, found := s.NextDisabled(); !found || d.Endpoint.ID != e.ID {
				t.Errorf("%s: %+v, %t", name, d, found)
			}
			if d, again := s.NextDisabled(); again {
				t.Errorf("%s: %+v is to be disabled again", name, d)
			}
			late, _ := s.Next()
			end()
			change(s, *e)
			if _, found := s.NextDisabled(); found != (name == "moved") {
				t.Errorf("%s meanwhile, it is to be disabled: %t", name, found)
			}
			answer(late)
			if _, found := s.NextDisabled(); found != (name == "moved") {
				t.Errorf("%s before the answer, it is to be disabled: %t", name, found)
			}
		})
	}
}

// A late answer to what was sent before a change does not hide that the endpoint, as it is now, is
// to be disabled.
func TestDisabledBesideLateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newShelf()
		before := testEndpoint(0)
		b.add(testMessage(10, 10), testMessage(11, 10))
		s := New(b, 2, testConfig(4), slog.New(slog.DiscardHandler))
		add(s, before)
		offer(s, b.log)
		late, _ := s.Next()
		changed := *before
		changed.URL = "https://example.com/new"
		add(s, &changed)
		d, _ := s.Next()
		for _, d := range []webhook.Delivery{d, late} {
			s.Done(d, webhook.Attempt{Message: d.ID, Endpoint: before.ID, Number: 1}, Verdict{Disable: true})
		}
		if d, found := s.NextDisabled(); !found || d.Endpoint != &changed {
			t.Errorf("%+v, %t", d, found)
		}
	})
}

// A message that hangs does not hold up those that come more than maxAhead behind it.
func TestStuckMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newShelf()
		e := testEndpoint(0)
		for i := range 3 * maxAhead {
			b.add(testMessage(10+i, 10))
		}
		release := make(chan struct{})
		config := testConfig(4)
		config.Timeout = time.Minute
		s := New(b, b.log[len(b.log)-1].ID.Index(), config, slog.New(slog.DiscardHandler))
		l := leadWith(t, b, s, []*webhook.Endpoint{e}, 16, func(d webhook.Delivery) bool {
			if d.ID == b.log[0].ID {
				<-release
			}
			return true
		}, nil)
		others := func() int {
			b.mu.Lock()
			defer b.mu.Unlock()
			return len(b.delivered)
		}
		if !until(func() bool { return others() == 3*maxAhead-1 }) {
			t.Errorf("%d others were delivered", others())
		}
		close(release)
		await(t, b, []*webhook.Endpoint{e})
		l.stop()
		if len(b.retries[e.ID]) > 0 {
			t.Error("it is in the retry set though it was delivered")
		}
	})
}
