package scheduler

import (
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hookwheel/webhook"
)

// leadParked begins a leadership over an endpoint that is parked, and is probed every 20 ms.
func leadParked(t *testing.T, b *shelf, e *webhook.Endpoint, send func(webhook.Delivery) bool) *leadership {
	b.health = webhook.Health{Parked: true, Since: time.Now(), FailingSince: time.Now(), NextProbe: time.Now()}
	config := testConfig(4)
	config.Breaker.Probe, config.Breaker.MaxProbe = 20*time.Millisecond, 20*time.Millisecond
	s := New(b, b.log[len(b.log)-1].ID.Index(), config, slog.New(slog.DiscardHandler))
	return leadWith(t, b, s, []*webhook.Endpoint{e}, 1, send, nil)
}

// A parked endpoint gets one probe at a time; what fails in it does not use up its attempts. When
// it answers, all arrives.
func TestProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newShelf()
		e := testEndpoint(0)
		for i := range 500 {
			b.add(testMessage(10+i, 10))
		}
		config := testConfig(4)
		config.Breaker = BreakerPolicy{Window: time.Minute, MinAttempts: 5, FailureRate: 0.5, Probe: 20 * time.Millisecond, MaxProbe: 40 * time.Millisecond}
		s := New(b, b.log[len(b.log)-1].ID.Index(), config, slog.New(slog.DiscardHandler))
		alive := make(chan struct{})
		l := leadWith(t, b, s, []*webhook.Endpoint{e}, 1, func(d webhook.Delivery) bool {
			select {
			case <-alive:
				return true
			default:
				return false
			}
		}, nil)
		until(func() bool { return s.Stats().Parked == 1 })
		time.Sleep(300 * time.Millisecond) // some probes
		b.mu.Lock()
		made, spent := uint32(0), uint32(0)
		for _, line := range b.retries[e.ID] {
			made, spent = made+line.Made, spent+line.Spent
		}
		position := b.cursors[e.ID]
		b.mu.Unlock()
		if made < spent+3 || spent > 12 {
			t.Errorf("%d attempts were made and %d count", made, spent)
		}
		if position.After(b.log[30].ID) {
			t.Error("the cursor went on while the endpoint was parked")
		}
		close(alive)
		await(t, b, []*webhook.Endpoint{e})
		l.stop()
		if s.Stats().Parked != 0 {
			t.Error("it is parked still")
		}
	})
}

// Messages that an endpoint always refuses do not keep it parked: there are probes with others.
func TestPoisonProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newShelf()
		e := testEndpoint(0)
		for i := range 12 {
			b.add(testMessage(10+i, 10))
		}
		good := b.log[11].ID // behind one in the log that is refused too
		for _, m := range b.log[:10] {
			b.cursors[e.ID] = m.ID
			b.retries[e.ID] = append(b.retries[e.ID], webhook.Retry{Message: m.ID, Made: 1, Spent: 1, Due: time.Now().Truncate(time.Millisecond)})
		}
		arrived := make(chan struct{}, 1)
		l := leadParked(t, b, e, func(d webhook.Delivery) bool {
			if d.ID == good {
				arrived <- struct{}{}
			}
			return d.ID == good
		})
		defer l.stop()
		receive(t, arrived, "only those that are refused are tried")
	})
}

// A parked endpoint with ordering keys is probed with the message that others wait for, and little
// of the log is held meanwhile.
func TestProbesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newShelf()
		e := testEndpoint(0)
		e.Ordering = webhook.OrderingKey
		for i := range 3000 {
			m := testMessage(10+i, 10)
			m.OrderingKey = "k"
			b.add(m)
		}
		b.cursors[e.ID] = b.log[0].ID
		b.retries[e.ID] = []webhook.Retry{{Message: b.log[0].ID, Made: 1, Spent: 1, Key: webhook.OrderingKeyHash("k"),
			Due: time.Now().Add(time.Hour).Truncate(time.Millisecond)}}
		var tries atomic.Int32
		l := leadParked(t, b, e, func(d webhook.Delivery) bool { return tries.Add(1) > 5 })
		until(func() bool { return tries.Load() >= 5 })
		b.mu.Lock()
		held := len(b.held[e.ID])
		b.mu.Unlock()
		if held > 6*maxProbeHolds {
			t.Errorf("%d messages were held while the endpoint was parked", held)
		}
		l.stop()
		if n := tries.Load(); n < 5 {
			t.Errorf("%d probes", n)
		}
	})
}

