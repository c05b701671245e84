package scheduler

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"hookwheel/webhook"
)

// quietStore is a Backlog without anything in it: all messages are in memory.
type quietStore struct{}

func (quietStore) Place(webhook.ID) Place { return Place{} }
func (quietStore) Window(_, _ webhook.ID, _, _ int) ([]*webhook.Message, error) {
	return nil, nil
}
func (quietStore) MessageByID(_, _ webhook.ID) (*webhook.Message, error)   { return nil, nil }
func (quietStore) OrderingKeys(webhook.ID, []webhook.ID) ([]uint64, error) { return nil, nil }
func (quietStore) Retries(webhook.ID, webhook.Retry, int) ([]webhook.Retry, error) {
	return nil, nil
}
func (quietStore) Manual(webhook.ID, bool, int) ([]webhook.Manual, error)     { return nil, nil }
func (quietStore) Held(webhook.ID, webhook.Held, int) ([]webhook.Held, error) { return nil, nil }
func (quietStore) HeldFirst(webhook.ID, uint64) (id webhook.ID, _ bool, _ error) {
	return id, false, nil
}
func (quietStore) MayHaveLeft(webhook.ID) bool { return false }
func (quietStore) TaskRuns(webhook.ID) bool    { return true }

// feed makes applications with endpoints, and offers messages to them.
type feed struct {
	s     *Scheduler
	apps  []webhook.ID
	index int
}

const (
	feedApps      = 50
	feedEndpoints = 4
)

func newFeed() *feed {
	config := testConfig(64)
	config.Workers = 512
	f := &feed{s: New(quietStore{}, 1, config, slog.New(slog.DiscardHandler)), index: 2}
	for range feedApps {
		app := webhook.NewID(1_790_000_000_000, uint64(f.index), 0)
		for i := range feedEndpoints {
			add(f.s, &webhook.Endpoint{ID: webhook.NewID(1_790_000_000_000, uint64(f.index), uint32(i+1)), App: app})
		}
		f.apps = append(f.apps, app)
		f.index++
	}
	return f
}

// offer offers a message to each application: feedApps*feedEndpoints deliveries.
func (f *feed) offer() {
	messages := make([]*webhook.Message, len(f.apps))
	for i, app := range f.apps {
		messages[i] = &webhook.Message{ID: webhook.NewID(1_790_000_000_000, uint64(f.index), uint32(i)), App: app, Payload: make([]byte, 100)}
	}
	f.index++
	offer(f.s, messages)
}

// BenchmarkNextAndDone is a delivery from Next to Settle, without anybody else.
func BenchmarkNextAndDone(b *testing.B) {
	f, left := newFeed(), 0
	b.ReportAllocs()
	var outcomes []webhook.Outcome
	for b.Loop() {
		if left == 0 {
			f.offer()
			left = feedApps * feedEndpoints
		}
		left--
		d, _ := f.s.Next()
		o := f.s.Done(d, webhook.Attempt{Message: d.ID, Endpoint: d.Endpoint.ID, Number: 1, Duration: time.Millisecond}, Verdict{})
		if outcomes = append(outcomes, o); len(outcomes) == 64 {
			f.s.Settle(f.s.Checkpoint(outcomes, 512))
			outcomes = outcomes[:0]
		}
	}
}

// BenchmarkWorkers is a delivery from Next to Settle with workers that compete for the scheduler,
// and someone who records outcomes meanwhile.
func BenchmarkWorkers(b *testing.B) {
	for _, workers := range []int{1, 8, 64, 512} {
		b.Run(fmt.Sprint(workers), func(b *testing.B) { benchmarkWorkers(b, workers) })
	}
}

func benchmarkWorkers(b *testing.B, workers int) {
	f := newFeed()
	ctx, end := context.WithCancel(b.Context())
	outcomes := make(chan webhook.Outcome, 1024)
	var wg sync.WaitGroup
	wg.Go(func() { f.s.Run(ctx) })
	for range workers {
		wg.Go(func() {
			for {
				d, ok := f.s.Next()
				if !ok {
					return
				}
				outcomes <- f.s.Done(d, webhook.Attempt{Message: d.ID, Endpoint: d.Endpoint.ID, Number: 1, Duration: time.Millisecond}, Verdict{})
			}
		})
	}
	left, offered := b.N, 0
	b.ResetTimer()
	for left > 0 {
		for ; offered < 2000; offered += feedApps * feedEndpoints {
			f.offer()
		}
		batch := []webhook.Outcome{<-outcomes}
		for more := true; more && len(batch) < 512; {
			select {
			case o := <-outcomes:
				batch = append(batch, o)
			default:
				more = false
			}
		}
		f.s.Settle(f.s.Checkpoint(batch, 512))
		left -= len(batch)
		offered -= len(batch)
	}
	b.StopTimer()
	end()
	go func() {
		for range outcomes {
		}
	}()
	wg.Wait()
	close(outcomes)
}
