package scheduler

import (
	"fmt"
	"log/slog"
	"math/rand"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hookwheel/webhook"
)

// manyKeys are the lines of endpoints, each with as many that failed, of as many keys.
type manyKeys struct {
	million
	lines uint64
}

func (b manyKeys) Retries(_ webhook.ID, from webhook.Retry, limit int) (list []webhook.Retry, err error) {
	for i := from.Message.Index(); i < b.lines && len(list) < limit; i++ {
		list = append(list, webhook.Retry{Message: webhook.NewID(0, i, 0), Made: 1, Spent: 1, Key: (i + 1) << 20, Due: time.UnixMilli(1_790_000_000_000)})
	}
	return list, nil
}

// Scans for an order have no more keys in memory than there may be, whether one endpoint has many
// of them or many endpoints have some.
func TestScanIsBounded(t *testing.T) {
	for _, test := range []struct {
		endpoints uint32
		lines     uint64
		keys      int
	}{{1, 1_000_000, maxKeys}, {10, 100_000, maxKeysPerApp + 10*minKeys}} {
		t.Run(fmt.Sprintf("%d of each of %d", test.lines, test.endpoints), func(t *testing.T) {
			before := heap()
			s := New(manyKeys{million{newShelf()}, test.lines}, 2, testConfig(4), slog.New(slog.DiscardHandler))
			peak := 0
			for i := range test.endpoints {
				e := testEndpoint(i)
				e.Ordering = webhook.OrderingKey
				add(s, e)
				l := s.lanes[e.ID]
				scan := newOrderScan(l, time.Now())
				if err := scan.run(); err != nil {
					t.Fatal(err)
				}
				s.mu.Lock()
				peak = max(peak, s.tails.keys.keys)
				if len(scan.late) > 0 { // as when they are held, and the rest is scanned again
					scan.late = nil
					for key, line := range scan.first {
						scan.found.block(key, line.Message)
					}
				}
				l.order.counts.add(-scan.took)
				l.order.become(scan.found)
				s.mu.Unlock()
			}
			keys := s.tails.keys.keys
			t.Logf("%d keys of %d lines, %d MiB", keys, uint64(test.endpoints)*test.lines, (heap()-before)>>20)
			if max(keys, peak) > test.keys {
				t.Errorf("%d keys are in memory, and %d were at a time; the limit is %d", keys, peak, test.keys)
			}
			runtime.KeepAlive(s)
		})
	}
}

// crowd has others take all the room for keys: an endpoint may have minKeys.
func crowd(s *Scheduler) { s.tails.keys.add(maxKeysOfAll) }

// crowded reports whether the only lane has more keys in memory than it may have: what was under
// way under the leader before may come on top.
func crowded(s *Scheduler) (keys int, crowded bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys = s.tails.keys.keys - maxKeysOfAll
	return keys, keys > minKeys+maxAhead
}

// fail adds a message that has failed, recorded with its key or from when the endpoint had no
// order.
func (b *shelf) fail(e *webhook.Endpoint, key string, rnd *rand.Rand, due time.Time) {
	m := testMessage(10+len(b.log), 10)
	m.OrderingKey = key
	b.add(m)
	b.cursors[e.ID] = m.ID
	line := webhook.Retry{Message: m.ID, Made: 1, Spent: 1, Due: due.Add(time.Duration(rnd.Intn(3000)) * time.Millisecond)}
	if rnd.Intn(2) == 0 {
		line.Key = webhook.OrderingKeyHash(key)
	}
	b.retries[e.ID] = append(b.retries[e.ID], line)
}

// Where far more keys have failed than there is room for, everything comes, in order, whenever
// leaders end: also what was held, and what is posted then.
func TestOrderOfManyKeys(t *testing.T) {
	for seed := range histories(4) {
		runInBubble(t, fmt.Sprint(seed), func(t *testing.T) {
			const count = 5 * minKeys / 2
			rnd := rand.New(rand.NewSource(seed))
			b, e, now := newShelf(), testEndpoint(0), time.Now().Truncate(time.Millisecond)
			e.Ordering = webhook.OrderingKey
			for i := range count {
				b.fail(e, fmt.Sprint("k", i), rnd, now)
			}
			for range count {
				key := fmt.Sprint("k", rnd.Intn(count))
				if rnd.Intn(2) == 0 {
					b.addHeld(e.ID, key)
				} else {
					b.fail(e, key, rnd, now)
				}
			}
			slices.SortFunc(b.retries[e.ID], func(x, y webhook.Retry) int { return compareLines(&x, &y) })
			w := &witness{t: t, b: b, keyOf: byOrdering, settled: make(map[webhook.ID]bool)}
			index := 10 + len(b.log)
			for range 6 {
				r := newReign(t, b, e, w, rnd.Int63(), crowd)
				for range 10 {
					for range rnd.Intn(20) {
						r.post(&index, fmt.Sprint("k", rnd.Intn(count)))
					}
					time.Sleep(time.Duration(rnd.Intn(500)) * time.Millisecond)
					if keys, many := crowded(r.s); many {
						t.Errorf("%d keys are in memory", keys)
					}
				}
				r.stop()
			}
			last := newReign(t, b, e, w, seed, crowd)
			time.Sleep(3 * time.Hour)
			last.stop()
			if n := len(b.held[e.ID]) + len(b.retries[e.ID]); n > 0 {
				t.Errorf("%d messages wait still", n)
			}
			for _, m := range b.log {
				if !b.settled[[2]webhook.ID{m.ID, e.ID}] {
					t.Fatalf("message %d was never delivered", m.ID.Index())
				}
			}
		})
	}
}

