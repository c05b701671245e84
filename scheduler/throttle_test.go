package scheduler

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"hookwheel/webhook"
)

// laggard returns a scheduler whose endpoint has delivered a few messages, each in that time, and
// then got more than its workers could send.
func laggard(b *shelf, e *webhook.Endpoint, latency time.Duration, messages int) *Scheduler {
	s := New(b, 2, testConfig(8), slog.New(slog.DiscardHandler))
	add(s, e)
	index := 10
	post := func() {
		m := testMessage(index, 10)
		index++
		b.add(m)
		offer(s, []*webhook.Message{m})
	}
	for range 20 {
		post()
		d, _ := s.Next()
		time.Sleep(latency)
		a := webhook.Attempt{Message: d.ID, Endpoint: e.ID, Number: 1, Status: webhook.StatusSuccess, Duration: latency}
		s.Settle(s.Checkpoint([]webhook.Outcome{s.Done(d, a, Verdict{})}, 8))
	}
	for range messages {
		post()
	}
	return s
}

func TestThrottle(t *testing.T) {
	const swift = 10 * time.Millisecond
	tests := map[string]struct {
		latency  time.Duration
		messages int
		change   func(*Scheduler, *webhook.Endpoint)
		want     bool
	}{
		"few messages":          {swift, maxLag, nil, false},
		"many":                  {swift, maxLag + 1, nil, true},
		"very many":             {swift, 100 * maxLag, nil, true},
		"slow endpoint":         {2 * easyDelay, 2 * maxLag, nil, false},
		"rate of the endpoint":  {swift, 2 * maxLag, func(s *Scheduler, e *webhook.Endpoint) { e.RateLimit = 100; add(s, e) }, false},
		"rate of all endpoints": {swift, 2 * maxLag, func(s *Scheduler, e *webhook.Endpoint) { setRate(s, e.App, 100) }, false},
		"order":                 {swift, 2 * maxLag, func(s *Scheduler, e *webhook.Endpoint) { e.Ordering = webhook.OrderingKey; add(s, e) }, false},
		"paused":                {swift, 2 * maxLag, func(s *Scheduler, e *webhook.Endpoint) { e.Paused = true; add(s, e) }, false},
		"removed":               {swift, 2 * maxLag, func(s *Scheduler, e *webhook.Endpoint) { remove(s, e.ID) }, false},
		"not caught up":         {swift, 2 * maxLag, func(s *Scheduler, e *webhook.Endpoint) { move(s, e.ID) }, false},
		"failed": {swift, 2 * maxLag, func(s *Scheduler, e *webhook.Endpoint) {
			d, _ := s.Next()
			s.Done(d, webhook.Attempt{Message: d.ID, Endpoint: e.ID, Number: 1, Status: webhook.StatusFail}, Verdict{Overload: true})
		}, false},
	}
	for name, test := range tests {
		runInBubble(t, name, func(t *testing.T) {
			e := testEndpoint(0)
			s := laggard(newShelf(), e, test.latency, test.messages)
			if test.change != nil {
				changed := *e
				test.change(s, &changed)
			}
			delay := s.Throttle(testApp, 1, true)
			if test.want != (delay > 0) || delay > maxDelay {
				t.Errorf("the delay is %s", delay)
			}
			if other := s.Throttle(webhook.NewID(1, 1, 1), 1, true); other != 0 {
				t.Errorf("for another application it is %s", other)
			}
		})
	}
}

// The delay is what the endpoint needs for what is too much, so none is left when it has sent that.
func TestThrottleFollowsLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const latency, surplus = 8 * time.Millisecond, 64
		e := testEndpoint(0)
		s := laggard(newShelf(), e, latency, maxLag+surplus)
		for sent := range surplus {
			limit := int(s.lanes[e.ID].limit.limit)
			want := min(latency*time.Duration(surplus-sent)/time.Duration(limit), maxDelay)
			if delay := s.Throttle(testApp, 1, true); delay < want*9/10 || delay > want*11/10 {
				t.Fatalf("after %d messages the delay is %s, want %s", sent, delay, want)
			}
			d, _ := s.Next()
			time.Sleep(latency)
			s.Done(d, webhook.Attempt{Message: d.ID, Endpoint: e.ID, Number: 1, Status: webhook.StatusSuccess, Duration: latency}, Verdict{})
		}
		if delay := s.Throttle(testApp, 1, true); delay != 0 {
			t.Errorf("in the end the delay is %s", delay)
		}
	})
}

// TestThrottleOutrun posts so much that an endpoint finds no more of it in memory: whoever posts
// goes on waiting, until the endpoint has caught up.
func TestThrottleOutrun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const latency, count, size = time.Millisecond, 500, 100 << 10
		b, e := newShelf(), testEndpoint(0)
		s := laggard(b, e, latency, maxLag+1)
		if s.Throttle(testApp, 1, true) == 0 {
			t.Fatal("there is no delay in the beginning")
		}
		for i := range count {
			m := testMessage(10_000+i, size)
			b.add(m)
			offer(s, []*webhook.Message{m})
		}
		l := s.lanes[e.ID]
		deliver := func() {
			d, _ := s.Next()
			time.Sleep(latency)
			a := webhook.Attempt{Message: d.ID, Endpoint: e.ID, Number: 1, Status: webhook.StatusSuccess, Duration: latency}
			s.Settle(s.Checkpoint([]webhook.Outcome{s.Done(d, a, Verdict{})}, 8))
		}
		for range maxLag + 1 {
			deliver()
			if _, known := l.log.lag(); known {
				t.Fatal("the endpoint has all of it in memory")
			}
			if one, many := s.Throttle(testApp, 1, true), s.Throttle(testApp, 100, true); one != maxDelay || many != maxBatchDelay {
				t.Fatalf("the delays are %s for one and %s for a hundred", one, many)
			}
		}
		for range count {
			deliver()
		}
		if delay := s.Throttle(testApp, 1, true); delay != 0 {
			t.Errorf("when all is delivered the delay is %s", delay)
		}
	})
}
