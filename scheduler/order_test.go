package scheduler

import (
	"fmt"
	"log/slog"
	"math/rand"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hookwheel/webhook"
)

// witness is a receiver that knows what may come: of each key only the first message that is not
// settled.
type witness struct {
	t       *testing.T
	b       *shelf
	keyOf   func(d webhook.Delivery, m *webhook.Message) string // of a message, when d comes; "": none
	mu      sync.Mutex
	settled map[webhook.ID]bool
}

func (w *witness) see(d webhook.Delivery, success bool) {
	w.b.mu.Lock()
	log := w.b.log
	w.b.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	key := w.keyOf(d, d.Message)
	for _, m := range log {
		if key == "" || m.ID == d.ID {
			break
		}
		if w.keyOf(d, m) == key && !w.settled[m.ID] {
			w.t.Errorf("message %d came before %d of the same key %q was settled", d.ID.Index(), m.ID.Index(), key)
		}
	}
	if success {
		w.settled[d.ID] = true
	}
}

// byOrdering is the key that the endpoint's present order gives a message.
func byOrdering(d webhook.Delivery, m *webhook.Message) string {
	switch d.Endpoint.Ordering {
	case webhook.OrderingEndpoint:
		return "all"
	case webhook.OrderingKey:
		return m.OrderingKey
	default:
		return ""
	}
}

// Under failures and changes of leaders an ordered endpoint gets no message before its predecessor
// is delivered; with an order per key, messages of other keys go on.
func TestOrder(t *testing.T) {
	for _, ordering := range []webhook.Ordering{webhook.OrderingEndpoint, webhook.OrderingKey} {
		for seed := range int64(3) {
			runInBubble(t, fmt.Sprint(ordering, " ", seed), func(t *testing.T) {
				b := newShelf()
				e := testEndpoint(0)
				e.Ordering = ordering
				w := &witness{t: t, b: b, keyOf: byOrdering, settled: make(map[webhook.ID]bool)}
				rnd := rand.New(rand.NewSource(seed))
				index := 10
				for range 4 { // leaders
					l := lead(t, b, []*webhook.Endpoint{e}, rnd.Int63(), 0.2, w.see)
					for range 60 {
						m := testMessage(index, 10)
						if n := rnd.Intn(4); n > 0 {
							m.OrderingKey = fmt.Sprint("k", n)
						}
						index++
						b.add(m)
						offer(l.s, []*webhook.Message{m})
					}
					time.Sleep(time.Duration(rnd.Intn(60)) * time.Millisecond)
					l.stop()
				}
				last := lead(t, b, []*webhook.Endpoint{e}, rnd.Int63(), 0.05, w.see)
				await(t, b, []*webhook.Endpoint{e})
				last.stop()
				if len(b.held[e.ID]) > 0 {
					t.Errorf("%d messages are held still", len(b.held[e.ID]))
				}
			})
		}
	}
}

// An endpoint whose order is changed under load gets each message once, and from the change on it
// keeps the new order: what failed before comes first.
func TestOrderChanges(t *testing.T) {
	orderings := []webhook.Ordering{webhook.OrderingNone, webhook.OrderingKey, webhook.OrderingEndpoint}
	for seed := range int64(4) {
		runInBubble(t, fmt.Sprint(seed), func(t *testing.T) {
			b := newShelf()
			e := testEndpoint(0)
			w := &witness{t: t, b: b, settled: make(map[webhook.ID]bool), keyOf: func(d webhook.Delivery, m *webhook.Message) string {
				if d.Endpoint.Ordering == webhook.OrderingEndpoint && d.Source != webhook.SourceLog {
					return "" // what was held for keys goes by key still
				}
				return byOrdering(d, m)
			}}
			rnd := rand.New(rand.NewSource(seed))
			l := lead(t, b, []*webhook.Endpoint{e}, rnd.Int63(), 0.3, w.see)
			for change := range 30 {
				for i := range 20 {
					m := testMessage(10+20*change+i, 10)
					if n := rnd.Intn(4); n > 0 {
						m.OrderingKey = fmt.Sprint("k", n)
					}
					b.add(m)
					offer(l.s, []*webhook.Message{m})
				}
				time.Sleep(time.Duration(rnd.Intn(30)) * time.Millisecond)
				changed := *e
				changed.Ordering = orderings[rnd.Intn(len(orderings))]
				add(l.s, &changed)
			}
			await(t, b, []*webhook.Endpoint{e})
			l.stop()
			for _, m := range b.log {
				if n := b.delivered[[2]webhook.ID{m.ID, e.ID}]; n != 1 {
					t.Errorf("message %d was delivered %d times", m.ID.Index(), n)
				}
			}
		})
	}
}

