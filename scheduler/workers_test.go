package scheduler

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hookwheel/webhook"
)

// city is a scheduler with its workers in a synctest bubble, with many applications. Endpoints of
// hostile ones never answer, but for what they answer at first; those of the others answer after 20
// ms.
type city struct {
	t      *testing.T
	shelf  *shelf
	s      *Scheduler
	wg     sync.WaitGroup
	end    context.CancelFunc
	mu     sync.Mutex
	next   int
	tame   map[webhook.ID]int            // answers by endpoint; none: it always answers
	hangs  map[webhook.ID]bool           // whether it never answers after those
	first  map[webhook.ID]time.Time      // when an endpoint first got something
	failed map[webhook.ID]func(int) bool // whether the nth attempt at an endpoint fails at once
	tries  map[webhook.ID]int            // attempts by endpoint
}

const cityTimeout = 15 * time.Second

func newCity(t *testing.T) *city {
	config := Config{Workers: 512, PerEndpoint: 64, Timeout: cityTimeout, Retry: webhook.DefaultRetryPolicy(), Breaker: DefaultBreakerPolicy()}
	c := &city{t: t, shelf: newShelf(), next: 10, tame: make(map[webhook.ID]int), hangs: make(map[webhook.ID]bool),
		first: make(map[webhook.ID]time.Time), failed: make(map[webhook.ID]func(int) bool), tries: make(map[webhook.ID]int)}
	c.s = New(c.shelf, 1, config, slog.New(slog.DiscardHandler))
	var ctx context.Context
	ctx, c.end = context.WithCancel(t.Context())
	outcomes := make(chan webhook.Outcome, config.Workers)
	c.wg.Go(func() { c.s.Run(ctx) })
	c.wg.Go(func() { c.record(ctx, outcomes) })
	for range config.Workers {
		c.wg.Go(func() { c.work(ctx, outcomes) })
	}
	return c
}

func (c *city) record(ctx context.Context, outcomes <-chan webhook.Outcome) {
	for {
		var batch []webhook.Outcome
		select {
		case o := <-outcomes:
			batch = append(batch, o)
		case <-c.s.Decided():
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return
		}
		list := c.s.Checkpoint(batch, 512)
		c.shelf.record(c.t, list, func(webhook.ID, *webhook.Message) bool { return false })
		c.s.Settle(list)
	}
}

func (c *city) work(ctx context.Context, outcomes chan<- webhook.Outcome) {
	for {
		d, ok := c.s.Next()
		if !ok {
			return
		}
		start := time.Now()
		a := webhook.Attempt{Message: d.ID, Endpoint: d.Endpoint.ID, Number: d.Number, Start: start}
		var v Verdict
		wait := c.receive(d.Endpoint.ID, &a, &v)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		a.Duration = time.Since(start)
		o := c.s.Done(d, a, v)
		select {
		case outcomes <- o:
		case <-ctx.Done():
		}
	}
}

func (c *city) receive(endpoint webhook.ID, a *webhook.Attempt, v *Verdict) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.tries[endpoint]
	c.tries[endpoint]++
	if _, known := c.first[endpoint]; !known {
		c.first[endpoint] = time.Now()
	}
	a.Status = webhook.StatusSuccess
	if c.hangs[endpoint] && n >= c.tame[endpoint] {
		a.Status, v.Overload = webhook.StatusFail, true
		return cityTimeout
	}
	if fails := c.failed[endpoint]; fails != nil && fails(n) {
		a.Status = webhook.StatusFail
	}
	return 20 * time.Millisecond
}

// open makes an application of so many endpoints, and posts messages to all.
func (c *city) open(endpoints, messages int, configure func(endpoint webhook.ID)) (app webhook.ID, ids []webhook.ID) {
	c.next++
	app = webhook.NewID(1_790_000_000_000, uint64(c.next), 0)
	for i := range endpoints {
		e := &webhook.Endpoint{ID: webhook.NewID(1_790_000_000_000, uint64(c.next), uint32(i+1)), App: app}
		ids = append(ids, e.ID)
		c.mu.Lock()
		if configure != nil {
			configure(e.ID)
		}
		c.mu.Unlock()
		add(c.s, e)
	}
	for range messages {
		c.post(app)
	}
	return app, ids
}

func (c *city) post(app webhook.ID) { c.postLarge(app, nil) }

