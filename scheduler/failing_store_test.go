package scheduler

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hookwheel/webhook"
)

// failingStore is a shelf of which one in so many reads fails.
type failingStore struct {
	*shelf
	mu    sync.Mutex
	rnd   *rand.Rand
	oneIn int
	fails map[string]int // reads that have failed, by kind
}

func newFailingStore(seed int64, oneIn int) *failingStore {
	return &failingStore{shelf: newShelf(), rnd: rand.New(rand.NewSource(seed)), oneIn: oneIn, fails: make(map[string]int)}
}

func (b *failingStore) fail(kind string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rnd.Intn(b.oneIn) > 0 {
		return nil
	}
	b.fails[kind]++
	return errors.New("the disk does not respond")
}

func (b *failingStore) Window(app, after webhook.ID, limit, bytes int) ([]*webhook.Message, error) {
	if err := b.fail("log"); err != nil {
		return nil, err
	}
	return b.shelf.Window(app, after, limit, bytes)
}

func (b *failingStore) MessageByID(app, id webhook.ID) (*webhook.Message, error) {
	if err := b.fail("message"); err != nil {
		return nil, err
	}
	return b.shelf.MessageByID(app, id)
}

func (b *failingStore) OrderingKeys(app webhook.ID, messages []webhook.ID) ([]uint64, error) {
	if err := b.fail("message"); err != nil {
		return nil, err
	}
	return b.shelf.OrderingKeys(app, messages)
}

func (b *failingStore) Retries(endpoint webhook.ID, from webhook.Retry, limit int) ([]webhook.Retry, error) {
	if err := b.fail("retries"); err != nil {
		return nil, err
	}
	return b.shelf.Retries(endpoint, from, limit)
}

func (b *failingStore) Manual(endpoint webhook.ID, tasks bool, limit int) ([]webhook.Manual, error) {
	if err := b.fail("manual"); err != nil {
		return nil, err
	}
	return b.shelf.Manual(endpoint, tasks, limit)
}

func (b *failingStore) Held(endpoint webhook.ID, after webhook.Held, limit int) ([]webhook.Held, error) {
	if err := b.fail("held"); err != nil {
		return nil, err
	}
	return b.shelf.Held(endpoint, after, limit)
}

// MayHaveLeft makes the lane ask for messages that are in memory too.
func (b *failingStore) MayHaveLeft(webhook.ID) bool { return true }

func (b *failingStore) HeldFirst(endpoint webhook.ID, key uint64) (webhook.ID, bool, error) {
	if err := b.fail("first held"); err != nil {
		return webhook.ID{}, false, err
	}
	return b.shelf.HeldFirst(endpoint, key)
}

// A store that fails now and then delays messages and loses none, from whichever source they come
// and whatever order the endpoint keeps.
func TestStoreFails(t *testing.T) {
	for _, ordering := range []webhook.Ordering{webhook.OrderingNone, webhook.OrderingKey, webhook.OrderingEndpoint} {
		for seed := range histories(8) {
			runInBubble(t, fmt.Sprint(ordering, " ", seed), func(t *testing.T) { testStoreFails(t, ordering, seed) })
		}
	}
}

func testStoreFails(t *testing.T, ordering webhook.Ordering, seed int64) {
	rnd := rand.New(rand.NewSource(seed))
	b := newFailingStore(rnd.Int63(), 4)
	e := testEndpoint(0)
	e.Ordering = ordering
	w := &witness{t: t, b: b.shelf, settled: make(map[webhook.ID]bool), keyOf: func(d webhook.Delivery, m *webhook.Message) string {
		if manual := m.ID.Index() >= 14 && m.ID.Index() < 18; manual {
			return ""
		}
		return byOrdering(d, m)
	}}
	for i := range 100 { // in the store only, as the lane lags
		m := testMessage(10+i, 10)
		m.OrderingKey = []string{"", "k", "l"}[rnd.Intn(3)]
		b.add(m)
	}
	due := time.Now().Truncate(time.Millisecond)
	for i, m := range b.log[:4] { // two that failed, and two that are held behind the first of them
		b.cursors[e.ID] = m.ID
		if m.OrderingKey = "k"; i == 1 {
			m.OrderingKey = ""
		}
		key := webhook.OrderingKeyHash(m.OrderingKey)
		if i < 2 || ordering == webhook.OrderingEndpoint {
			b.retries[e.ID] = append(b.retries[e.ID], webhook.Retry{Message: m.ID, Made: 1, Spent: 1, Key: key, Due: due.Add(time.Duration(i) * time.Second)})
		} else {
			b.held[e.ID] = append(b.held[e.ID], webhook.Held{Key: key, Message: m.ID})
		}
	}
	for i, m := range b.log[4:8] { // asked for by a user and by a task
		b.cursors[e.ID] = m.ID
		line := webhook.Manual{Message: m.ID, Number: 1, Retry: true}
		if i > 0 {
			line.Task = webhook.NewID(1_790_000_000_000, 9, 0)
		}
		b.manual[e.ID] = append(b.manual[e.ID], line)
	}
	var mu sync.Mutex
	s := New(b, b.log[len(b.log)-1].ID.Index(), testConfig(4), slog.New(slog.DiscardHandler))
	l := leadWith(t, b.shelf, s, []*webhook.Endpoint{e}, 8, func(webhook.Delivery) bool {
		mu.Lock()
		defer mu.Unlock()
		return rnd.Intn(5) > 0
	}, w.see)
	await(t, b.shelf, []*webhook.Endpoint{e})
	l.stop()
	if n := len(b.held[e.ID]) + len(b.manual[e.ID]); n > 0 {
		t.Errorf("%d messages still wait", n)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.fails) == 0 {
		t.Error("no read has failed")
	}
	t.Logf("reads that failed: %v", b.fails)
}

// While a store fails, it is asked once a second for a lane. When it works again, all arrives.
func TestStoreFailsForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, e := newFailingStore(1, 1), testEndpoint(0)
		b.add(testMessage(10, 10), testMessage(11, 10))
		s := New(b, b.log[1].ID.Index(), testConfig(4), slog.New(slog.DiscardHandler))
		l := leadWith(t, b.shelf, s, []*webhook.Endpoint{e}, 8, func(webhook.Delivery) bool { return true }, nil)
		time.Sleep(10*time.Second + readPatience/2)
		b.mu.Lock()
		if n := b.fails["held"]; n != 11 || len(b.fails) != 1 {
			t.Errorf("in 10.5 s, these reads have failed: %v", b.fails)
		}
		b.oneIn = 1 << 30
		b.mu.Unlock()
		await(t, b.shelf, []*webhook.Endpoint{e})
		l.stop()
	})
}