// An endpoint that begins to be ordered as a whole gets what has failed before first, in order,
// however much that is and whenever it is due; and what is scheduled does not keep it from that.
func TestOrderBeginsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const failed, scheduled = 3 * maxLoaded, 3 * maxLoaded
		b := newShelf()
		e := testEndpoint(0)
		e.Ordering = webhook.OrderingEndpoint
		now, rnd := time.Now().Truncate(time.Millisecond), rand.New(rand.NewSource(1))
		for i := range scheduled + failed {
			m := testMessage(10+i, 10)
			b.add(m)
			line := webhook.Retry{Message: m.ID, Due: now.Add(time.Duration(rnd.Intn(500)) * time.Millisecond)}
			if i >= scheduled {
				line.Made, line.Spent, line.Due = 1, 1, line.Due.Add(500*time.Millisecond) // behind all that is scheduled
			}
			b.retries[e.ID] = append(b.retries[e.ID], line)
		}
		slices.SortFunc(b.retries[e.ID], func(x, y webhook.Retry) int { return compareLines(&x, &y) })
		last := testMessage(10+scheduled+failed, 10)
		b.cursors[e.ID] = b.log[len(b.log)-1].ID
		b.add(last)
		var came []webhook.ID
		l := leadTo(t, b, []*webhook.Endpoint{e}, 4, func(d webhook.Delivery) bool { return true }, func(d webhook.Delivery, _ bool) {
			if !d.ID.After(b.log[scheduled-1].ID) {
				return
			}
			came = append(came, d.ID) // one at a time
		})
		await(t, b, []*webhook.Endpoint{e})
		l.stop()
		if len(came) != failed+1 || !slices.IsSortedFunc(came, webhook.ID.Compare) {
			t.Errorf("%d of %d came, in order: %t", len(came), failed+1, slices.IsSortedFunc(came, webhook.ID.Compare))
		}
	})
}

// A key whose message always fails holds up only its own messages. If the endpoint blocks, the
// message is retried permanently, at the last delay of the schedule.
func TestBlockedKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newShelf()
		e := testEndpoint(0)
		e.Ordering, e.OnExhausted = webhook.OrderingKey, webhook.OnExhaustedBlock
		for i := range 3 * maxAhead {
			m := testMessage(10+i, 10)
			m.OrderingKey = "good"
			if i%3 == 0 {
				m.OrderingKey = "bad"
			}
			b.add(m)
		}
		l := leadTo(t, b, []*webhook.Endpoint{e}, 1, func(d webhook.Delivery) bool { return d.Message.OrderingKey == "good" }, nil)
		defer l.stop()
		reached := until(func() bool {
			b.mu.Lock()
			defer b.mu.Unlock()
			return len(b.delivered) == 2*maxAhead && len(b.held[e.ID]) == maxAhead-1 && len(b.retries[e.ID]) == 1
		})
		if !reached {
			t.Errorf("%d delivered, %d held", len(b.delivered), len(b.held[e.ID]))
		}
	})
}

