package scheduler

import (
	"context"
	"log/slog"
	"math/rand"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"hookwheel/webhook"
)

// Whatever comes nearer than what is in memory, the lines are handed out in order of due time and
// message, each once, and no more than the bound are in memory, not even if many are due at the
// same time.
func TestRetrySetAgainstModel(t *testing.T) {
	for seed := range histories(5) {
		rnd := rand.New(rand.NewSource(seed))
		r := newRetrySet(&lane{})
		var store []webhook.Retry // in order
		start := time.UnixMilli(1_790_000_000_000)
		put := func(i int) {
			line := webhook.Retry{Message: webhook.NewID(1, uint64(i), 0), Made: 1, Due: start.Add(time.Duration(rnd.Intn(50)) * time.Minute)}
			at, _ := slices.BinarySearchFunc(store, line, func(a, b webhook.Retry) int { return compareLines(&a, &b) })
			store = slices.Insert(store, at, line)
			if r.belongs(&line) {
				r.load(line)
				r.shed(maxLoaded)
			}
		}
		handOut := func() {
			for r.wantsLines() {
				at, _ := slices.BinarySearchFunc(store, r.beginReading(), func(a, b webhook.Retry) int { return compareLines(&a, &b) })
				for _, line := range r.received(store[at:min(len(store), at+maxLoaded+1)], maxLoaded) {
					r.load(line)
				}
			}
			line := r.line(store[0].Message)
			if line == nil {
				t.Fatal("the first line is not in memory")
			}
			r.fire(line)
			if taken := r.take(); taken != line {
				t.Fatal("another line is handed out")
			}
			r.drop(line.Message)
			r.handOut(line)
			store = store[1:]
			r.settle(line.Message, line.Due)
		}
		const count = 20_000
		for i := range count {
			put(i)
			if i%5 == 4 {
				handOut()
			}
			if len(r.loaded) > 2*maxLoaded {
				t.Fatalf("%d lines are in memory", len(r.loaded))
			}
		}
		for len(store) > 0 {
			handOut()
		}
		if len(r.loaded)+len(r.out)+len(r.due) > 0 {
			t.Errorf("%d lines are left", len(r.loaded)+len(r.out)+len(r.due))
		}
	}
}

// A line that comes while the store is asked, and one that is settled then, are what they are
// afterwards.
func TestRetrySetWhileReading(t *testing.T) {
	line := func(i int) webhook.Retry {
		return webhook.Retry{Message: webhook.NewID(1, uint64(i), 0), Made: 1, Due: time.UnixMilli(1_790_000_000_000)}
	}
	b := newShelf()
	s := New(b, 2, testConfig(4), slog.New(slog.DiscardHandler))
	l := newLane(s, testEndpoint(0), Place{})
	l.retries.handOut(&retry{Retry: line(1)})
	l.retries.beginReading() // the store has lines 1 and 2
	l.retries.settle(line(1).Message, line(1).Due)
	retrySource{l}.plan(line(3))
	for _, line := range l.retries.received([]webhook.Retry{line(1), line(2)}, maxLoaded) {
		retrySource{l}.plan(line)
	}
	for i, want := range []bool{1: false, 2: true, 3: true} {
		if (l.retries.line(line(i).Message) != nil) != want {
			t.Errorf("line %d is in memory: %t", i, !want)
		}
	}
	if len(l.retries.out) > 0 {
		t.Error("a line that was settled counts as handed out")
	}
}

// million is an endpoint with a million lines in its retry set, all of the same millisecond.
type million struct{ *shelf }

const millionLines = 1_000_000

func (million) Retries(_ webhook.ID, from webhook.Retry, limit int) (list []webhook.Retry, err error) {
	for i := from.Message.Index(); i < millionLines && len(list) < limit; i++ {
		list = append(list, webhook.Retry{Message: webhook.NewID(0, i, 0), Made: 1, Spent: 1, Due: time.UnixMilli(1_790_000_000_000)})
	}
	return list, nil
}

func (million) MessageByID(_, id webhook.ID) (*webhook.Message, error) {
	return &webhook.Message{ID: id, App: testApp, EventType: "a"}, nil
}

// A million messages that wait for another attempt cost a new leader no more than those that it
// loads: neither time nor memory.
func TestMillionRetries(t *testing.T) {
	heap := func() (bytes uint64) {
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	before := heap()
	s := New(million{newShelf()}, 2, testConfig(1000), slog.New(slog.DiscardHandler))
	add(s, testEndpoint(0))
	ctx, end := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { s.Run(ctx) })
	defer wg.Wait()
	defer end()
	began := time.Now()
	for range 5 * maxLoaded {
		d, _ := s.Next()
		if n := s.Stats().Retries; n > 2*maxLoaded {
			t.Fatalf("%d lines are in memory", n)
		}
		o := s.Done(d, webhook.Attempt{Message: d.ID, Endpoint: d.Endpoint.ID, Number: d.Number, Duration: time.Millisecond}, Verdict{})
		s.Settle(s.Checkpoint([]webhook.Outcome{o}, 8))
	}
	grown := int64(heap()) - int64(before)
	t.Logf("%d handed out in %s; %d KiB of memory", 5*maxLoaded, time.Since(began).Round(time.Millisecond), grown>>10)
	if grown > 8<<20 {
		t.Errorf("memory has grown by %d bytes", grown)
	}
	runtime.KeepAlive(s)
}
