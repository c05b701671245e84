package scheduler

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hookwheel/webhook"
)

var (
	firstSeed = flag.Int64("seed", 0, "the first seed of TestNothingIsLeftOver")
	seeds     = flag.Int64("seeds", histories(60), "how many seeds TestNothingIsLeftOver runs")
)

// slowShelf is a shelf that calls reading before it reads a message.
type slowShelf struct {
	*shelf
	reading func()
}

func (b *slowShelf) MessageByID(app, id webhook.ID) (*webhook.Message, error) {
	b.reading()
	return b.shelf.MessageByID(app, id)
}

// nextIn returns what the scheduler hands out by the time that all others wait; nil: nothing.
func nextIn(s *Scheduler) chan webhook.Delivery {
	handed := make(chan webhook.Delivery, 1)
	go func() {
		if d, ok := s.Next(); ok {
			handed <- d
		}
	}()
	synctest.Wait()
	return handed
}

// finish records a success.
func (b *shelf) finish(t *testing.T, s *Scheduler, d webhook.Delivery) (record func()) {
	return b.end(t, s, d, webhook.StatusSuccess, Verdict{})
}

// end records what became of a delivery.
func (b *shelf) end(t *testing.T, s *Scheduler, d webhook.Delivery, status webhook.Status, v Verdict) (record func()) {
	o := s.Done(d, webhook.Attempt{Message: d.ID, Endpoint: d.Endpoint.ID, Number: d.Number, Status: status}, v)
	return func() {
		list := s.Checkpoint([]webhook.Outcome{o}, 8)
		b.record(t, list, func(webhook.ID, *webhook.Message) bool { return false })
		s.Settle(list)
	}
}

// handOutTwice has a message handed out that is held, and then again on a user's request.
func handOutTwice(t *testing.T, b *shelf, s *Scheduler, e *webhook.Endpoint) (held, requested webhook.Delivery) {
	t.Helper()
	add(s, e)
	held, _ = s.Next()
	b.request(e.ID, held.ID, false)
	wake(s, e.ID)
	requested, _ = s.Next()
	if held.Source != webhook.SourceHeld || requested.Source != webhook.SourceManual || requested.ID != held.ID {
		t.Fatalf("%v comes from %v, %v from %v", held.ID, held.Source, requested.ID, requested.Source)
	}
	return held, requested
}

// A message whose retry becomes due after a manual attempt has delivered it is not sent again,
// whether that is recorded by then or not: the store would ignore what becomes of the retry.
func TestDueAfterDelivery(t *testing.T) {
	for _, when := range []string{"before its time", "while it is read", "and recorded while it is read"} {
		runInBubble(t, when, func(t *testing.T) { testDueAfterDelivery(t, when) })
	}
}

func testDueAfterDelivery(t *testing.T, when string) {
	b := &slowShelf{newShelf(), func() {}}
	e := testEndpoint(0)
	m := testMessage(10, 10)
	b.add(m)
	b.cursors[e.ID] = m.ID
	b.retries[e.ID] = []webhook.Retry{{Message: m.ID, Made: 1, Spent: 1, Due: time.Now().Add(time.Second).Truncate(time.Millisecond)}}
	b.manual[e.ID] = []webhook.Manual{{Message: m.ID, Number: 1}}
	ctx, cancel := context.WithCancel(t.Context())
	s := New(b, m.ID.Index(), testConfig(4), slog.New(slog.DiscardHandler))
	go s.Run(ctx)
	add(s, e)
	requested, _ := s.Next()
	var record func()
	read := make(chan struct{})
	if when == "before its time" {
		record = b.finish(t, s, requested)
	} else {
		b.reading = func() { <-read }
	}
	time.Sleep(time.Minute)
	handed := nextIn(s)
	if record == nil {
		record = b.finish(t, s, requested)
	}
	if when == "and recorded while it is read" {
		record()
		record = func() {}
	}
	close(read)
	synctest.Wait()
	if len(handed) > 0 {
		t.Error("it is sent again")
	}
	record()
	synctest.Wait()
	if n := s.Stats().Retries + len(b.retries[e.ID]); n > 0 || len(handed) > 0 {
		t.Errorf("%d retries are left", n)
	}
	cancel()
}

