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

// outrun returns a scheduler whose endpoint does not find what was posted last in memory, and which
// producers wait for; deliver makes a delivery.
func outrun(t *testing.T, b *shelf, e *webhook.Endpoint) (s *Scheduler, deliver func()) {
	t.Helper()
	const latency = time.Millisecond
	s = laggard(b, e, latency, maxLag+1)
	if s.Throttle(testApp, 1, true) == 0 {
		t.Fatal("there is no delay in the beginning")
	}
	postMuch(b, s, 10_000)
	return s, func() {
		d, _ := s.Next()
		time.Sleep(latency)
		a := webhook.Attempt{Message: d.ID, Endpoint: e.ID, Number: 1, Status: webhook.StatusSuccess, Duration: latency}
		s.Settle(s.Checkpoint([]webhook.Outcome{s.Done(d, a, Verdict{})}, 8))
	}
}

const muchPosted = 500

// postMuch posts more than is kept in memory.
func postMuch(b *shelf, s *Scheduler, from int) {
	for i := range muchPosted {
		m := testMessage(from+i, 100<<10)
		b.add(m)
		offer(s, []*webhook.Message{m})
	}
}

// TestThrottleOutrun posts so much that an endpoint finds no more of it in memory: whoever posts
// goes on waiting, until the endpoint has caught up.
func TestThrottleOutrun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := testEndpoint(0)
		s, deliver := outrun(t, newShelf(), e)
		time.Sleep(lagTime)
		for range maxLag + 1 {
			deliver()
			if _, known := s.lanes[e.ID].log.lag(); known {
				t.Fatal("the endpoint has all of it in memory")
			}
			if one, many := s.Throttle(testApp, 1, true), s.Throttle(testApp, 100, true); one != maxDelay || many != maxBatchDelay {
				t.Fatalf("the delays are %s for one and %s for a hundred", one, many)
			}
		}
		for range muchPosted {
			deliver()
		}
		time.Sleep(lagTime)
		if delay := s.Throttle(testApp, 1, true); delay != 0 {
			t.Errorf("when all is delivered the delay is %s", delay)
		}
	})
}

// Once outrun is not outrun for ever: when nobody was seen to post too fast for a while, a backlog
// that comes later, from a pause, makes nobody wait.
func TestThrottleForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, e := newShelf(), testEndpoint(0)
		s, deliver := outrun(t, b, e)
		for range maxLag + 1 + muchPosted {
			deliver()
		}
		time.Sleep(outrunTime + time.Millisecond)
		postMuch(b, s, 20_000)
		if _, known := s.lanes[e.ID].log.lag(); known {
			t.Fatal("the endpoint has all of it in memory")
		}
		if delay := s.Throttle(testApp, 100, true); delay != 0 {
			t.Errorf("the delay is %s", delay)
		}
	})
}

// Deliveries that wait to start make producers wait only for endpoints that they hold up, not for
// those that have as many in flight as they may have.
func TestThrottleWhileHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const latency = 10 * time.Millisecond
		e := testEndpoint(0)
		s := laggard(newShelf(), e, latency, 2*maxLag)
		if delay := s.Throttle(testApp, 1, false); delay != 0 {
			t.Errorf("with CPU for all, the delay is %s", delay)
		}
		s.workers.starts.hold()
		if delay := s.Throttle(testApp, 1, false); delay == 0 {
			t.Error("while deliveries are held, there is no delay")
		}
		time.Sleep(lagTime)
		for range int(s.lanes[e.ID].limit.limit) {
			s.Next()
		}
		s.workers.starts.hold()
		if delay := s.Throttle(testApp, 1, false); delay != 0 {
			t.Errorf("with all in flight that may be, the delay is %s", delay)
		}
	})
}
