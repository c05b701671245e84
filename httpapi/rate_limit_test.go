package httpapi

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hookwheel/webhook"
)

// TestCustomersWaitForTheirRate: the tokens of an application make so many requests at once, and
// the others wait for their turn, or are refused if that would take too long.
func TestCustomersWaitForTheirRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 50
		limits := newRateLimits(&Changeable{PortalRequests: rate}, newLimitedRequests())
		closing := make(chan struct{})
		// ask makes requests concurrently, with as many tokens, and returns how long they took and
		// how many were refused.
		ask := func(app byte, count int, isRead bool) (took time.Duration, refused int64) {
			t.Helper()
			var all sync.WaitGroup
			var limited atomic.Int64
			begun := time.Now()
			for i := range count {
				all.Go(func() {
					err := limits.admit(&webhook.APIKey{ID: webhook.ID{byte(i)}, Role: webhook.RoleApplication, App: webhook.ID{app}}, isRead, closing)
					if webhook.ErrorCode(err) == codeRate {
						limited.Add(1)
					} else if err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			return time.Since(begun), limited.Load()
		}
		for _, step := range []struct {
			what    string
			pause   time.Duration
			app     byte
			count   int
			isRead  bool
			took    time.Duration
			refused int64
		}{
			{"a burst", 0, 1, rate, true, 0, 0},
			{"one more", 0, 1, 1, true, time.Second / rate, 0},
			{"another application", 0, 2, rate, true, 0, 0},
			{"requests for four seconds", 0, 1, 4 * rate, true, 4 * time.Second, 0},
			{"a burst of changes after a pause", time.Hour, 1, rate / changeCost, false, 0, 0},
			{"one more change", 0, 1, 1, false, changeCost * time.Second / rate, 0},
			{"more than may wait", 0, 1, 1000, true, ratePatience, 1000 - rate*int64(ratePatience/time.Second)},
		} {
			time.Sleep(step.pause)
			if took, refused := ask(step.app, step.count, step.isRead); (took-step.took).Abs() > time.Millisecond || refused != step.refused {
				t.Errorf("%s: took %s with %d refused, want %s with %d", step.what, took, refused, step.took, step.refused)
			}
		}
		begun := time.Now()
		for range 10 * rate {
			for _, free := range []*webhook.APIKey{root, {ID: webhook.ID{1}, Role: webhook.RoleProducer}} {
				if err := limits.admit(free, false, closing); err != nil {
					t.Fatal(err)
				}
			}
		}
		if took := time.Since(begun); took > 0 {
			t.Errorf("operators wait for %s", took)
		}
		close(closing)
		for range 2 * rate {
			err := limits.admit(&webhook.APIKey{Role: webhook.RoleApplication, App: webhook.ID{3}}, true, closing)
			if err != nil && webhook.ErrorCode(err) != webhook.CodeUnavailable {
				t.Error(err)
			}
		}
		if took := time.Since(begun); took > 0 {
			t.Errorf("requests wait for %s while the server stops", took)
		}
	})
}
