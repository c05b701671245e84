package scheduler

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hookwheel/webhook"
)

// millionKeys are a million lines whose keys are read while wait is called.
type millionKeys struct {
	million
	wait  func()
	reads atomic.Int32
}

func (b *millionKeys) OrderingKeys(_ webhook.ID, messages []webhook.ID) ([]uint64, error) {
	if b.reads.Add(1) == 1 {
		b.wait()
	}
	return make([]uint64, len(messages)), nil
}

// A customer who changes the ordering of an endpoint again and again has one read at a time of what
// waits there, not one for each change.
func TestScanEndsWithItsLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changed := make(chan struct{})
		b := &millionKeys{million: million{newShelf()}, wait: func() { <-changed }}
		s := New(b, 2, testConfig(4), slog.New(slog.DiscardHandler))
		e := testEndpoint(0)
		e.Ordering = webhook.OrderingKey
		add(s, e)
		ctx, end := context.WithCancel(t.Context())
		go s.Run(ctx)
		nextIn(s)
		if b.reads.Load() != 1 {
			t.Fatalf("%d reads have begun", b.reads.Load())
		}
		now := *e
		now.Ordering = webhook.OrderingNone
		add(s, &now)
		close(changed)
		synctest.Wait()
		if n := b.reads.Load(); n != 1 {
			t.Errorf("%d parts were read, although the ordering is another one", n)
		}
		end() // the lines are not due at the time of the test
		synctest.Wait()
	})
}

// Two endpoints of which the ordering changes have their keys found one after the other, and both
// scans end with the scheduler.
func TestScansTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		going := make(chan struct{})
		b := &millionKeys{million: million{newShelf()}, wait: func() { <-going }}
		s := New(b, 2, testConfig(4), slog.New(slog.DiscardHandler))
		ctx, end := context.WithCancel(t.Context())
		go s.Run(ctx)
		for i := range uint32(2) {
			e := testEndpoint(i)
			e.Ordering = webhook.OrderingKey
			add(s, e)
			go s.Next()
		}
		synctest.Wait()
		if n := b.reads.Load(); n != 1 {
			t.Errorf("%d scans are under way", n)
		}
		end()
		synctest.Wait()
		close(going)
		synctest.Wait() // until no worker waits for anything but the other scan's rest
		if n := b.reads.Load(); n != 1 {
			t.Errorf("%d parts were read, although the scheduler is closed", n)
		}
	})
}

// An application whose scans wait does not delay that of another by more than one of them.
func TestScansOfApplicationsTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newScanTurns()
		many, other := webhook.NewID(0, 1, 0), webhook.NewID(0, 2, 0)
		turns.await(many)
		got := make(chan webhook.ID, 5)
		for _, app := range []webhook.ID{many, many, many, other, other} {
			go func() {
				turns.await(app)
				got <- app
				turns.end()
			}()
			synctest.Wait()
		}
		turns.end()
		for i, want := range []webhook.ID{many, other, many, other, many} {
			if app := <-got; app != want {
				t.Errorf("turn %d is another one's", i)
			}
		}
		synctest.Wait() // for the last one to end
		if turns.taken || len(turns.queues)+len(turns.order) != 0 {
			t.Error("something is left")
		}
	})
}

// slowKeys are a million lines of which the keys take long to read, as those of large messages do.
type slowKeys struct {
	million
}

func (b *slowKeys) OrderingKeys(_ webhook.ID, messages []webhook.ID) ([]uint64, error) {
	time.Sleep(time.Duration(len(messages)) * time.Millisecond)
	return make([]uint64, len(messages)), nil
}

// However large the messages are, a scan lets others in soon.
func TestTurnOfScanIsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &slowKeys{million: million{newShelf()}}
		e, over := testEndpoint(0), atomic.Bool{}
		e.Ordering = webhook.OrderingKey
		scan := newOrderScan(&lane{scheduler: New(b, 2, testConfig(4), slog.New(slog.DiscardHandler)), endpoint: e}, time.Now())
		scan.isOver = over.Load
		turns := scan.turns
		var done sync.WaitGroup
		done.Go(func() { _ = scan.run() })
		synctest.Wait()
		for range 10 {
			begun := time.Now()
			turns.await(webhook.NewID(0, 2, 0))
			turns.end()
			if took, limit := time.Since(begun), (scanRest+1)*(scanTime+scanPart*time.Millisecond); took > limit {
				t.Errorf("waited %s, more than %s", took, limit)
			}
			time.Sleep(time.Millisecond)
		}
		over.Store(true)
		done.Wait()
	})
}
