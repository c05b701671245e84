package abuse

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"hookwheel/delivery/receivertest"
	"hookwheel/systemtest/wait"
)

const (
	bystanderPace    = 100 * time.Millisecond // between two events of one sender
	measuredPace     = 10 * time.Millisecond  // if there are several turns
	bystanderSenders = 3
)

// bystander is another customer, with an endpoint in good health. It sends events from the
// beginning to the end.
type bystander struct {
	w    *world
	over chan struct{}
	wg   sync.WaitGroup
	stop func() // and wait for the senders

	mu       sync.Mutex
	sent     []time.Time // by number of the event
	posts    []time.Duration
	arrivals []time.Duration
	faults   []string
	waiting  map[int]bool // acknowledged, and yet to arrive
	early    map[int]bool // arrived before the 202
}

func newBystander(w *world) *bystander {
	b := &bystander{w: w, over: make(chan struct{}), waiting: make(map[int]bool), early: make(map[int]bool)}
	receiver := receivertest.Start(w.t, b.take)
	w.must("POST", "/app", `{"name": "bystander", "uid": "bystander"}`, nil)
	w.must("POST", "/app/bystander/endpoint", fmt.Sprintf(`{"uid": "e", "url": %q}`, receiver.URL), nil)
	for i := range bystanderSenders {
		b.wg.Go(func() { b.produce(i) })
	}
	b.stop = sync.OnceFunc(func() {
		close(b.over)
		b.wg.Wait()
	})
	w.t.Cleanup(b.stop)
	return b
}

func (b *bystander) produce(sender int) {
	interval := bystanderPace
	if *turnsFlag > 1 {
		interval = measuredPace
	}
	pace := time.NewTicker(interval)
	defer pace.Stop()
	for i := sender; ; i++ {
		select {
		case <-pace.C:
			b.post(i % len(b.w.nodes))
		case <-b.over:
			return
		}
	}
}

func (b *bystander) post(node int) {
	b.mu.Lock()
	event := len(b.sent)
	begin := time.Now()
	b.sent = append(b.sent, begin)
	b.mu.Unlock()
	r := b.w.call(node, b.w.producer, "POST", "/app/bystander/msg", fmt.Sprintf(`{"eventType": "a.b", "payload": {"event": %d}}`, event))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.posts = append(b.posts, time.Since(begin))
	switch {
	case r.status != http.StatusAccepted:
		b.faults = append(b.faults, fmt.Sprintf("event %d: %s", event, r))
	case !b.early[event]:
		b.waiting[event] = true
	}
}

// take notes an event that arrives.
func (b *bystander) take(a *receivertest.Arrival) (status int) {
	var event int
	_, err := fmt.Sscanf(string(a.Body), `{"event": %d}`, &event)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err != nil || event >= len(b.sent):
		b.faults = append(b.faults, "not what was sent arrived: "+strconv.Quote(string(a.Body)))
	case !b.early[event]: // not again
		b.early[event] = true
		delete(b.waiting, event)
		b.arrivals = append(b.arrivals, a.At.Sub(b.sent[event]))
	}
	return http.StatusOK
}

// latencies of a stretch of time.
type latencies struct{ post, postWorst, arrival, arrivalWorst time.Duration }

// turns are the latencies of several stretches.
type turns []latencies

// median returns the median of a latency; of an even number of turns, the higher one of two.
func (t turns) median(of func(latencies) time.Duration) time.Duration {
	if len(t) == 0 {
		return 0
	}
	all := make([]time.Duration, len(t))
	for i, l := range t {
		all[i] = of(l)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// begin forgets what was measured.
func (b *bystander) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.posts, b.arrivals, b.faults = nil, nil, nil
}

// end waits until what was acknowledged has arrived and returns what was measured since begin.
func (b *bystander) end() (l latencies, faults []string) {
	b.w.t.Helper()
	b.mu.Lock()
	last := len(b.sent)
	b.mu.Unlock()
	wait.For(b.w.t, "the bystander's events arrive", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		for event := range b.waiting {
			if event < last {
				return false
			}
		}
		return true
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	l.post, l.postWorst = percentile(b.posts)
	l.arrival, l.arrivalWorst = percentile(b.arrivals)
	return l, b.faults
}

// percentile returns the 99th, and the worst.
func percentile(all []time.Duration) (p99, worst time.Duration) {
	if len(all) == 0 {
		return 0, 0
	}
	all = slices.Sorted(slices.Values(all))
	return all[(len(all)-1)*99/100], all[len(all)-1]
}
