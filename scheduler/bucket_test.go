package scheduler

import (
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hookwheel/webhook"
)

// Whatever waits, no second holds more than the rate and what fits into the slack, and nothing is
// held back longer than need be.
func TestBucketKeepsRate(t *testing.T) {
	for _, rate := range []float64{1, 3, 10, 100, 1000, 65535} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			var b bucket
			b.setRate(rate)
			now := time.Unix(1_790_000_000, 0)
			var sent []time.Time
			for end := now.Add(5 * time.Second); now.Before(end); {
				ok, at := b.isReady(now)
				if ok {
					b.take(now)
					sent = append(sent, now)
					continue
				}
				if !at.After(now) {
					t.Fatalf("told to wait until %v at %v", at, now)
				}
				now = at
			}
			limit := int(rate*(1+bucketSlack.Seconds())) + 1
			for i, j := 0, 0; j < len(sent); j++ {
				for sent[j].Sub(sent[i]) >= time.Second {
					i++
				}
				if j-i+1 > limit {
					t.Fatalf("%d in a second", j-i+1)
				}
			}
			if total := float64(len(sent)); total < 5*rate || total > 5*rate+rate*bucketSlack.Seconds()+2 {
				t.Errorf("%v in 5 s", total)
			}
		})
	}
}

// What was not used is not saved up.
func TestBucketSavesNothing(t *testing.T) {
	var b bucket
	b.setRate(2)
	now := time.Unix(1_790_000_000, 0)
	b.take(now)
	now = now.Add(time.Hour)
	b.take(now)
	if ok, at := b.isReady(now); ok || at.Sub(now) != time.Second/2-bucketSlack {
		t.Errorf("ready after an hour: %t, or in %s", ok, at.Sub(now))
	}
	b.setRate(0)
	if ok, _ := b.isReady(now); !ok {
		t.Error("without a limit it holds something back")
	}
}

// The endpoints of an application whose rate is limited take turns, and one that stops does not
// hold up the others.
func TestApplicationRateIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newShelf()
		endpoints := []*webhook.Endpoint{testEndpoint(0), testEndpoint(1), testEndpoint(2)}
		for i := range 300 {
			b.add(testMessage(10+i, 10))
		}
		s := New(b, b.log[len(b.log)-1].ID.Index(), testConfig(4), slog.New(slog.DiscardHandler))
		setRate(s, testApp, 200)
		var counts [3]atomic.Int32
		l := leadWith(t, b, s, endpoints, 4, func(d webhook.Delivery) bool {
			counts[d.Endpoint.ID.Place()].Add(1)
			return true
		}, nil)
		defer l.stop()
		reach := func(endpoint int, limit int32) {
			if until(func() bool { return counts[endpoint].Load() >= limit }) {
				return
			}
			t.Fatalf("the endpoints got %d, %d and %d", counts[0].Load(), counts[1].Load(), counts[2].Load())
		}
		for i := range endpoints { // the first to have read its sets may have had what the slack admits
			reach(i, 10)
		}
		var began [3]int32
		for i := range counts {
			began[i] = counts[i].Load()
		}
		reach(0, began[0]+50)
		for i := range counts {
			if n := counts[i].Load() - began[i]; n < 47 || n > 53 {
				t.Errorf("endpoint %d got %d while the first got 50", i, n)
			}
		}
		paused := *endpoints[0]
		paused.Paused = true
		add(s, &paused)
		before := counts[1].Load()
		reach(1, before+50)
		reach(2, before+45)
		setRate(s, testApp, 0)
		reach(1, 300)
		reach(2, 300)
		if n := counts[0].Load(); n > began[0]+60 {
			t.Errorf("the one that is paused got %d", n)
		}
	})
}
