package scheduler

import (
	"fmt"
	"testing"
	"time"
)

// Whatever waits, no second holds more than the rate and what fits into the slack, and nothing is held back longer than need be.
func TestBucketKeepsRate(t *testing.T) {
	for _, rate := range []float64{1, 3, 10, 100, 1000, 65535} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			var b bucket
			b.setRate(rate)
			now := time.Unix(1_790_000_000, 0)
			var sent []time.Time
			for end := now.Add(5 * time.Second); now.Before(end); {
				ok, at := b.ready(now)
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
			most := int(rate*(1+bucketSlack.Seconds())) + 1
			for i, j := 0, 0; j < len(sent); j++ {
				for sent[j].Sub(sent[i]) >= time.Second {
					i++
				}
				if j-i+1 > most {
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
	if ok, at := b.ready(now); ok || at.Sub(now) != time.Second/2-bucketSlack {
		t.Errorf("ready after an hour: %t, or in %s", ok, at.Sub(now))
	}
	b.setRate(0)
	if ok, _ := b.ready(now); !ok {
		t.Error("without a limit it holds something back")
	}
}
