package scheduler

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand"
	"slices"
	"sync"
	"testing"
	"time"

	"hookwheel/webhook"
)

// shelf is a Backlog in memory: a log, and for each endpoint a cursor and a retry set, as the state
// machine would keep them.
type shelf struct {
	mu          sync.Mutex
	log         []*webhook.Message
	cursors     map[webhook.ID]webhook.ID
	done        map[webhook.ID]map[webhook.ID]bool
	retries     map[webhook.ID][]webhook.Retry
	held        map[webhook.ID][]webhook.Held // in order of key and message
	manual      map[webhook.ID][]webhook.Manual
	settled     map[[2]webhook.ID]bool // for good, by message and endpoint
	delivered   map[[2]webhook.ID]int  // successes by message and endpoint
	left        webhook.ID             // messages up to this one have left the log, but for what stands in memory
	pausedTasks map[webhook.ID]bool    // tasks that do not run
	health      webhook.Health         // of each endpoint, at the beginning

	manualReads int
}

func newShelf() *shelf {
	return &shelf{cursors: make(map[webhook.ID]webhook.ID), done: make(map[webhook.ID]map[webhook.ID]bool),
		retries: make(map[webhook.ID][]webhook.Retry), held: make(map[webhook.ID][]webhook.Held),
		manual: make(map[webhook.ID][]webhook.Manual), settled: make(map[[2]webhook.ID]bool), delivered: make(map[[2]webhook.ID]int)}
}

// testConfig never parks an endpoint, and tries again soon.
func testConfig(perEndpoint int) Config {
	policy := webhook.RetryPolicy{Jitter: 1, Delays: make([]time.Duration, 100)}
	for i := range policy.Delays {
		policy.Delays[i] = 15 * time.Millisecond
	}
	breaker := DefaultBreakerPolicy()
	breaker.MinAttempts = 1 << 30
	return Config{Workers: 64, PerEndpoint: perEndpoint, Timeout: time.Second, Retry: policy, Breaker: breaker}
}

func (b *shelf) Place(endpoint webhook.ID) Place {
	b.mu.Lock()
	defer b.mu.Unlock()
	var done []webhook.ID
	for id := range b.done[endpoint] {
		if id.After(b.cursors[endpoint]) {
			done = append(done, id)
		}
	}
	return Place{Position: b.cursors[endpoint], Done: done, Health: b.health}
}

func (b *shelf) Window(app, after webhook.ID, limit int) ([]*webhook.Message, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, found := slices.BinarySearchFunc(b.log, after, func(m *webhook.Message, id webhook.ID) int { return m.ID.Compare(id) })
	if found {
		i++
	}
	var window []*webhook.Message
	for _, m := range b.log[i:] {
		if m.App == app && len(window) < limit {
			window = append(window, m)
		}
	}
	return window, nil
}

func (b *shelf) MessageByID(app, id webhook.ID) (*webhook.Message, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !id.After(b.left) {
		return nil, &webhook.Error{Code: webhook.CodeNotFound}
	}
	i, _ := slices.BinarySearchFunc(b.log, id, func(m *webhook.Message, id webhook.ID) int { return m.ID.Compare(id) })
	return b.log[i], nil
}

func (b *shelf) Retries(endpoint webhook.ID, from webhook.Retry, limit int) (list []webhook.Retry, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, _ := slices.BinarySearchFunc(b.retries[endpoint], from, func(a, b webhook.Retry) int { return compareLines(&a, &b) })
	rest := b.retries[endpoint][i:]
	return slices.Clone(rest[:min(limit, len(rest))]), nil
}

func (b *shelf) Manual(endpoint webhook.ID, tasks bool, limit int) (list []webhook.Manual, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, line := range b.manual[endpoint] {
		if (line.Task.IsZero() || tasks && !b.pausedTasks[line.Task]) && len(list) < limit {
			list = append(list, line)
		}
	}
	b.manualReads++
	return list, nil
}

func (b *shelf) Held(endpoint webhook.ID, after webhook.Held, limit int) (list []webhook.Held, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, line := range b.held[endpoint] {
		if (line.Key > after.Key || line.Key == after.Key && line.Message.After(after.Message)) && len(list) < limit {
			list = append(list, line)
		}
	}
	return list, nil
}