// A key whose messages are always refused does not keep an endpoint parked that takes those of
// others.
func TestPoisonKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newShelf()
		e := testEndpoint(0)
		e.Ordering = webhook.OrderingKey
		for i := range 101 {
			m := testMessage(10+i, 10)
			m.OrderingKey = "poison"
			b.add(m)
		}
		b.log[100].OrderingKey = "good"
		b.cursors[e.ID] = b.log[0].ID
		b.retries[e.ID] = []webhook.Retry{{Message: b.log[0].ID, Made: 1, Spent: 1, Key: webhook.OrderingKeyHash("poison"), Due: time.Now().Truncate(time.Millisecond)}}
		arrived := make(chan struct{})
		l := leadParked(t, b, e, func(d webhook.Delivery) bool {
			if d.Message.OrderingKey == "good" {
				close(arrived)
				return true
			}
			return false
		})
		defer l.stop()
		receive(t, arrived, "only the poison is tried")
	})
}

// A parked endpoint is probed at once when a user resumes, enables or changes it. If the probe
// fails, it uses up no attempt.
func TestChangeWhileParked(t *testing.T) {
	changes := map[string]struct{ before, after webhook.Endpoint }{
		"resumed": {webhook.Endpoint{Paused: true}, webhook.Endpoint{}},
		"enabled": {webhook.Endpoint{Disabled: true}, webhook.Endpoint{}},
		"changed": {webhook.Endpoint{}, webhook.Endpoint{URL: "http://other"}},
	}
	for name, change := range changes {
		runInBubble(t, name, func(t *testing.T) {
			b := newShelf()
			e := testEndpoint(0)
			change.before.ID, change.before.App, change.before.URL = e.ID, e.App, e.URL
			change.after.ID, change.after.App = e.ID, e.App
			b.add(testMessage(10, 10))
			since := time.Now().Add(-time.Hour).Truncate(time.Millisecond).UTC()
			b.health = webhook.Health{Parked: true, Since: since, FailingSince: since, NextProbe: time.Now().Add(time.Hour)}
			s := New(b, b.log[0].ID.Index(), testConfig(4), slog.New(slog.DiscardHandler))
			sent := make(chan webhook.Delivery, 10)
			l := leadWith(t, b, s, []*webhook.Endpoint{&change.before}, 1, func(d webhook.Delivery) bool { sent <- d; return false }, nil)
			select {
			case <-sent:
				t.Fatal("it did not wait for its probe")
			case <-time.After(time.Minute):
			}
			add(s, &change.after)
			if d := receive(t, sent, "it is not probed"); !d.Probe {
				t.Error("it is not a probe")
			}
			synctest.Wait() // the outcome is recorded
			l.stop()
			if line := b.retries[e.ID]; len(line) != 1 || line[0].Spent != 0 {
				t.Errorf("its line is %+v", line)
			}
		})
	}
}

