package scheduler

import (
	"fmt"
	"math/rand"
	"sync"
	"testing"
	"time"

	"hookwheel/webhook"
)

// witness is a receiver that knows what may come: of each key only the first message that is not settled.
type witness struct {
	t       *testing.T
	b       *shelf
	keyOf   func(*webhook.Message) string
	mu      sync.Mutex
	settled map[webhook.ID]bool
	dropped bool // an outcome may have been lost with its leader: what was delivered may come again
}

func (w *witness) see(d webhook.Delivery, success bool) {
	w.b.mu.Lock()
	log := w.b.log
	w.b.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	key := w.keyOf(d.Message)
	for _, m := range log {
		if key == "" || m.ID == d.ID {
			break
		}
		if w.keyOf(m) == key && !w.settled[m.ID] {
			w.t.Errorf("message %d came before %d of the same key %q was settled", d.ID.Index(), m.ID.Index(), key)
		}
	}
	if success {
		w.settled[d.ID] = true
	}
}

// Under failures and changes of leaders an ordered endpoint gets no message before its predecessor is delivered; with an order per
// key, messages of other keys go on.
func TestOrder(t *testing.T) {
	keyOf := map[webhook.Ordering]func(*webhook.Message) string{
		webhook.OrderingEndpoint: func(*webhook.Message) string { return "all" },
		webhook.OrderingKey:      func(m *webhook.Message) string { return m.OrderingKey },
	}
	for ordering, key := range keyOf {
		for seed := range int64(3) {
			t.Run(fmt.Sprint(ordering, " ", seed), func(t *testing.T) {
				b := newShelf()
				e := testEndpoint(0)
				e.Ordering = ordering
				w := &witness{t: t, b: b, keyOf: key, settled: make(map[webhook.ID]bool)}
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
						l.s.Offer([]*webhook.Message{m})
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

// A key whose message fails for ever holds up its own messages only, at the last delay of the schedule if the endpoint says so.
func TestBlockedKey(t *testing.T) {
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
	for range 1000 {
		b.mu.Lock()
		delivered, held, bad := len(b.delivered), len(b.held[e.ID]), len(b.retries[e.ID])
		b.mu.Unlock()
		if delivered == 2*maxAhead && held == maxAhead-1 && bad == 1 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d delivered, %d held", len(b.delivered), len(b.held[e.ID]))
}
