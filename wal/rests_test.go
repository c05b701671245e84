package wal

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// Work in the background rests while entries are applied, and soon no more without any.
func TestRests(t *testing.T) {
	const steps = 1000
	for name, test := range map[string]struct {
		entries uint64 // applied during a step
		step    time.Duration
		want    time.Duration
	}{
		"idle":          {0, time.Millisecond, steps * time.Millisecond},
		"busy":          {1, time.Millisecond, steps * (1 + restRatio) * time.Millisecond},
		"small steps":   {1, time.Millisecond / 10, steps / 10 * (1 + restRatio) * time.Millisecond},
		"a slow reader": {1, time.Second, steps * (time.Second + maxRest)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				index := uint64(0)
				r, begin := newRests(func() uint64 { return index }), time.Now()
				for range steps {
					time.Sleep(test.step)
					index += test.entries
					if err := r.take(nil); err != nil {
						t.Fatal(err)
					}
				}
				if took := time.Since(begin); took != test.want {
					t.Errorf("it took %v, want %v", took, test.want)
				}
				before := time.Now()
				for range steps {
					time.Sleep(time.Millisecond)
					if err := r.take(nil); err != nil {
						t.Fatal(err)
					}
				}
				if took := time.Since(before); took > steps*time.Millisecond+restBusy {
					t.Errorf("without entries it took %v", took)
				}
			})
		})
	}
}

// The end of what is being read ends a rest, and work that never rests.
func TestRestsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		index := uint64(0)
		r := newRests(func() uint64 { index++; return index })
		time.Sleep(time.Second)
		time.AfterFunc(time.Millisecond, func() { close(ended) })
		begin := time.Now()
		if err := r.take(ended); !errors.Is(err, errEnded) || time.Since(begin) != time.Millisecond {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		if err := (*rests)(nil).take(ended); !errors.Is(err, errEnded) {
			t.Errorf("without rests: %v", err)
		}
	})
}