// An ordered endpoint receives the messages of a task one after the other, each when the previous
// one is settled, whatever fails. What a user requests does not wait for that.
func TestOrderOfReplay(t *testing.T) {
	for _, ordering := range []webhook.Ordering{webhook.OrderingEndpoint, webhook.OrderingKey} {
		runInBubble(t, fmt.Sprint(ordering), func(t *testing.T) {
			const count = 3 * maxManual
			b := newShelf()
			e := testEndpoint(0)
			e.Ordering = ordering
			task := webhook.NewID(1_790_000_000_000, 9, 0)
			for i := range count {
				m := testMessage(10+i, 10)
				b.add(m)
				b.cursors[e.ID] = m.ID
				line := webhook.Manual{Message: m.ID, Number: 1, Task: task, Retry: true}
				if i == count-1 {
					line.Task, line.Retry = webhook.ID{}, false
				}
				b.manual[e.ID] = append(b.manual[e.ID], line)
			}
			asked := b.log[count-1].ID
			var mu sync.Mutex
			rnd := rand.New(rand.NewSource(1))
			position, askedAt, next := 0, 0, 0
			l := leadTo(t, b, []*webhook.Endpoint{e}, 4, func(d webhook.Delivery) bool {
				mu.Lock()
				defer mu.Unlock()
				if position++; d.ID == asked {
					askedAt = position
					return true
				}
				if want := b.log[next].ID; d.ID != want {
					t.Errorf("message %d comes while %d is not settled", d.ID.Index(), want.Index())
				}
				if rnd.Intn(20) == 0 {
					return false
				}
				next++
				return true
			}, nil)
			await(t, b, []*webhook.Endpoint{e})
			l.stop()
			if next != count-1 || askedAt > count/2 {
				t.Errorf("%d messages of the task were delivered; the user's message was number %d", next, askedAt)
			}
		})
	}
}

// A message that blocks an endpoint is got rid of by having the endpoint skip such whose attempts
// are used up, or by expunging it: neither waits for its next attempt.
func TestBlockEnds(t *testing.T) {
	runInBubble(t, "skip", func(t *testing.T) {
		testBlockEnds(t, func(s *Scheduler, b *shelf, e *webhook.Endpoint) {
			changed := *e
			changed.OnExhausted = webhook.OnExhaustedSkip
			add(s, &changed)
		})
	})
	runInBubble(t, "expunge", func(t *testing.T) {
		testBlockEnds(t, func(s *Scheduler, b *shelf, e *webhook.Endpoint) {
			b.mu.Lock()
			gone := *b.log[0]
			gone.Payload, gone.Expunged = nil, true
			b.log[0] = &gone
			b.mu.Unlock()
			expunge(s, &gone)
		})
	})
}

func testBlockEnds(t *testing.T, end func(*Scheduler, *shelf, *webhook.Endpoint)) {
	b := newShelf()
	e := testEndpoint(0)
	e.Ordering, e.OnExhausted = webhook.OrderingEndpoint, webhook.OnExhaustedBlock
	b.add(testMessage(10, 10), testMessage(11, 10))
	bad := b.log[0].ID
	b.cursors[e.ID] = bad
	b.retries[e.ID] = []webhook.Retry{{Message: bad, Made: 101, Spent: 101, Due: time.Now().Add(time.Hour).Truncate(time.Millisecond)}}
	l := leadTo(t, b, []*webhook.Endpoint{e}, 1, func(d webhook.Delivery) bool { return d.ID != bad }, nil)
	synctest.Wait() // it has read its sets
	end(l.s, b, e)
	time.Sleep(time.Minute)
	l.stop()
	if len(b.delivered) != 1 || !b.settled[[2]webhook.ID{bad, e.ID}] {
		t.Error("it waits still")
	}
}

// While an ordered endpoint waits for a message's next attempt, a scheduled one that is due waits
// too, and other endpoints go on.
func TestScheduledBehindBlocker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newShelf()
		ordered, other := testEndpoint(0), testEndpoint(1)
		ordered.Ordering = webhook.OrderingEndpoint
		now := time.Now().Truncate(time.Millisecond)
		scheduled, tried := testMessage(10, 10), testMessage(11, 10)
		b.add(scheduled, tried)
		b.cursors[ordered.ID] = tried.ID
		b.retries[ordered.ID] = []webhook.Retry{
			{Message: scheduled.ID, Due: now},
			{Message: tried.ID, Made: 1, Spent: 1, Due: now.Add(500 * time.Millisecond)},
		}
		var came []webhook.ID
		l := leadTo(t, b, []*webhook.Endpoint{ordered, other}, 1, func(webhook.Delivery) bool { return true }, func(d webhook.Delivery, _ bool) {
			if d.Endpoint.ID == ordered.ID {
				came = append(came, d.ID)
			}
		})
		await(t, b, []*webhook.Endpoint{other})
		await(t, b, []*webhook.Endpoint{ordered})
		l.stop()
		if len(came) != 2 || came[0] != tried.ID {
			t.Errorf("%d came, the one that was tried before not first", len(came))
		}
	})
}