// The line that a manual attempt makes is not taken for that of a retry of the same message which
// is in flight, though both have the same time.
func TestLineOfTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newShelf()
		e := testEndpoint(0)
		m := testMessage(10, 10)
		b.add(m)
		b.cursors[e.ID] = m.ID
		due := time.Now().Add(time.Second).Truncate(time.Millisecond)
		b.retries[e.ID] = []webhook.Retry{{Message: m.ID, Made: 1, Spent: 1, Due: due}}
		ctx, cancel := context.WithCancel(t.Context())
		s := New(b, m.ID.Index(), testConfig(4), slog.New(slog.DiscardHandler))
		go s.Run(ctx)
		add(s, e)
		retried, _ := s.Next()
		for _, status := range []webhook.Status{webhook.StatusSuccess, webhook.StatusFail} {
			b.request(e.ID, m.ID, true)
			wake(s, e.ID)
			requested, _ := s.Next()
			b.end(t, s, requested, status, Verdict{Revoked: status == webhook.StatusFail})() // so that it is due at once
		}
		if now := time.Now(); retried.Source != webhook.SourceRetry || !now.Equal(due) || len(b.retries[e.ID]) != 1 {
			t.Fatalf("%v is in flight at %s, with the lines %v", retried.Source, now, b.retries[e.ID])
		}
		handed := nextIn(s)
		b.finish(t, s, retried)()
		time.Sleep(time.Second)
		synctest.Wait()
		if len(handed) != 1 || len(b.retries[e.ID]) != 1 {
			t.Errorf("%d attempts follow, and the store has the lines %v", len(handed), b.retries[e.ID])
		}
		cancel()
	})
}

// A message that was held and is in flight keeps its key when a manual attempt has delivered it: it
// is not handed out a second time, and the next one of its key goes when it is back.
func TestHeldInFlightDelivered(t *testing.T) {
	for _, ordering := range []webhook.Ordering{webhook.OrderingNone, webhook.OrderingEndpoint, webhook.OrderingKey} {
		runInBubble(t, fmt.Sprint("now ", ordering), func(t *testing.T) {
			b := newShelf()
			e := testEndpoint(0)
			e.Ordering = ordering
			b.addHeld(e.ID, "k", "k")
			ctx, cancel := context.WithCancel(t.Context())
			s := New(b, b.log[1].ID.Index(), testConfig(4), slog.New(slog.DiscardHandler))
			go s.Run(ctx)
			held, requested := handOutTwice(t, b, s, e)
			b.finish(t, s, requested)()
			handed := nextIn(s)
			if len(handed) > 0 {
				t.Fatal("the message that is in flight is handed out again")
			}
			b.finish(t, s, held)()
			synctest.Wait()
			if len(handed) == 0 {
				t.Fatal("the next message of the key is not sent")
			}
			b.finish(t, s, <-handed)()
			if n := len(b.held[e.ID]); n > 0 {
				t.Errorf("%d messages are held still", n)
			}
			cancel()
		})
	}
}

// Whatever is requested beside attempts that fail, no message is left over, in the store or in
// memory.
func TestNothingIsLeftOver(t *testing.T) {
	orderings := []webhook.Ordering{webhook.OrderingNone, webhook.OrderingKey, webhook.OrderingEndpoint}
	for seed := *firstSeed; seed < *firstSeed+*seeds; seed++ {
		runInBubble(t, fmt.Sprint(seed), func(t *testing.T) {
			rnd := rand.New(rand.NewSource(seed))
			b := newShelf()
			e := testEndpoint(0)
			e.Ordering = orderings[seed%3]
			l := lead(t, b, []*webhook.Endpoint{e}, rnd.Int63(), 0.4, nil)
			for i := range 200 {
				m := testMessage(10+i, 10)
				m.OrderingKey = []string{"", "a", "b"}[rnd.Intn(3)]
				b.add(m)
				offer(l.s, []*webhook.Message{m})
				for range rnd.Intn(4) {
					b.request(e.ID, b.log[max(0, i-rnd.Intn(8))].ID, rnd.Intn(2) > 0)
				}
				wake(l.s, e.ID)
				if rnd.Intn(40) == 0 {
					changed := *e
					changed.Ordering = orderings[rnd.Intn(len(orderings))]
					add(l.s, &changed)
				}
				time.Sleep(time.Duration(rnd.Intn(20)) * time.Millisecond)
			}
			time.Sleep(time.Minute)
			l.stop()
			if r, h, m := b.retries[e.ID], b.held[e.ID], b.manual[e.ID]; len(r)+len(h)+len(m) > 0 {
				t.Errorf("left in the store: retries %v, held %v, requests %v", r, h, m)
			}
			if stats := l.s.Stats(); stats.Retries+stats.InFlight > 0 {
				t.Errorf("left in memory: %+v", stats)
			}
		})
	}
}

// request puts a message into the manual set, as a user does or, with retry, a task.
func (b *shelf) request(endpoint, message webhook.ID, retry bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, found := slices.BinarySearchFunc(b.manual[endpoint], message, func(line webhook.Manual, id webhook.ID) int { return line.Message.Compare(id) })
	if !found {
		b.manual[endpoint] = slices.Insert(b.manual[endpoint], i, webhook.Manual{Message: message, Number: 1, Retry: retry})
	}
}