func (b *shelf) HeldFirst(endpoint webhook.ID, key uint64) (webhook.ID, bool, error) {
	list, err := b.Held(endpoint, webhook.Held{Key: key}, 1)
	if len(list) == 0 || list[0].Key != key {
		return webhook.ID{}, false, err
	}
	return list[0].Message, true, nil
}

func (b *shelf) MayHaveLeft(message webhook.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !message.After(b.left)
}

func (b *shelf) TaskRuns(task webhook.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.pausedTasks[task]
}

func (b *shelf) add(messages ...*webhook.Message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.log = append(b.log, messages...)
}

// record does what the state machine does, and checks that a cursor passes nothing that is not
// settled.
func (b *shelf) record(t *testing.T, list []webhook.Progress, wants func(endpoint webhook.ID, m *webhook.Message) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range list {
		for _, o := range p.Outcomes {
			b.settle(t, p.Endpoint, o)
		}
		if b.cursors[p.Endpoint].After(p.Cursor) {
			t.Errorf("the cursor of %v went back", p.Endpoint)
		}
		for _, m := range b.log {
			if m.ID.After(b.cursors[p.Endpoint]) && !m.ID.After(p.Cursor) && wants(p.Endpoint, m) && !b.done[p.Endpoint][m.ID] {
				t.Errorf("the cursor passed message %d, which is not settled", m.ID.Index())
			}
		}
		b.cursors[p.Endpoint] = p.Cursor
	}
}

// settle takes away what an outcome settles, as the state machine does, and puts down what is to
// come.
func (b *shelf) settle(t *testing.T, endpoint webhook.ID, o webhook.Outcome) {
	id := o.Attempt.Message
	switch o.Source {
	case webhook.SourceLog:
		if b.done[endpoint] == nil {
			b.done[endpoint] = make(map[webhook.ID]bool)
		}
		if b.done[endpoint][id] {
			t.Errorf("message %d came fresh twice", id.Index())
		}
		b.done[endpoint][id] = true
	case webhook.SourceRetry:
		line := slices.IndexFunc(b.retries[endpoint], func(r webhook.Retry) bool { return r.Message == id && r.Due.Equal(o.Due) })
		if line < 0 {
			t.Errorf("message %d came as a retry that is not in the set", id.Index())
			return
		}
		b.retries[endpoint] = slices.Delete(b.retries[endpoint], line, line+1)
	case webhook.SourceHeld:
		line := slices.Index(b.held[endpoint], webhook.Held{Key: o.Key, Message: id})
		if line < 0 {
			t.Errorf("message %d came as held, but is not", id.Index())
			return
		}
		b.held[endpoint] = slices.Delete(b.held[endpoint], line, line+1)
	case webhook.SourceManual:
		line := slices.IndexFunc(b.manual[endpoint], func(m webhook.Manual) bool { return m.Message == id })
		if line < 0 {
			t.Errorf("message %d was not asked for", id.Index())
			return
		}
		b.manual[endpoint] = slices.Delete(b.manual[endpoint], line, line+1)
	}
	if o.Hold {
		line := webhook.Held{Key: o.Key, Message: id}
		i, _ := slices.BinarySearchFunc(b.held[endpoint], line, compareHeld)
		b.held[endpoint] = slices.Insert(b.held[endpoint], i, line)
		return
	}
	if o.Attempt.Number > 0 && o.Attempt.Status == webhook.StatusSuccess {
		b.delivered[[2]webhook.ID{id, endpoint}]++
		b.settled[[2]webhook.ID{id, endpoint}] = true
		return
	}
	if o.Attempt.Next.IsZero() {
		b.settled[[2]webhook.ID{id, endpoint}] = true
		return
	}
	r := webhook.Retry{Message: id, Made: o.Attempt.Number, Spent: o.Spent, Key: o.Key, Due: o.Attempt.Next}
	i, _ := slices.BinarySearchFunc(b.retries[endpoint], r, func(x, y webhook.Retry) int { return compareLines(&x, &y) })
	b.retries[endpoint] = slices.Insert(b.retries[endpoint], i, r)
}

func compareHeld(a, b webhook.Held) int {
	return cmp.Or(cmp.Compare(a.Key, b.Key), a.Message.Compare(b.Message))
}

var testApp = webhook.NewID(1_790_000_000_000, 1, 0)