// What is held goes out, in order, whatever the endpoint's order has become since it was held.
func TestHeldIsNotForgotten(t *testing.T) {
	for _, ordering := range []webhook.Ordering{webhook.OrderingNone, webhook.OrderingEndpoint, webhook.OrderingKey} {
		runInBubble(t, fmt.Sprint("now ", ordering), func(t *testing.T) {
			b := newShelf()
			e := testEndpoint(0)
			e.Ordering = ordering
			for i := range 10 {
				b.addHeld(e.ID, fmt.Sprint("k", i%2))
			}
			for i := range 10 {
				m := testMessage(20+i, 10)
				m.OrderingKey = fmt.Sprint("k", i%2)
				b.add(m)
			}
			w := &witness{t: t, b: b, keyOf: func(_ webhook.Delivery, m *webhook.Message) string {
				if ordering == webhook.OrderingNone && m.ID.After(b.log[9].ID) {
					return ""
				}
				return m.OrderingKey
			}, settled: make(map[webhook.ID]bool)}
			l := lead(t, b, []*webhook.Endpoint{e}, 1, 0.2, w.see)
			await(t, b, []*webhook.Endpoint{e})
			l.stop()
			if n := len(b.held[e.ID]); n > 0 {
				t.Errorf("%d messages are held still", n)
			}
		})
	}
}

// A held message leaves the held set also if it was delivered on a user's request while it was in
// flight, and so no longer keeps others of its key waiting.
func TestHeldDeliveredMeanwhile(t *testing.T) {
	for _, ordering := range []webhook.Ordering{webhook.OrderingNone, webhook.OrderingEndpoint, webhook.OrderingKey} {
		runInBubble(t, fmt.Sprint("now ", ordering), func(t *testing.T) {
			b := newShelf()
			e := testEndpoint(0)
			e.Ordering = ordering
			b.addHeld(e.ID, "k")
			s := New(b, b.log[0].ID.Index(), testConfig(4), slog.New(slog.DiscardHandler))
			held, requested := handOutTwice(t, b, s, e)
			b.finish(t, s, requested)()
			b.finish(t, s, held)()
			if n := len(b.held[e.ID]); n > 0 {
				t.Errorf("%d messages are held still", n)
			}
		})
	}
}

// A key goes on when the message that it waits for is not sent any more, whether that failed before
// the endpoint kept an order, or after, or was held.
func TestCanceledFreesKey(t *testing.T) {
	for _, key := range []uint64{webhook.OrderingKeyHash("k"), 0} {
		for expunged, what := range []string{"failed", "held"} {
			runInBubble(t, fmt.Sprint(key, " ", what), func(t *testing.T) { testCanceledFreesKey(t, key, expunged) })
		}
	}
}

func testCanceledFreesKey(t *testing.T, recorded uint64, expunged int) {
	b := newShelf()
	e := testEndpoint(0)
	e.Ordering = webhook.OrderingKey
	for i := range 3 {
		m := testMessage(10+i, 10)
		m.OrderingKey = "k"
		b.add(m)
	}
	b.log[expunged].Expunged = true
	b.cursors[e.ID] = b.log[1].ID
	b.retries[e.ID] = []webhook.Retry{{Message: b.log[0].ID, Made: 1, Spent: 1, Key: recorded, Due: time.Now().Truncate(time.Millisecond)}}
	b.hold(e.ID, webhook.Held{Key: webhook.OrderingKeyHash("k"), Message: b.log[1].ID})
	came := 0
	l := leadTo(t, b, []*webhook.Endpoint{e}, 1, func(webhook.Delivery) bool { return true }, func(webhook.Delivery, bool) { came++ })
	time.Sleep(time.Minute)
	l.stop()
	if came != 2 {
		t.Errorf("%d of the two others came", came)
	}
}
