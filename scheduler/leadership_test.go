package scheduler

import (
	"context"
	"log/slog"
	"math/rand"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hookwheel/webhook"
)

// leadership is a scheduler at work: workers that fail at random, and a recorder.
type leadership struct {
	t        *testing.T
	s        *Scheduler
	end      context.CancelFunc
	wg       sync.WaitGroup
	mu       sync.Mutex
	flying   map[webhook.ID]int
	peak     int
	deciding chan struct{} // held from when an outcome is decided until it is taken
}

// lead begins a leadership over the shelf whose workers fail at random. What was not recorded when
// it ends is lost, as in a crash. see, if there is one, is what a receiver sees.
func lead(t *testing.T, b *shelf, endpoints []*webhook.Endpoint, seed int64, failures float64, see ...func(webhook.Delivery, bool)) *leadership {
	rnd, mu := rand.New(rand.NewSource(seed)), sync.Mutex{}
	send := func(webhook.Delivery) bool {
		mu.Lock()
		pause, success := rnd.Intn(60), rnd.Float64() >= failures
		mu.Unlock()
		if pause < 20 {
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
	return leadWith(t, b, New(b, index, testConfig(perEndpoint), slog.New(slog.DiscardHandler)), endpoints, 16, send, see)
}

func leadWith(t *testing.T, b *shelf, s *Scheduler, endpoints []*webhook.Endpoint, workers int, send func(webhook.Delivery) bool, see func(webhook.Delivery, bool)) *leadership {
	ctx, end := context.WithCancel(t.Context())
	l := &leadership{t: t, s: s, end: end, flying: make(map[webhook.ID]int), deciding: make(chan struct{}, 1)}
	for _, e := range endpoints {
		add(l.s, e)
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
		l.deciding <- struct{}{} // outcomes come in the order in which they are decided
		select {
		case outcomes <- l.s.Done(d, a, Verdict{Text: "no"}):
			<-l.deciding
		case <-ctx.Done():
			<-l.deciding
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
	checkStates(l.t, l.s)
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
	missing := 0
	all := func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		missing = 0
		for _, e := range endpoints {
			for _, m := range b.log {
				if e.Wants(m) && b.delivered[[2]webhook.ID{m.ID, e.ID}] == 0 {
					missing++
				}
			}
		}
		return missing == 0
	}
	if !until(all) {
		t.Fatalf("%d deliveries are missing", missing)
	}
}

// until waits until reached returns true, for five minutes of a bubble's time. It returns false if
// that was not enough.
func until(reached func() bool) bool {
	for start := time.Now(); time.Since(start) < 5*time.Minute; time.Sleep(10 * time.Millisecond) {
		synctest.Wait()
		if reached() {
			return true
		}
	}
	return false
}

// runInBubble runs a subtest whose clock moves on only when all of its goroutines wait.
func runInBubble(t *testing.T, name string, test func(*testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}
