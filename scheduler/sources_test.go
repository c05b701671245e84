package scheduler

import (
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"hookwheel/webhook"
)

// A message that is not to be sent yet stands in the retry set until then.
func TestScheduledMessage(t *testing.T) {
	b := newShelf()
	e := testEndpoint(0)
	later := testMessage(10, 10)
	later.DeliverAt = time.Now().Add(300 * time.Millisecond).Truncate(time.Millisecond)
	b.add(later, testMessage(11, 10))
	var at time.Time
	l := leadTo(t, b, []*webhook.Endpoint{e}, 1, func(d webhook.Delivery) bool { return true }, func(d webhook.Delivery, _ bool) {
		if d.ID == later.ID {
			at = time.Now()
		}
	})
	await(t, b, []*webhook.Endpoint{e})
	l.stop()
	if at.Before(later.DeliverAt) {
		t.Errorf("it came %s early", later.DeliverAt.Sub(at))
	}
	if place := b.Place(e.ID); place.Position != b.log[1].ID {
		t.Error("the cursor waits for it")
	}
}

// What a person asks for is sent though the endpoint has had it, and beside what is planned; a success settles both.
func TestManual(t *testing.T) {
	b := newShelf()
	e := testEndpoint(0)
	had, waits := testMessage(10, 10), testMessage(11, 10)
	b.add(had, waits)
	b.cursors[e.ID] = waits.ID
	b.retries[e.ID] = []webhook.Retry{{Message: waits.ID, Made: 1, Spent: 1, Due: time.Now().Add(time.Hour).Truncate(time.Millisecond)}}
	l := leadTo(t, b, []*webhook.Endpoint{e}, 1, func(d webhook.Delivery) bool { return true }, nil)
	time.Sleep(50 * time.Millisecond) // it has looked at its sets
	b.mu.Lock()
	b.manual[e.ID] = []webhook.Manual{{Message: had.ID, Number: 1}, {Message: waits.ID, Number: 1}}
	b.mu.Unlock()
	l.s.Wake(e.ID)
	await(t, b, []*webhook.Endpoint{e})
	for range 300 {
		if l.s.Stats().Retries == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if n := l.s.Stats().Retries; n != 0 {
		t.Errorf("%d lines of the retry set are in memory still", n)
	}
	l.stop()
}

// A message that has left the log, or that its endpoint no longer wants, is recorded as canceled, with the reason.
func TestCanceled(t *testing.T) {
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
	for range 300 {
		b.mu.Lock()
		settled := len(b.settled)
		b.mu.Unlock()
		if settled == 3 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d of 3 are settled", len(b.settled))
}

// A message that is expunged while it waits in memory is not sent.
func TestExpungedInMemory(t *testing.T) {
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
	l.s.Offer(messages)
	gone := *messages[1]
	gone.Payload, gone.Expunged = nil, true
	l.s.Expunge(&gone)
	l.s.Add(e)
	for range 300 {
		b.mu.Lock()
		settled := len(b.settled)
		b.mu.Unlock()
		if settled == 3 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	l.stop()
	if b.settled[[2]webhook.ID{gone.ID, e.ID}] != true || b.delivered[[2]webhook.ID{gone.ID, e.ID}] > 0 {
		t.Error("it is not canceled")
	}
}

// A message that has left the log while it waits in memory is not sent.
func TestExpiredInMemory(t *testing.T) {
	b := newShelf()
	e := testEndpoint(0)
	paused := *e
	paused.Paused = true
	sent := make(chan webhook.ID, 10)
	l := leadTo(t, b, []*webhook.Endpoint{&paused}, 1, func(d webhook.Delivery) bool { sent <- d.ID; return true }, nil)
	messages := []*webhook.Message{testMessage(10, 10), testMessage(11, 10), testMessage(12, 10)}
	b.add(messages...)
	l.s.Offer(messages)
	b.mu.Lock()
	b.left = messages[1].ID
	b.mu.Unlock()
	l.s.Add(e)
	select {
	case id := <-sent:
		if id != messages[2].ID {
			t.Errorf("message %d was sent", id.Index())
		}
	case <-time.After(10 * time.Second):
		t.Error("the one that is left was not sent")
	}
	l.stop()
}

// An endpoint that is disabled or paused is sent nothing; enabled again it goes on where it stood.
func TestStill(t *testing.T) {
	for name, stop := range map[string]func(*webhook.Endpoint){
		"disabled": func(e *webhook.Endpoint) { e.Disabled = true },
		"paused":   func(e *webhook.Endpoint) { e.Paused = true },
	} {
		t.Run(name, func(t *testing.T) {
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
			case <-time.After(100 * time.Millisecond):
			}
			l.s.Add(e)
			await(t, b, []*webhook.Endpoint{e})
			l.stop()
		})
	}
}

// A parked endpoint gets one probe at a time; what fails in it does not use up its attempts. When it answers, all arrives.
func TestProbes(t *testing.T) {
	b := newShelf()
	e := testEndpoint(0)
	for i := range 500 {
		b.add(testMessage(10+i, 10))
	}
	config := testConfig(4)
	config.Breaker = BreakerPolicy{Window: time.Minute, Least: 5, Share: 0.5, Probe: 20 * time.Millisecond, MaxProbe: 40 * time.Millisecond}
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
	for range 1000 {
		if s.Stats().Parked == 1 {
			break
		}
		time.Sleep(time.Millisecond)
	}
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
}

// An endpoint that asked to be left alone is, by the next leader too, until a person changes it.
func TestRestSurvivesLeader(t *testing.T) {
	b := newShelf()
	e := testEndpoint(0)
	b.add(testMessage(10, 10), testMessage(11, 10))
	first := New(b, b.log[1].ID.Index(), testConfig(1), slog.New(slog.DiscardHandler))
	first.Add(e)
	d, _ := first.Next()
	until := time.Now().Add(time.Hour)
	o := first.Done(d, webhook.Attempt{Message: d.ID, Endpoint: e.ID, Number: 1, Status: webhook.StatusFail}, Verdict{Rest: time.Hour})
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
	case <-time.After(100 * time.Millisecond):
	}
	changed := *e
	changed.URL = "http://other"
	s.Add(&changed)
	select {
	case <-sent:
	case <-time.After(10 * time.Second):
		t.Error("it is left alone though it was changed")
	}
}

// A parked endpoint that a person resumes, enables or changes is probed at once; should it fail still, that uses up no attempt.
func TestChangeWhileParked(t *testing.T) {
	changes := map[string]struct{ before, after webhook.Endpoint }{
		"resumed": {webhook.Endpoint{Paused: true}, webhook.Endpoint{}},
		"enabled": {webhook.Endpoint{Disabled: true}, webhook.Endpoint{}},
		"changed": {webhook.Endpoint{}, webhook.Endpoint{URL: "http://other"}},
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
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
			case <-time.After(50 * time.Millisecond):
			}
			s.Add(&change.after)
			select {
			case d := <-sent:
				if !d.Probe {
					t.Error("it is not a probe")
				}
			case <-time.After(10 * time.Second):
				t.Error("it is not probed")
			}
			l.stop()
			if line := b.retries[e.ID]; len(line) != 1 || line[0].Spent != 0 {
				t.Errorf("its line is %+v", line)
			}
		})
	}
}