func testMessage(index int, size int) *webhook.Message {
	return &webhook.Message{ID: webhook.NewID(1_790_000_000_000+int64(index), uint64(index), 0), App: testApp,
		EventType: fmt.Sprint("t", index%3), Payload: make([]byte, size)}
}

func testEndpoint(place uint32, eventTypes ...string) *webhook.Endpoint {
	return &webhook.Endpoint{ID: webhook.NewID(1_790_000_000_000, 2, place), App: testApp, EventTypes: eventTypes}
}

// leadership is a scheduler at work: workers that fail at random, and a recorder.
type leadership struct {
	s      *Scheduler
	end    context.CancelFunc
	wg     sync.WaitGroup
	mu     sync.Mutex
	flying map[webhook.ID]int
	peak   int
}

// lead begins a leadership over the shelf whose workers fail at random. What was not recorded when
// it ends is lost, as in a crash. see, if there is one, is what a receiver sees.
func lead(t *testing.T, b *shelf, endpoints []*webhook.Endpoint, seed int64, failures float64, see ...func(webhook.Delivery, bool)) *leadership {
	rnd, mu := rand.New(rand.NewSource(seed)), sync.Mutex{}
	send := func(webhook.Delivery) bool {
		mu.Lock()
		pause, success := rnd.Intn(60), rnd.Float64() >= failures
		mu.Unlock()
		if pause < 3 {
			time.Sleep(time.Duration(pause) * time.Millisecond)
		}
		return success
	}
	if len(see) == 0 {
		see = append(see, nil)
	}
	return leadTo(t, b, endpoints, 4, send, see[0])
}

// leadTo begins a leadership whose workers send with send.
func leadTo(t *testing.T, b *shelf, endpoints []*webhook.Endpoint, perEndpoint int, send func(webhook.Delivery) bool, see func(webhook.Delivery, bool)) *leadership {
	b.mu.Lock()
	index := uint64(2)
	if len(b.log) > 0 {
		index = b.log[len(b.log)-1].ID.Index()
	}
	b.mu.Unlock()
	return leadWith(t, b, New(b, index, testConfig(max(perEndpoint, 2)), slog.New(slog.DiscardHandler)), endpoints, 16, send, see)
}

func leadWith(t *testing.T, b *shelf, s *Scheduler, endpoints []*webhook.Endpoint, workers int, send func(webhook.Delivery) bool, see func(webhook.Delivery, bool)) *leadership {
	ctx, end := context.WithCancel(t.Context())
	l := &leadership{s: s, end: end, flying: make(map[webhook.ID]int)}
	for _, e := range endpoints {
		l.s.Add(e)
	}
	wants := func(endpoint webhook.ID, m *webhook.Message) bool {
		i := slices.IndexFunc(endpoints, func(e *webhook.Endpoint) bool { return e.ID == endpoint })
		return endpoints[i].Wants(m)
	}
	outcomes := make(chan webhook.Outcome)
	l.wg.Go(func() { l.s.Run(ctx) })
	l.wg.Go(func() {
		for {
			var batch []webhook.Outcome
			select {
			case o := <-outcomes:
				batch = append(batch, o)
			case <-l.s.Decided():
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
				return
			}
			list := l.s.Checkpoint(batch, 64)
			b.record(t, list, wants)
			l.s.Settle(list)
		}
	})
	for range max(workers, 2) {
		l.wg.Go(func() { l.work(ctx, send, see, outcomes) })
	}
	return l
}

func (l *leadership) work(ctx context.Context, send func(webhook.Delivery) bool, see func(webhook.Delivery, bool), outcomes chan<- webhook.Outcome) {
	for {
		d, ok := l.s.Next()
		if !ok {
			return
		}
		l.count(d.Endpoint.ID, 1)
		a := webhook.Attempt{Message: d.ID, Endpoint: d.Endpoint.ID, Number: d.Number, Start: time.Now(), Duration: time.Millisecond}
		success := send(d)
		if !success {
			a.Status = webhook.StatusFail
		}
		l.count(d.Endpoint.ID, -1)
		if see != nil {
			see(d, success)
		}
		select {
		case outcomes <- l.s.Done(d, a, Verdict{Text: "no"}):
		case <-ctx.Done():
			return
		}
	}
}

