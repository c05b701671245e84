package wal

import (
	"math"
	"slices"
	"testing"
	"time"
)

// A command of a portal may name a thousand event types. Whether the portal sees them is found out
// while all other commands wait, so it must not take longer with each flag of the portal.
func TestViewerWithManyFlags(t *testing.T) {
	own := &eventTypeHead{FeatureFlags: words(100, 64)}
	look := func(flags []string) time.Duration {
		least := time.Duration(math.MaxInt64)
		for range 5 {
			v, begin := &viewer{FeatureFlags: flags}, time.Now()
			for range 1000 {
				if !v.canSee(own) {
					t.Fatal("the last flag is not found")
				}
			}
			least = min(least, time.Since(begin))
		}
		return least
	}
	others := words(2000, 64)[100:]
	few, many := look(own.FeatureFlags[99:]), look(append(slices.Clone(others), own.FeatureFlags[99]))
	if many > 50*few {
		t.Errorf("1,000 event types take %v with one flag of the portal, and %v with %d", few, many, len(others)+1)
	}
	if (&viewer{FeatureFlags: others}).canSee(own) {
		t.Error("a flag of another event type is enough")
	}
	if (&viewer{}).canSee(own) || !(&viewer{}).canSee(&eventTypeHead{}) || !(*viewer)(nil).canSee(own) {
		t.Error("a portal without flags, or an operator, sees something else")
	}
}