// What fails for a reason of ours is tried again without using up an attempt, however few there are, and disables no endpoint.
func TestOurFailure(t *testing.T) {
	b := newShelf()
	e := testEndpoint(0)
	b.add(testMessage(10, 10))
	b.health = webhook.Health{FailingSince: time.Now().Add(-time.Hour)}
	config := testConfig(4)
	config.Retry, config.Breaker.Disable = webhook.RetryPolicy{}, time.Minute
	s := New(b, 2, config, slog.New(slog.DiscardHandler))
	s.Add(e)
	s.Offer(b.log)
	d, _ := s.Next()
	o := s.Done(d, webhook.Attempt{Message: d.ID, Endpoint: e.ID, Number: d.Number, Status: webhook.StatusFail}, Verdict{Ours: true})
	if o.Spent != 0 || o.Attempt.Next.Before(time.Now()) || len(s.Disabled()) != 0 {
		t.Errorf("%+v", o)
	}
}

// An endpoint that takes a message and says that it wants no more is disabled, and the message is delivered.
func TestDisabledBySuccess(t *testing.T) {
	b := newShelf()
	e := testEndpoint(0)
	b.add(testMessage(10, 10))
	s := New(b, 2, testConfig(4), slog.New(slog.DiscardHandler))
	s.Add(e)
	s.Offer(b.log)
	d, _ := s.Next()
	start := time.Now()
	o := s.Done(d, webhook.Attempt{Message: d.ID, Endpoint: e.ID, Number: 1, Start: start}, Verdict{Disable: true})
	if list := s.Disabled(); len(list) != 1 || list[0] != (Disable{e, start}) || !o.Attempt.Next.IsZero() {
		t.Errorf("%+v, %+v", list, o)
	}
}

// Messages that an endpoint always refuses do not keep it parked: there are probes with others.
func TestPoisonProbes(t *testing.T) {
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
	b.health = webhook.Health{Parked: true, Since: time.Now(), FailingSince: time.Now(), NextProbe: time.Now()}
	config := testConfig(4)
	config.Breaker.Probe, config.Breaker.MaxProbe = 20*time.Millisecond, 20*time.Millisecond
	s := New(b, good.Index(), config, slog.New(slog.DiscardHandler))
	arrived := make(chan struct{}, 1)
	l := leadWith(t, b, s, []*webhook.Endpoint{e}, 1, func(d webhook.Delivery) bool {
		if d.ID == good {
			arrived <- struct{}{}
		}
		return d.ID == good
	}, nil)
	defer l.stop()
	select {
	case <-arrived:
	case <-time.After(10 * time.Second):
		t.Error("only those that are refused are tried")
	}
}

