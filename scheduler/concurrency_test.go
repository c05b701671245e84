package scheduler

import (
	"testing"
	"time"
)

func TestConcurrency(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	c := newConcurrency(64)
	if !c.allows(3) || c.allows(4) {
		t.Errorf("it begins with %v", c.limit)
	}
	for range 10 {
		c.success(time.Millisecond, false)
	}
	if c.limit != firstLimit {
		t.Errorf("it grew to %v though nothing waited", c.limit)
	}
	for range 100 {
		c.success(time.Millisecond, true)
	}
	if c.limit != 64 {
		t.Errorf("after 100 successes it is %v", c.limit)
	}
	for range 50 { // of one moment
		c.overload(now, now.Add(time.Second))
	}
	if c.limit != 32 {
		t.Errorf("after one moment of overload it is %v", c.limit)
	}
	before := c.limit
	for range 32 {
		c.success(time.Millisecond, true)
	}
	if grown := c.limit - before; grown < 0.9 || grown > 1.1 {
		t.Errorf("a round of successes made it grow by %v", grown)
	}
	before = c.limit
	c.success(500*time.Millisecond, true)
	if c.limit != before {
		t.Error("it grows while latency does")
	}
	for i := range 10 {
		at := now.Add(time.Duration(10+i) * time.Second)
		c.overload(at, at.Add(time.Millisecond))
	}
	if c.limit != 1 || !c.allows(0) {
		t.Errorf("under lasting overload it is %v", c.limit)
	}
	c.restart()
	for range 3 {
		c.success(time.Millisecond, true)
	}
	if c.limit != 4 {
		t.Errorf("three successes after a restart make it %v", c.limit)
	}
}
