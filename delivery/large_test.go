package delivery

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// Attempts with large payloads have a rate while there are small ones, which never wait.
func TestLargePayloadsHaveRate(t *testing.T) {
	const size, count = 1 << 20, 200
	await := func(t *testing.T, p *largePace, size int) time.Duration {
		t.Helper()
		begin := time.Now()
		if !p.await(t.Context(), size) {
			t.Fatal("the attempt is given up")
		}
		return time.Since(begin)
	}
	for name, test := range map[string]struct {
		small bool
		want  time.Duration // for all
	}{
		"alone":        {false, 0},
		"beside small": {true, time.Duration(count-1) * size * time.Second / time.Duration(largeRate*processors)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var p largePace
				took := time.Duration(0)
				for range count {
					if test.small {
						if wait := await(t, &p, largeBody); wait > 0 {
							t.Errorf("an attempt with a small payload waits for %v", wait)
						}
					}
					took += await(t, &p, size)
				}
				if took < test.want-time.Millisecond || took > test.want+time.Millisecond {
					t.Errorf("it took %v, want %v", took, test.want)
				}
				time.Sleep(2 * smallMemory)
				if wait := await(t, &p, size); wait > 0 {
					t.Errorf("without small payloads an attempt waits for %v", wait)
				}
			})
		})
	}
}

// The end of a term ends the wait for a turn.
func TestLargePaceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var p largePace
		p.await(ctx, 1)
		p.await(ctx, 1<<30)
		cancel()
		begin := time.Now()
		if p.await(ctx, 1<<20) || time.Since(begin) > 0 {
			t.Error("it waits on")
		}
	})
}
