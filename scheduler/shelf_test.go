package scheduler

import (
	"cmp"
	"fmt"
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
	left        webhook.ID             // messages up to this one have left the log, except those in memory
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

func (b *shelf) Window(app, after webhook.ID, limit, bytes int) ([]*webhook.Message, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var window []*webhook.Message
	for _, m := range b.log[b.after(after):] {
		if m.App == app && len(window) < limit {
			window = append(window, m)
		}
	}
	return window, nil
}

// after returns the index of the first message after id.
func (b *shelf) after(id webhook.ID) int {
	i, found := slices.BinarySearchFunc(b.log, id, func(m *webhook.Message, id webhook.ID) int { return m.ID.Compare(id) })
	if found {
		i++
	}
	return i
}

func (b *shelf) OrderingKeys(app webhook.ID, messages []webhook.ID) ([]uint64, error) {
	keys := make([]uint64, len(messages))
	for i, id := range messages {
		if m, err := b.MessageByID(app, id); err == nil && m.OrderingKey != "" {
			keys[i] = webhook.OrderingKeyHash(m.OrderingKey)
		}
	}
	return keys, nil
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
		for _, m := range b.log[b.after(b.cursors[p.Endpoint]):] {
			if m.ID.After(p.Cursor) {
				break
			}
			if wants(p.Endpoint, m) && !b.done[p.Endpoint][m.ID] {
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
			if b.delivered[[2]webhook.ID{id, endpoint}] == 0 || !o.Attempt.Next.IsZero() {
				t.Errorf("message %d came as a retry that is not in the set", id.Index())
			}
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
		planned := func(r webhook.Retry) bool { return r.Message == id }
		switch {
		case o.Attempt.Status == webhook.StatusSuccess:
			b.retries[endpoint] = slices.DeleteFunc(b.retries[endpoint], planned)
		case o.Attempt.Next.IsZero(), slices.ContainsFunc(b.retries[endpoint], planned),
			slices.Contains(b.held[endpoint], webhook.Held{Key: o.Key, Message: id}), id.After(b.cursors[endpoint]) && !b.done[endpoint][id]:
			return
		}
	}
	if o.Hold {
		b.hold(endpoint, webhook.Held{Key: o.Key, Message: id})
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

// hold puts a message into the held set of an endpoint.
func (b *shelf) hold(endpoint webhook.ID, line webhook.Held) {
	i, _ := slices.BinarySearchFunc(b.held[endpoint], line, compareHeld)
	b.held[endpoint] = slices.Insert(b.held[endpoint], i, line)
}

// addHeld adds messages with these ordering keys, which are held for an endpoint.
func (b *shelf) addHeld(endpoint webhook.ID, keys ...string) {
	for _, key := range keys {
		m := testMessage(10+len(b.log), 10)
		m.OrderingKey = key
		b.add(m)
		b.hold(endpoint, webhook.Held{Key: webhook.OrderingKeyHash(key), Message: m.ID})
		b.cursors[endpoint] = m.ID
	}
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