// A message that hangs does not hold up those that come more than maxAhead behind it.
func TestStuckMessage(t *testing.T) {
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
	for range 6000 {
		if others() == 3*maxAhead-1 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if n := others(); n != 3*maxAhead-1 {
		t.Errorf("%d others were delivered", n)
	}
	close(release)
	await(t, b, []*webhook.Endpoint{e})
	l.stop()
	if len(b.retries[e.ID]) > 0 {
		t.Error("it stands in the retry set though it was delivered")
	}
}

// A parked endpoint that keeps an order per key is probed with what others wait behind, and by turns with what may go beside it, for
// which not much of the log is held.
func TestProbesInOrder(t *testing.T) {
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
	b.health = webhook.Health{Parked: true, Since: time.Now(), FailingSince: time.Now(), NextProbe: time.Now()}
	config := testConfig(4)
	config.Breaker.Probe, config.Breaker.MaxProbe = 20*time.Millisecond, 20*time.Millisecond
	s := New(b, b.log[len(b.log)-1].ID.Index(), config, slog.New(slog.DiscardHandler))
	var tries atomic.Int32
	l := leadWith(t, b, s, []*webhook.Endpoint{e}, 1, func(d webhook.Delivery) bool { return tries.Add(1) > 5 }, nil)
	for range 1000 {
		if tries.Load() >= 5 {
			break
		}
		time.Sleep(time.Millisecond)
	}
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
}

// A key whose messages are always refused does not keep an endpoint parked that takes those of others.
func TestPoisonKey(t *testing.T) {
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
	b.health = webhook.Health{Parked: true, Since: time.Now(), FailingSince: time.Now(), NextProbe: time.Now()}
	config := testConfig(4)
	config.Breaker.Probe, config.Breaker.MaxProbe = 20*time.Millisecond, 20*time.Millisecond
	s := New(b, b.log[100].ID.Index(), config, slog.New(slog.DiscardHandler))
	arrived := make(chan struct{})
	l := leadWith(t, b, s, []*webhook.Endpoint{e}, 1, func(d webhook.Delivery) bool {
		if d.Message.OrderingKey == "good" {
			close(arrived)
			return true
		}
		return false
	}, nil)
	defer l.stop()
	select {
	case <-arrived:
	case <-time.After(10 * time.Second):
		t.Error("only the poison is tried")
	}
}

// A message of a task that fails is tried again as the schedule says, and the lane goes on meanwhile.
func TestTaskFails(t *testing.T) {
	b := newShelf()
	e := testEndpoint(0)
	b.add(testMessage(10, 10), testMessage(11, 10))
	replayed := b.log[0].ID
	b.cursors[e.ID] = replayed
	b.manual[e.ID] = []webhook.Manual{{Message: replayed, Number: 1, Task: webhook.NewID(1_790_000_000_000, 9, 0), Retry: true}}
	var tries atomic.Int32
	l := leadTo(t, b, []*webhook.Endpoint{e}, 1, func(d webhook.Delivery) bool { return d.ID != replayed || tries.Add(1) > 2 }, nil)
	for range 1000 {
		b.mu.Lock()
		both := b.delivered[[2]webhook.ID{replayed, e.ID}] == 1 && b.delivered[[2]webhook.ID{b.log[1].ID, e.ID}] == 1
		b.mu.Unlock()
		if both {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	l.stop()
	if len(b.delivered) != 2 {
		t.Errorf("%d of 2 messages were delivered", len(b.delivered))
	}
}

// A message that a person had delivered while an attempt at it was under way is not sent again when that fails.
func TestManualBesideAttempt(t *testing.T) {
	for _, source := range []webhook.Source{webhook.SourceLog, webhook.SourceRetry} {
		t.Run(fmt.Sprint(source), func(t *testing.T) {
			b := newShelf()
			e := testEndpoint(0)
			b.add(testMessage(10, 10))
			m := b.log[0]
			if source == webhook.SourceRetry {
				b.cursors[e.ID] = m.ID
				b.retries[e.ID] = []webhook.Retry{{Message: m.ID, Made: 1, Spent: 1, Due: time.Now().Truncate(time.Millisecond)}}
			}
			begun, goOn := make(chan webhook.Source, 10), make(chan struct{})
			l := leadTo(t, b, []*webhook.Endpoint{e}, 2, func(d webhook.Delivery) bool {
				begun <- d.Source
				if d.Source == source {
					<-goOn
				}
				return d.Source == webhook.SourceManual
			}, nil)
			if got := <-begun; got != source {
				t.Fatalf("it comes from %v first", got)
			}
			b.mu.Lock()
			b.manual[e.ID] = []webhook.Manual{{Message: m.ID, Number: 1}}
			b.mu.Unlock()
			l.s.Wake(e.ID)
			await(t, b, []*webhook.Endpoint{e})
			close(goOn)
			time.Sleep(200 * time.Millisecond) // more than ten delays of the schedule
			l.stop()
			if n := len(begun); n != 1 {
				t.Errorf("there were %d attempts, want two", n+1)
			}
		})
	}
}

// Of a task that was canceled nothing more is sent, though lines of it stand in memory; what a person asked for is.
func TestCanceledTask(t *testing.T) {
	b := newShelf()
	e := testEndpoint(0)
	task := webhook.NewID(1_790_000_000_000, 9, 0)
	for i := range 100 {
		m := testMessage(10+i, 10)
		b.add(m)
		b.cursors[e.ID] = m.ID
		b.manual[e.ID] = append(b.manual[e.ID], webhook.Manual{Message: m.ID, Number: 1, Task: task})
	}
	b.manual[e.ID][99].Task = webhook.ID{}
	asked := b.log[99].ID
	var tasks atomic.Int32
	sent := make(chan struct{})
	l := leadTo(t, b, []*webhook.Endpoint{e}, 1, func(d webhook.Delivery) bool {
		if d.ID == asked {
			close(sent)
			return true
		}
		tasks.Add(1)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.still = map[webhook.ID]bool{task: true}
		b.manual[e.ID] = slices.DeleteFunc(b.manual[e.ID], func(m webhook.Manual) bool { return !m.Task.IsZero() && m.Message != d.ID })
		return true
	}, nil)
	defer l.stop()
	select {
	case <-sent:
	case <-time.After(10 * time.Second):
		t.Error("what a person asked for was not sent")
	}
	if n := tasks.Load(); n != 1 {
		t.Errorf("%d messages of the task were sent, want the one that was under way", n)
	}
}

// Of a task that is paused nothing is sent, though lines of it stand in memory; what a person asked for behind them is, and the set is
// not read again and again. When the task goes on, so do its lines.
func TestPausedTask(t *testing.T) {
	const lines = 2*maxManual + 10
	b := newShelf()
	e := testEndpoint(0)
	task := webhook.NewID(1_790_000_000_000, 9, 0)
	for i := range lines {
		m := testMessage(10+i, 10)
		b.add(m)
		b.cursors[e.ID] = m.ID
		b.manual[e.ID] = append(b.manual[e.ID], webhook.Manual{Message: m.ID, Number: 1, Task: task})
	}
	b.manual[e.ID][lines-1].Task = webhook.ID{}
	asked := b.log[lines-1].ID
	var tasks atomic.Int32
	sent := make(chan struct{})
	l := leadTo(t, b, []*webhook.Endpoint{e}, 1, func(d webhook.Delivery) bool {
		if d.ID == asked {
			close(sent)
		} else if tasks.Add(1) == 1 {
			b.mu.Lock()
			b.still = map[webhook.ID]bool{task: true}
			b.mu.Unlock()
		}
		return true
	}, nil)
	defer l.stop()
	select {
	case <-sent:
	case <-time.After(10 * time.Second):
		t.Fatal("what a person asked for was not sent")
	}
	time.Sleep(100 * time.Millisecond)
	if n := tasks.Load(); n != 1 {
		t.Errorf("%d messages of the task were sent, want the one that was under way", n)
	}
	b.mu.Lock()
	reads := b.manualReads
	b.mu.Unlock()
	if reads > 10 {
		t.Errorf("the set was read %d times", reads)
	}
	b.mu.Lock()
	b.still = nil
	b.mu.Unlock()
	l.s.Wake(e.ID)
	for range 1000 {
		if tasks.Load() == lines-1 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d of %d messages of the task were sent after it went on", tasks.Load(), lines-1)
}

// What a task sends waits while the endpoint is parked; what a person sends does not.
func TestManualWhileParked(t *testing.T) {
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
	case <-time.After(100 * time.Millisecond):
	}
	b.mu.Lock()
	b.manual[e.ID] = nil
	b.mu.Unlock()
	s.Move(e.ID) // it reads its sets again
	b.mu.Lock()
	b.manual[e.ID] = []webhook.Manual{{Message: b.log[1].ID, Number: 1}}
	b.mu.Unlock()
	s.Wake(e.ID)
	select {
	case <-sent:
	case <-time.After(5 * time.Second):
		t.Error("the person waits")
	}
}
