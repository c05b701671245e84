package scheduler

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"hookwheel/webhook"
)

// handOut returns a scheduler that has handed out one message of a new endpoint.
func handOut(t *testing.T) (*Scheduler, *webhook.Endpoint, webhook.Delivery, *webhook.Message) {
	t.Helper()
	b := newShelf()
	e := testEndpoint(0)
	m := testMessage(10, 10)
	b.add(m)
	config := testConfig(4)
	config.Retry = webhook.RetryPolicy{}
	s := New(b, 2, config, slog.New(slog.DiscardHandler))
	add(s, e)
	offer(s, b.log)
	d, _ := s.Next()
	if !s.IsCurrent(&d) {
		t.Fatal("what was handed out just now may not be sent")
	}
	return s, e, d, m
}

// TestCurrent changes an endpoint while a delivery to it is under way.
func TestCurrent(t *testing.T) {
	key := []webhook.Key{{Sealed: webhook.Sealed("another")}}
	for name, test := range map[string]struct {
		change  func(*webhook.Endpoint)
		current bool
	}{
		"description":          {func(e *webhook.Endpoint) { e.Description = "x" }, true},
		"rate":                 {func(e *webhook.Endpoint) { e.RateLimit = 7 }, true},
		"ordering":             {func(e *webhook.Endpoint) { e.Ordering = webhook.OrderingEndpoint }, true},
		"paused":               {func(e *webhook.Endpoint) { e.Paused = true }, false},
		"disabled":             {func(e *webhook.Endpoint) { e.Disabled = true }, false},
		"URL":                  {func(e *webhook.Endpoint) { e.URL = "http://other/" }, false},
		"headers":              {func(e *webhook.Endpoint) { e.Headers = webhook.Sealed("other") }, false},
		"secret":               {func(e *webhook.Endpoint) { e.Keys = key }, false},
		"TLS":                  {func(e *webhook.Endpoint) { e.InsecureTLS = true }, false},
		"ordering, and paused": {func(e *webhook.Endpoint) { e.Ordering, e.Paused = webhook.OrderingEndpoint, true }, false},
	} {
		s, e, d, _ := handOut(t)
		changed := *e
		test.change(&changed)
		add(s, &changed)
		if s.IsCurrent(&d) != test.current {
			t.Errorf("%s: %v", name, !test.current)
		}
	}
	s, e, d, _ := handOut(t)
	remove(s, e.ID)
	if s.IsCurrent(&d) {
		t.Error("a deleted endpoint")
	}
	s, _, d, m := handOut(t)
	expunged := *m
	expunged.Payload, expunged.Expunged = nil, true
	expunge(s, &expunged)
	if s.IsCurrent(&d) {
		t.Error("an expunged payload")
	}
}

// An attempt that was broken off because its endpoint was changed uses up nothing, says nothing
// about the endpoint and is made again at once, by hand or not; what has no way out for a reason of
// ours is put off.
func TestUnmadeAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, test := range map[string]struct {
			verdict Verdict
			source  webhook.Source
			failing bool
		}{
			"revoked":       {Verdict{Revoked: true}, webhook.SourceLog, false},
			"revoked, hand": {Verdict{Revoked: true}, webhook.SourceManual, false},
			"ours":          {Verdict{SenderFault: true}, webhook.SourceLog, true},
			"ours, hand":    {Verdict{SenderFault: true}, webhook.SourceManual, true},
		} {
			s, e, d, _ := handOut(t)
			d.Source = test.source
			o := s.Done(d, webhook.Attempt{Message: d.ID, Endpoint: e.ID, Number: 1, Status: webhook.StatusFail}, test.verdict)
			want := time.Duration(0)
			if test.failing {
				want = senderFaultDelay
			}
			if wait := time.Until(o.Attempt.Next); o.Spent != 0 || o.Attempt.Next.IsZero() || wait != want {
				t.Errorf("%s: spent %d, again in %s", name, o.Spent, wait)
			}
			if failing := s.Stats().Failing == 1; failing != test.failing {
				t.Errorf("%s: the endpoint counts as failing: %v", name, failing)
			}
		}
	})
}
