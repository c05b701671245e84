package scheduler

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hookwheel/webhook"
)

// TestEverythingArrives has workers fail at random while messages come in and leaders change: in
// the end every endpoint has had every message that it wants, once, and nobody else's. shelf checks
// the cursors on the way.
func TestEverythingArrives(t *testing.T) {
	for seed := range int64(4) {
		runInBubble(t, fmt.Sprint("seed ", seed), func(t *testing.T) {
			b := newShelf()
			endpoints := []*webhook.Endpoint{testEndpoint(0), testEndpoint(1, "t0"), testEndpoint(2, "t1", "t2"), testEndpoint(3, "none")}
			rnd := rand.New(rand.NewSource(seed))
			index := 10
			for range 4 { // leaders
				l := lead(t, b, endpoints, rnd.Int63(), 0.3)
				for range 300 {
					m := testMessage(index, 10)
					index++
					b.add(m)
					offer(l.s, []*webhook.Message{m})
					if rnd.Intn(30) == 0 {
						time.Sleep(time.Millisecond)
					}
				}
				if rnd.Intn(2) == 0 {
					await(t, b, endpoints)
				}
				l.stop()
				if l.peak > 4 {
					t.Errorf("%d in flight to one endpoint", l.peak)
				}
			}
			last := lead(t, b, endpoints, rnd.Int63(), 0.1)
			await(t, b, endpoints)
			last.stop()
			for pair, times := range b.delivered {
				if times != 1 {
					t.Errorf("message %d was recorded as delivered %d times", pair[0].Index(), times)
				}
				if pair[1] == endpoints[3].ID {
					t.Error("an endpoint got what it did not want")
				}
			}
		})
	}
}

// TestTailIsBounded offers more than memory takes before anybody works: the lanes read the rest
// from the store.
func TestTailIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newShelf()
		endpoints := []*webhook.Endpoint{testEndpoint(0), testEndpoint(1)}
		s := New(b, 2, testConfig(4), slog.New(slog.DiscardHandler))
		for _, e := range endpoints {
			add(s, e)
		}
		const count, size = 700, 100 << 10
		for i := range count {
			m := testMessage(10+i, size)
			b.add(m)
			offer(s, []*webhook.Message{m})
		}
		if tail := s.Stats().Tail; tail > maxTailBytes {
			t.Errorf("%d bytes in memory", tail)
		}
		got := make(map[webhook.ID]webhook.ID)
		for range 2 * count {
			d, _ := s.Next()
			if !d.Message.ID.After(got[d.Endpoint.ID]) {
				t.Fatalf("message %d came after %d", d.Message.ID.Index(), got[d.Endpoint.ID].Index())
			}
			got[d.Endpoint.ID] = d.Message.ID
			o := s.Done(d, webhook.Attempt{Message: d.Message.ID, Endpoint: d.Endpoint.ID, Number: 1}, Verdict{})
			s.Settle(s.Checkpoint([]webhook.Outcome{o}, 8))
		}
		for _, last := range got {
			if last.Index() != 10+count-1 {
				t.Errorf("the last message that came is %d", last.Index())
			}
		}
	})
}

// A lane that was caught up, and then could not take anything while its part of the log left the
// memory, goes on from the store.
func TestTailLeavesLaneBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newShelf()
		s := New(b, 2, testConfig(2), slog.New(slog.DiscardHandler))
		e := testEndpoint(0)
		add(s, e)
		const count, size = 700, 100 << 10
		offer := func(i int) {
			m := testMessage(10+i, size)
			b.add(m)
			offer(s, []*webhook.Message{m})
		}
		offer(0)
		offer(1)
		under := []webhook.Delivery{}
		for range 2 {
			d, _ := s.Next()
			under = append(under, d)
		}
		for i := 2; i < count; i++ {
			offer(i)
		}
		for i := range count {
			d := under[0]
			if under = under[1:]; d.ID != b.log[i].ID {
				t.Fatalf("message %d came at place %d", d.ID.Index(), i)
			}
			o := s.Done(d, webhook.Attempt{Message: d.ID, Endpoint: e.ID, Number: 1}, Verdict{})
			s.Settle(s.Checkpoint([]webhook.Outcome{o}, 8))
			if i+len(under) < count-1 {
				d, _ := s.Next()
				under = append(under, d)
			}
		}
	})
}

// TestFairTurns floods one endpoint; another one's single message does not wait for the flood.
func TestFairTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newShelf()
		s := New(b, 2, testConfig(1000), slog.New(slog.DiscardHandler))
		flooded, other := testEndpoint(0), testEndpoint(1, "rare")
		add(s, flooded)
		add(s, other)
		rare := testMessage(400, 10)
		rare.EventType = "rare"
		for i := range 300 {
			b.add(testMessage(10+i, 10))
		}
		b.add(rare)
		offer(s, b.log)
		for turn := range 20 {
			if d, _ := s.Next(); d.Endpoint.ID == other.ID {
				return
			} else if turn == 19 {
				t.Error("the other endpoint's message waits behind the flood")
			}
		}
	})
}

// TestManyRetries hands out a retry set that is larger than what is kept in memory, in order of due
// time.
func TestManyRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newShelf()
		e := testEndpoint(0)
		const count = 3*maxLoaded + 7
		past := time.Now().Add(-time.Hour).Truncate(time.Millisecond)
		for i := range count {
			m := testMessage(10+i, 10)
			b.add(m)
			b.retries[e.ID] = append(b.retries[e.ID], webhook.Retry{Message: m.ID, Made: 1, Due: past.Add(time.Duration(i) * time.Millisecond)})
		}
		b.cursors[e.ID] = b.log[count-1].ID
		s := New(b, b.log[count-1].ID.Index(), testConfig(4), slog.New(slog.DiscardHandler))
		ctx, end := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { s.Run(ctx) })
		defer wg.Wait()
		defer end()
		add(s, e)
		seen := make(map[webhook.ID]bool)
		for range count {
			d, _ := s.Next()
			if seen[d.Message.ID] || d.Number != 2 || d.Due.IsZero() {
				t.Fatalf("%+v came again, or not as a retry", d)
			}
			seen[d.Message.ID] = true
			if n := s.Stats().Retries; n > maxLoaded {
				t.Fatalf("%d lines in memory", n)
			}
			o := s.Done(d, webhook.Attempt{Message: d.Message.ID, Endpoint: d.Endpoint.ID, Number: d.Number}, Verdict{})
			s.Settle(s.Checkpoint([]webhook.Outcome{o}, 8))
		}
	})
}

func TestRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newShelf()
		s := New(b, 2, testConfig(4), slog.New(slog.DiscardHandler))
		gone, stays := testEndpoint(0), testEndpoint(1)
		add(s, gone)
		add(s, stays)
		for i := range 50 {
			b.add(testMessage(10+i, 10))
		}
		offer(s, b.log)
		d, _ := s.Next()
		remove(s, gone.ID)
		s.Done(d, webhook.Attempt{Message: d.Message.ID, Endpoint: d.Endpoint.ID}, Verdict{})
		for range 49 {
			d, _ := s.Next()
			if d.Endpoint.ID == gone.ID {
				t.Fatal("a removed endpoint got a message")
			}
			o := s.Done(d, webhook.Attempt{Message: d.Message.ID, Endpoint: d.Endpoint.ID, Number: 1}, Verdict{})
			s.Settle(s.Checkpoint([]webhook.Outcome{o}, 8))
		}
		if lanes := s.Stats().Lanes; lanes != 1 {
			t.Errorf("%d lanes", lanes)
		}
	})
}