// An endpoint fails, and thousands of scheduled messages of as many keys come due: those for whose
// keys there is no room are held, and come when it responds again.
func TestScheduledKeysAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 5 * minKeys
		b, e, now := newShelf(), testEndpoint(0), time.Now().Truncate(time.Millisecond)
		e.Ordering = webhook.OrderingKey
		for i := range count {
			m := testMessage(10+i, 10)
			m.OrderingKey = fmt.Sprint("k", i)
			b.add(m)
			b.cursors[e.ID] = m.ID
			b.retries[e.ID] = append(b.retries[e.ID], webhook.Retry{Message: m.ID, Due: now.Add(time.Second + time.Duration(i)*time.Millisecond)})
		}
		config := testConfig(64)
		for i := range config.Retry.Delays { // no message is to use them up
			config.Retry.Delays[i] = 10 * time.Second
		}
		s := New(b, b.log[count-1].ID.Index(), config, slog.New(slog.DiscardHandler))
		crowd(s)
		var mu sync.Mutex
		most := 0
		l := leadWith(t, b, s, []*webhook.Endpoint{e}, 16, func(d webhook.Delivery) bool {
			keys, _ := crowded(s)
			mu.Lock()
			defer mu.Unlock()
			most = max(most, keys)
			return time.Since(now) > 8*time.Second
		}, nil)
		time.Sleep(time.Second)
		m := testMessage(10+count, 10)
		m.OrderingKey = "k0"
		b.add(m)
		offer(s, []*webhook.Message{m})
		await(t, b, []*webhook.Endpoint{e})
		l.stop()
		if most > minKeys+64 {
			t.Errorf("%d keys were in memory", most)
		}
		if n := len(b.held[e.ID]) + len(b.retries[e.ID]); n > 0 {
			t.Errorf("%d messages wait still", n)
		}
	})
}

// What is held waits until the log was read as far as the leader before had read it. That it is
// held for as many keys as there may be does not keep the log from being read.
func TestManyHeldKeysReachGate(t *testing.T) {
	for _, keys := range []int{minKeys, 2 * minKeys} {
		runInBubble(t, fmt.Sprint(keys), func(t *testing.T) {
			b, e := newShelf(), testEndpoint(0)
			e.Ordering = webhook.OrderingKey
			b.add(testMessage(10, 10))
			first := b.log[0] // which was under way when the leader ended
			first.OrderingKey = "k0"
			b.done[e.ID] = make(map[webhook.ID]bool)
			for i := range keys {
				b.addHeld(e.ID, fmt.Sprint("k", i))
				b.done[e.ID][b.log[len(b.log)-1].ID] = true
			}
			delete(b.cursors, e.ID)
			w := &witness{t: t, b: b, keyOf: byOrdering, settled: make(map[webhook.ID]bool)}
			r := newReign(t, b, e, w, 1, crowd)
			time.Sleep(time.Hour)
			r.stop()
			if n := len(b.held[e.ID]); n > 0 || len(w.settled) != keys+1 {
				t.Errorf("%d messages are held still; %d came", n, len(w.settled))
			}
		})
	}
}

// While other keys may have messages in the held set, no message of a key that is not in memory is
// sent before those, wherever it comes from: it follows them.
func TestOverflowHoldsBack(t *testing.T) {
	known, other := testMessage(10, 0), testMessage(11, 0)
	known.OrderingKey, other.OrderingKey = "known", "other"
	for _, test := range []struct {
		overflow bool
		message  *webhook.Message
		source   webhook.Source
		held     bool
	}{
		{true, other, webhook.SourceLog, true},
		{true, other, webhook.SourceRetry, true},
		{true, other, webhook.SourceManual, false},
		{true, known, webhook.SourceRetry, false},
		{true, testMessage(12, 0), webhook.SourceLog, false},
		{false, other, webhook.SourceLog, false},
		{false, other, webhook.SourceRetry, false},
	} {
		o := newOrder(webhook.OrderingKey, nil)
		o.block(webhook.OrderingKeyHash("known"), known.ID)
		o.overflow = test.overflow
		d := webhook.Delivery{Message: test.message, ID: test.message.ID, Source: test.source, Number: 2}
		if held := o.holdsBack(&d); held != test.held {
			t.Errorf("overflow: %t, key %q, %v: held: %t", test.overflow, test.message.OrderingKey, test.source, held)
		}
		o.hold(webhook.OrderingKeyHash("other"), other.ID)
		if _, counted := o.keys[webhook.OrderingKeyHash("other")]; counted == test.overflow {
			t.Errorf("overflow: %t, the key is in memory: %t", test.overflow, counted)
		}
	}
}

