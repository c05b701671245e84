package scheduler

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand"
	"sync"
	"testing"
	"time"

	"hookwheel/webhook"
)

// reign is a leader that may end at any moment, with attempts under way of which nobody hears any
// more.
type reign struct {
	t    *testing.T
	b    *shelf
	s    *Scheduler
	w    *witness
	rnd  *rand.Rand // of the receiver
	mu   sync.Mutex
	wg   sync.WaitGroup
	end  context.CancelFunc
	slow map[webhook.ID]time.Duration // how long the receiver takes for a message, if not as usual
}

func newReign(t *testing.T, b *shelf, e *webhook.Endpoint, w *witness, seed int64, prepare ...func(*Scheduler)) *reign {
	config := testConfig(32)
	config.Timeout = 15 * time.Second
	config.Retry.Delays[0] = 3 * time.Second
	index := uint64(2)
	if len(b.log) > 0 {
		index = b.log[len(b.log)-1].ID.Index()
	}
	r := &reign{t: t, b: b, w: w, rnd: rand.New(rand.NewSource(seed)), s: New(b, index, config, slog.New(slog.DiscardHandler))}
	var ctx context.Context
	ctx, r.end = context.WithCancel(t.Context())
	for _, prepare := range prepare {
		prepare(r.s)
	}
	add(r.s, e)
	outcomes := make(chan webhook.Outcome)
	r.wg.Go(func() { r.s.Run(ctx) })
	r.wg.Go(func() { r.record(ctx, outcomes) })
	for range config.Workers {
		r.wg.Go(func() { r.work(ctx, outcomes) })
	}
	return r
}

func (r *reign) record(ctx context.Context, outcomes <-chan webhook.Outcome) {
	for {
		var batch []webhook.Outcome
		select {
		case o := <-outcomes:
			batch = append(batch, o)
		case <-r.s.Decided():
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return
		}
		list := r.s.Checkpoint(batch, 512)
		select {
		case <-time.After(5 * time.Millisecond): // to commit it
		case <-ctx.Done():
			return
		}
		r.b.record(r.t, list, func(webhook.ID, *webhook.Message) bool { return true })
		r.s.Settle(list)
	}
}

// work is a worker that hears nothing of its attempt when the reign ends.
func (r *reign) work(ctx context.Context, outcomes chan<- webhook.Outcome) {
	for {
		d, ok := r.s.Next()
		if !ok {
			return
		}
		r.mu.Lock()
		success, wait := r.rnd.Float64() < 0.9, time.Duration(1+r.rnd.Intn(20))*time.Millisecond
		if r.rnd.Intn(40) == 0 {
			wait = time.Duration(r.rnd.Intn(15_000)) * time.Millisecond
		}
		if slow := r.slow[d.ID]; slow > 0 {
			wait = slow
		}
		r.mu.Unlock()
		r.w.see(d, false)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		a := webhook.Attempt{Message: d.ID, Endpoint: d.Endpoint.ID, Number: d.Number, Duration: wait, Status: webhook.StatusFail}
		if success {
			a.Status = webhook.StatusSuccess
			r.w.mu.Lock()
			r.w.settled[d.ID] = true
			r.w.mu.Unlock()
		}
		select {
		case outcomes <- r.s.Done(d, a, Verdict{Overload: !success}):
		case <-ctx.Done():
			return
		}
	}
}

func (r *reign) stop() {
	r.end()
	r.wg.Wait()
	checkStates(r.t, r.s)
}

func (r *reign) post(index *int, key string) webhook.ID {
	m := testMessage(*index, 10)
	m.OrderingKey = key
	*index++
	r.b.add(m)
	offer(r.s, []*webhook.Message{m})
	return m.ID
}

// Whenever a leader ends, and whatever is under way then or was overtaken by thousands, no message
// of an ordered endpoint comes before the one before it is settled.
func TestOrderOutlivesLeaders(t *testing.T) {
	for _, ordering := range []webhook.Ordering{webhook.OrderingEndpoint, webhook.OrderingKey} {
		for seed := range histories(8) {
			runInBubble(t, fmt.Sprint(ordering, " ", seed), func(t *testing.T) {
				rnd := rand.New(rand.NewSource(seed))
				b, e := newShelf(), testEndpoint(0)
				e.Ordering = ordering
				w := &witness{t: t, b: b, keyOf: byOrdering, settled: make(map[webhook.ID]bool)}
				index := 10
				for range 8 {
					r := newReign(t, b, e, w, rnd.Int63())
					for range 1 + rnd.Intn(4) {
						for range rnd.Intn(30) {
							r.post(&index, []string{"", "a", "b", "c"}[rnd.Intn(4)])
						}
						if ordering == webhook.OrderingKey && rnd.Intn(6) == 0 {
							for range maxAhead + 200 {
								r.post(&index, "")
							}
						}
						time.Sleep(time.Duration(rnd.Intn(2500)) * time.Millisecond)
					}
					r.stop()
				}
				last := newReign(t, b, e, w, seed)
				time.Sleep(3 * time.Hour)
				last.stop()
				for _, m := range b.log {
					if !b.settled[[2]webhook.ID{m.ID, e.ID}] {
						t.Errorf("message %d was never delivered", m.ID.Index())
					}
				}
			})
		}
	}
}

// A message that is under way when its leader ends, and that its followers wait behind or thousands
// have overtaken, comes first under the next leader.
func TestOrderOfWhatIsUnderWay(t *testing.T) {
	for name, overtakers := range map[string]int{"held": 0, "overtaken": maxAhead + 100} {
		runInBubble(t, name, func(t *testing.T) {
			b, e, index := newShelf(), testEndpoint(0), 10
			e.Ordering = webhook.OrderingKey
			w := &witness{t: t, b: b, keyOf: byOrdering, settled: make(map[webhook.ID]bool)}
			first := newReign(t, b, e, w, 1)
			first.slow = map[webhook.ID]time.Duration{testMessage(index, 10).ID: 14 * time.Second}
			for range 4 {
				first.post(&index, "k")
			}
			for range overtakers {
				first.post(&index, "")
			}
			time.Sleep(8 * time.Second)
			if b.mu.Lock(); overtakers == 0 && len(b.held[e.ID]) != 3 || overtakers > 0 && len(b.retries[e.ID]) == 0 {
				t.Errorf("%d are held, %d wait", len(b.held[e.ID]), len(b.retries[e.ID]))
			}
			b.mu.Unlock()
			first.stop()
			second := newReign(t, b, e, w, 2)
			time.Sleep(time.Hour)
			second.stop()
			if len(w.settled) != 4+overtakers {
				t.Errorf("%d came", len(w.settled))
			}
		})
	}
}