func (l *leadership) count(endpoint webhook.ID, by int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flying[endpoint] += by
	l.peak = max(l.peak, l.flying[endpoint])
}

func (l *leadership) stop() {
	l.end()
	l.wg.Wait()
}

// receive waits for what must come; otherwise says what is wrong if it does not.
func receive[T any](t *testing.T, from <-chan T, otherwise string) (got T) {
	t.Helper()
	select {
	case got = <-from:
	case <-time.After(10 * time.Second):
		t.Fatal(otherwise)
	}
	return got
}

// await waits until each endpoint has had each message that it wants.
func await(t *testing.T, b *shelf, endpoints []*webhook.Endpoint) {
	t.Helper()
	missing := -1
	for range 3000 {
		b.mu.Lock()
		missing = 0
		for _, e := range endpoints {
			for _, m := range b.log {
				if e.Wants(m) && b.delivered[[2]webhook.ID{m.ID, e.ID}] == 0 {
					missing++
				}
			}
		}
		b.mu.Unlock()
		if missing == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%d deliveries are missing", missing)
}

// TestEverythingArrives has workers fail at random while messages come in and leaders change: in
// the end every endpoint has had every message that it wants, once, and nobody else's. shelf checks
// the cursors on the way.
func TestEverythingArrives(t *testing.T) {
	for seed := range int64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			b := newShelf()
			endpoints := []*webhook.Endpoint{testEndpoint(0), testEndpoint(1, "t0"), testEndpoint(2, "t1", "t2"), testEndpoint(3, "none")}
			rnd := rand.New(rand.NewSource(seed))
			index := 10
			for range 4 { // leaders
				l := lead(t, b, endpoints, rnd.Int63(), 0.3)
				for range 300 {
					m := testMessage(index, 10)
					index++
					b.add(m)
					l.s.Offer([]*webhook.Message{m})
					if rnd.Intn(30) == 0 {
						time.Sleep(time.Millisecond)
					}
				}
				if rnd.Intn(2) == 0 {
					await(t, b, endpoints)
				}
				l.stop()
				if l.peak > 4 {
					t.Errorf("%d in flight to one endpoint", l.peak)
				}
			}
			last := lead(t, b, endpoints, rnd.Int63(), 0.1)
			await(t, b, endpoints)
			last.stop()
			for pair, times := range b.delivered {
				if times != 1 {
					t.Errorf("message %d was recorded as delivered %d times", pair[0].Index(), times)
				}
				if pair[1] == endpoints[3].ID {
					t.Error("an endpoint got what it did not want")
				}
			}
		})
	}
}

// TestTailIsBounded offers more than memory takes before anybody works: the lanes read the rest
// from the store.
func TestTailIsBounded(t *testing.T) {
	b := newShelf()
	endpoints := []*webhook.Endpoint{testEndpoint(0), testEndpoint(1)}
	s := New(b, 2, testConfig(4), slog.New(slog.DiscardHandler))
	for _, e := range endpoints {
		s.Add(e)
	}
	const count, size = 700, 100 << 10
	for i := range count {
		m := testMessage(10+i, size)
		b.add(m)
		s.Offer([]*webhook.Message{m})
	}
	if tail := s.Stats().Tail; tail > maxTailBytes {
		t.Errorf("%d bytes in memory", tail)
	}
	got := make(map[webhook.ID]webhook.ID)
	for range 2 * count {
		d, _ := s.Next()
		if !d.Message.ID.After(got[d.Endpoint.ID]) {
			t.Fatalf("message %d came after %d", d.Message.ID.Index(), got[d.Endpoint.ID].Index())
		}
		got[d.Endpoint.ID] = d.Message.ID
		o := s.Done(d, webhook.Attempt{Message: d.Message.ID, Endpoint: d.Endpoint.ID, Number: 1}, Verdict{})
		s.Settle(s.Checkpoint([]webhook.Outcome{o}, 8))
	}
	for _, last := range got {
		if last.Index() != 10+count-1 {
			t.Errorf("the last message that came is %d", last.Index())
		}
	}
}