// Keys that are blocked for good take more than half of the room there is: what waits for room
// comes nevertheless, and so does what is posted then.
func TestBlockedKeysLeaveRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const blocked, held = minKeys - 20, 50
		b, e, now := newShelf(), testEndpoint(0), time.Now().Truncate(time.Millisecond)
		e.Ordering, e.OnExhausted = webhook.OrderingKey, webhook.OnExhaustedBlock
		rnd := rand.New(rand.NewSource(1))
		for i := range blocked {
			b.fail(e, fmt.Sprint("blocked", i), rnd, now)
		}
		for i := range held {
			b.addHeld(e.ID, fmt.Sprint("k", i))
		}
		slices.SortFunc(b.retries[e.ID], func(x, y webhook.Retry) int { return compareLines(&x, &y) })
		config := testConfig(64)
		for i := range config.Retry.Delays {
			config.Retry.Delays[i] = time.Minute
		}
		s := New(b, b.log[len(b.log)-1].ID.Index(), config, slog.New(slog.DiscardHandler))
		crowd(s)
		l := leadWith(t, b, s, []*webhook.Endpoint{e}, 16, func(d webhook.Delivery) bool {
			time.Sleep(time.Millisecond)
			return !strings.HasPrefix(d.Message.OrderingKey, "blocked")
		}, nil)
		m := testMessage(10+len(b.log), 10)
		m.OrderingKey = "k0"
		b.add(m)
		offer(s, []*webhook.Message{m})
		time.Sleep(2 * time.Minute)
		l.stop()
		if n := len(b.held[e.ID]); n > 0 {
			t.Errorf("%d messages are held still", n)
		}
		if !b.settled[[2]webhook.ID{m.ID, e.ID}] {
			t.Error("the log is not read")
		}
	})
}

// Scanning again and again, the endpoints of an application together take a small part of a CPU. A
// clock that is set back makes none of them wait for longer.
func TestRescansOfApplication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const took = 10 * time.Second
		b := &crowding{manyKeys{million{newShelf()}, minKeys}, sync.OnceFunc(func() { time.Sleep(took) })}
		s := New(b, 2, testConfig(4), slog.New(slog.DiscardHandler))
		s.mu.Lock()
		defer s.mu.Unlock()
		lanes := make([]*lane, 2)
		for i := range lanes {
			e := testEndpoint(uint32(i))
			e.Ordering = webhook.OrderingKey
			lanes[i] = newLane(s, e, Place{})
			lanes[i].order.overflow = true
		}
		scanned := func(l *lane, after time.Duration) bool {
			l.order.scanned = true
			l.scanAgain(s.clock().Add(after))
			return !l.order.scanned
		}
		first, other := lanes[0], lanes[1]
		heldSource{first}.load(s.clock())
		first.order.overflow = true
		for _, l := range lanes {
			if scanned(l, (rescanShare-1)*took) || !scanned(l, (rescanShare+1)*took) {
				t.Error("the scan is followed by another one too soon, or not at all")
			}
		}
		other.turnBack(s.clock().Add(-time.Hour), &s.config.Breaker)
		if !scanned(other, -time.Hour) {
			t.Error("a clock that was set back delays a scan")
		}
	})
}

// crowding has others take all the room for keys while a scan reads.
type crowding struct {
	manyKeys
	begin func()
}

func (b *crowding) Retries(endpoint webhook.ID, from webhook.Retry, limit int) ([]webhook.Retry, error) {
	b.begin()
	return b.manyKeys.Retries(endpoint, from, limit)
}

// A lane that scans again keeps the room that it has, whatever others take meanwhile: what waits
// for another attempt is not held, which would begin its attempts again.
func TestScanKeepsRoom(t *testing.T) {
	const lines = 3 * minKeys
	b := &crowding{manyKeys{million{newShelf()}, lines}, func() {}}
	s := New(b, 2, testConfig(4), slog.New(slog.DiscardHandler))
	e := testEndpoint(0)
	e.Ordering = webhook.OrderingKey
	add(s, e)
	l := s.lanes[e.ID]
	s.mu.Lock()
	defer s.mu.Unlock()
	for range 2 {
		l.order.scanned = false
		heldSource{l}.load(time.Now())
		if n := len(l.order.keys); n != lines || l.pending > 0 {
			t.Fatalf("%d keys are in memory, %d lines are held", n, l.pending)
		}
		b.begin = sync.OnceFunc(func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			crowd(s)
		})
	}
}