func (c *city) postLarge(app webhook.ID, payload []byte) {
	c.next++
	m := &webhook.Message{ID: webhook.NewID(1_790_000_000_000+int64(c.next), uint64(c.next), 0), App: app, Payload: payload}
	c.shelf.add(m)
	offer(c.s, []*webhook.Message{m})
}

func (c *city) close() {
	c.end()
	c.wg.Wait()
	checkStates(c.t, c.s)
}

// waited is how long an endpoint had to wait for its first delivery since then.
func (c *city) waited(endpoint webhook.ID, since time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at, got := c.first[endpoint]; got {
		return at.Sub(since)
	}
	return time.Since(since)
}

// However many endpoints of others never answer, an endpoint gets its messages within a second: a
// new one, one that has failed, and one that answers.
func TestHangingEndpointsDelayNoOthers(t *testing.T) {
	for _, test := range []struct{ apps, endpoints, answers int }{
		{1, 1500, 0}, {10, 150, 0}, {50, 40, 0},
		{1, 300, 3}, {5, 60, 3}, // these answer first
	} {
		runInBubble(t, fmt.Sprintf("%d_applications_of_%d_endpoints_after_%d", test.apps, test.endpoints, test.answers), func(t *testing.T) {
			c := newCity(t)
			defer c.close()
			proven, provenEndpoints := c.open(1, 1, nil)
			time.Sleep(time.Second)
			var hostile []webhook.ID
			for range test.apps {
				app, _ := c.open(test.endpoints, test.answers+2, func(e webhook.ID) { c.hangs[e], c.tame[e] = true, test.answers })
				hostile = append(hostile, app)
			}
			for round := range 25 {
				time.Sleep(2900 * time.Millisecond)
				for i, app := range hostile {
					if (i+round)%8 == 0 {
						c.post(app)
					}
				}
				c.mu.Lock()
				delete(c.first, provenEndpoints[0])
				c.mu.Unlock()
				since := time.Now()
				c.post(proven)
				_, fresh := c.open(2, 1, nil)
				_, failing := c.open(1, 1, func(e webhook.ID) { c.failed[e] = func(n int) bool { return n == 0 } })
				time.Sleep(8 * time.Second) // the first retry comes in between
				for name, endpoint := range map[string]webhook.ID{"one that answers": provenEndpoints[0], "a new one": fresh[0], "another": fresh[1], "one that fails": failing[0]} {
					if waited := c.waited(endpoint, since); waited > time.Second {
						t.Errorf("round %d: %s got nothing for %v", round, name, waited)
					}
				}
				c.mu.Lock()
				if c.tries[failing[0]] < 2 {
					t.Errorf("round %d: what failed once was not tried again in time", round)
				}
				c.mu.Unlock()
			}
		})
	}
}

// An application that has work while others have none gets most of the workers, although it must
// prove itself first.
func TestWorkersAreNotWasted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCity(t)
		defer c.close()
		c.open(1, 0, nil)
		began := time.Now()
		_, endpoints := c.open(3000, 1, nil)
		time.Sleep(6 * time.Second)
		last := time.Duration(0)
		for _, e := range endpoints {
			last = max(last, c.waited(e, began))
		}
		if last > 3*time.Second { // 20 ms each, 512 workers: 0.12 s if all of them worked all the time
			t.Errorf("the last of 3000 new endpoints got its message after %v", last)
		}
	})
}

// Those that are removed while an attempt is under way keep their workers until its end.
func TestRemovedEndpointsCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCity(t)
		defer c.close()
		for range 50 {
			_, endpoints := c.open(40, 1, func(e webhook.ID) { c.hangs[e] = true })
			time.Sleep(20 * time.Millisecond)
			for _, e := range endpoints {
				remove(c.s, e)
			}
		}
		c.s.mu.Lock()
		busy := c.s.workers.busy
		c.s.mu.Unlock()
		if busy[fresh] == 0 || busy[fresh] != c.s.Stats().InFlight {
			t.Errorf("%v workers are busy", busy)
		}
		time.Sleep(2 * cityTimeout)
		c.s.mu.Lock()
		defer c.s.mu.Unlock()
		if c.s.workers.busy != [classes]int{} || len(c.s.orphans) > 0 {
			t.Errorf("%v workers are busy after all has ended", c.s.workers.busy)
		}
	})
}