// A lane that was caught up, and then could not take anything while its part of the log left the
// memory, goes on from the store.
func TestTailLeavesLaneBehind(t *testing.T) {
	b := newShelf()
	s := New(b, 2, testConfig(2), slog.New(slog.DiscardHandler))
	e := testEndpoint(0)
	s.Add(e)
	const count, size = 700, 100 << 10
	offer := func(i int) {
		m := testMessage(10+i, size)
		b.add(m)
		s.Offer([]*webhook.Message{m})
	}
	offer(0)
	offer(1)
	under := []webhook.Delivery{}
	for range 2 {
		d, _ := s.Next()
		under = append(under, d)
	}
	for i := 2; i < count; i++ {
		offer(i)
	}
	for i := range count {
		d := under[0]
		if under = under[1:]; d.ID != b.log[i].ID {
			t.Fatalf("message %d came at place %d", d.ID.Index(), i)
		}
		o := s.Done(d, webhook.Attempt{Message: d.ID, Endpoint: e.ID, Number: 1}, Verdict{})
		s.Settle(s.Checkpoint([]webhook.Outcome{o}, 8))
		if i+len(under) < count-1 {
			d, _ := s.Next()
			under = append(under, d)
		}
	}
}

// TestFairTurns floods one endpoint; another one's single message does not wait for the flood.
func TestFairTurns(t *testing.T) {
	b := newShelf()
	s := New(b, 2, testConfig(1000), slog.New(slog.DiscardHandler))
	flooded, other := testEndpoint(0), testEndpoint(1, "rare")
	s.Add(flooded)
	s.Add(other)
	rare := testMessage(400, 10)
	rare.EventType = "rare"
	for i := range 300 {
		b.add(testMessage(10+i, 10))
	}
	b.add(rare)
	s.Offer(b.log)
	for turn := range 20 {
		if d, _ := s.Next(); d.Endpoint.ID == other.ID {
			return
		} else if turn == 19 {
			t.Error("the other endpoint's message waits behind the flood")
		}
	}
}

// TestManyRetries has more lines in the retry set than stand in memory: all are handed out, in
// order of due time.
func TestManyRetries(t *testing.T) {
	b := newShelf()
	e := testEndpoint(0)
	const count = 3*maxLoaded + 7
	past := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
	for i := range count {
		m := testMessage(10+i, 10)
		b.add(m)
		b.retries[e.ID] = append(b.retries[e.ID], webhook.Retry{Message: m.ID, Made: 1, Due: past.Add(time.Duration(i) * time.Millisecond)})
	}
	b.cursors[e.ID] = b.log[count-1].ID
	s := New(b, b.log[count-1].ID.Index(), testConfig(4), slog.New(slog.DiscardHandler))
	ctx, end := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx) })
	defer wg.Wait()
	defer end()
	s.Add(e)
	seen := make(map[webhook.ID]bool)
	for range count {
		d, _ := s.Next()
		if seen[d.Message.ID] || d.Number != 2 || d.Due.IsZero() {
			t.Fatalf("%+v came again, or not as a retry", d)
		}
		seen[d.Message.ID] = true
		if n := s.Stats().Retries; n > maxLoaded {
			t.Fatalf("%d lines in memory", n)
		}
		o := s.Done(d, webhook.Attempt{Message: d.Message.ID, Endpoint: d.Endpoint.ID, Number: d.Number}, Verdict{})
		s.Settle(s.Checkpoint([]webhook.Outcome{o}, 8))
	}
}

func TestRemove(t *testing.T) {
	b := newShelf()
	s := New(b, 2, testConfig(4), slog.New(slog.DiscardHandler))
	gone, stays := testEndpoint(0), testEndpoint(1)
	s.Add(gone)
	s.Add(stays)
	for i := range 50 {
		b.add(testMessage(10+i, 10))
	}
	s.Offer(b.log)
	d, _ := s.Next()
	s.Remove(gone.ID)
	s.Done(d, webhook.Attempt{Message: d.Message.ID, Endpoint: d.Endpoint.ID}, Verdict{})
	for range 49 {
		d, _ := s.Next()
		if d.Endpoint.ID == gone.ID {
			t.Fatal("a removed endpoint got a message")
		}
		o := s.Done(d, webhook.Attempt{Message: d.Message.ID, Endpoint: d.Endpoint.ID, Number: 1}, Verdict{})
		s.Settle(s.Checkpoint([]webhook.Outcome{o}, 8))
	}
	if lanes := s.Stats().Lanes; lanes != 1 {
		t.Errorf("%d lanes", lanes)
	}
}