// While an endpoint is parked, the messages of tasks wait and those of users do not.
func TestManualWhileParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newShelf()
		e := testEndpoint(0)
		b.add(testMessage(10, 10), testMessage(11, 10))
		b.cursors[e.ID] = b.log[1].ID
		task := webhook.NewID(1_790_000_000_000, 9, 0)
		b.manual[e.ID] = []webhook.Manual{{Message: b.log[0].ID, Number: 1, Task: task}}
		b.health = webhook.Health{Parked: true, Since: time.Now(), FailingSince: time.Now(), NextProbe: time.Now().Add(time.Hour)}
		s := New(b, b.log[1].ID.Index(), testConfig(4), slog.New(slog.DiscardHandler))
		sent := make(chan webhook.ID, 10)
		l := leadWith(t, b, s, []*webhook.Endpoint{e}, 1, func(d webhook.Delivery) bool { sent <- d.ID; return false }, nil)
		defer l.stop()
		select {
		case <-sent:
			t.Fatal("the task did not wait")
		case <-time.After(time.Minute):
		}
		b.mu.Lock()
		b.manual[e.ID] = nil
		b.mu.Unlock()
		move(s, e.ID) // it reads its sets again
		b.mu.Lock()
		b.manual[e.ID] = []webhook.Manual{{Message: b.log[1].ID, Number: 1}}
		b.mu.Unlock()
		wake(s, e.ID)
		select {
		case <-sent:
		case <-time.After(5 * time.Second):
			t.Error("the person waits")
		}
	})
}

// What fails for a reason of ours is tried again without using up an attempt, however few there
// are, and disables no endpoint.
func TestOurFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newShelf()
		e := testEndpoint(0)
		b.add(testMessage(10, 10))
		past := time.Now().Add(-time.Hour)
		b.health = webhook.Health{FailingSince: past, Parked: true, Since: past, NextProbe: past}
		config := testConfig(4)
		config.Retry, config.Breaker.Disable = webhook.RetryPolicy{}, time.Minute
		s := New(b, 2, config, slog.New(slog.DiscardHandler))
		add(s, e)
		offer(s, b.log)
		d, _ := s.Next()
		o := s.Done(d, webhook.Attempt{Message: d.ID, Endpoint: e.ID, Number: d.Number, Status: webhook.StatusFail}, Verdict{SenderFault: true})
		if o.Spent != 0 || o.Attempt.Next.Before(time.Now()) || len(s.unrecorded.disable) != 0 {
			t.Errorf("%+v", o)
		}
		s.Done(d, webhook.Attempt{Message: d.ID, Endpoint: e.ID, Number: d.Number, Status: webhook.StatusFail}, Verdict{})
		if len(s.unrecorded.disable) != 0 {
			t.Error("the endpoint is disabled at its first failure after ours")
		}
	})
}

// An endpoint that asked for a pause gets it, from the next leader too, until a user changes the
// endpoint.
func TestRestSurvivesLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newShelf()
		e := testEndpoint(0)
		b.add(testMessage(10, 10), testMessage(11, 10))
		first := New(b, b.log[1].ID.Index(), testConfig(1), slog.New(slog.DiscardHandler))
		add(first, e)
		d, _ := first.Next()
		until := time.Now().Add(time.Hour)
		o := first.Done(d, webhook.Attempt{Message: d.ID, Endpoint: e.ID, Number: 1, Status: webhook.StatusFail}, Verdict{RetryAfter: time.Hour})
		list := first.Checkpoint([]webhook.Outcome{o}, 10)
		if len(list) != 1 || list[0].Health == nil || list[0].Health.Rests.Sub(until).Abs() > time.Minute {
			t.Fatalf("what is recorded is %+v", list)
		}
		b.health = *list[0].Health
		s := New(b, b.log[1].ID.Index(), testConfig(1), slog.New(slog.DiscardHandler))
		sent := make(chan webhook.ID, 10)
		l := leadWith(t, b, s, []*webhook.Endpoint{e}, 1, func(d webhook.Delivery) bool { sent <- d.ID; return true }, nil)
		defer l.stop()
		select {
		case <-sent:
			t.Error("the next leader does not leave it alone")
		case <-time.After(time.Minute):
		}
		changed := *e
		changed.URL = "http://other"
		add(s, &changed)
		receive(t, sent, "it is left alone though it was changed")
	})
}
