package cluster

import (
	"fmt"
	"testing"
	"time"
)

// fakeTimes are the clocks of a process, as a test sets them.
type fakeTimes struct {
	passed time.Duration // by the monotonic clock
	error  time.Duration // of the wall clock
}

var testBegin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func (f *fakeTimes) truth() time.Time        { return testBegin.Add(f.passed) }
func (f *fakeTimes) wall() time.Time         { return f.truth().Add(f.error) }
func (f *fakeTimes) elapsed() time.Duration  { return f.passed }
func (f *fakeTimes) clock() *clock           { return newClock(f.wall, f.elapsed) }
func (f *fakeTimes) off(c *clock) (s string) { return c.now().Sub(f.truth()).String() }

// others are the errors of the other nodes' clocks; nil: not heard.
func (f *fakeTimes) tick(c *clock, others ...any) {
	f.passed += time.Second
	voters := []string{"self"}
	for i, other := range others {
		id := fmt.Sprint("n", i)
		voters = append(voters, id)
		if err, heard := other.(time.Duration); heard {
			c.heard(id, f.truth().Add(err), f.passed)
		}
	}
	c.tick("self", voters)
}

const hour = time.Hour

func TestClockStart(t *testing.T) {
	for _, test := range []struct {
		name   string
		own    time.Duration
		others []any
		want   time.Duration
	}{
		{"alone", hour, nil, hour},
		{"own is wrong", 24 * hour, []any{time.Duration(0), time.Second}, time.Second},
		{"own is behind", -24 * hour, []any{time.Duration(0), time.Second}, 0},
		{"another is wrong", 0, []any{24 * hour, time.Second}, time.Second},
		{"two heard of three, own ahead", hour, []any{time.Duration(0), nil}, 0},
		{"two heard of three, own behind", -hour, []any{time.Duration(0), nil}, -hour},
		{"two of five are wrong", hour, []any{hour, time.Second, time.Second, time.Second}, time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := &fakeTimes{error: test.own}
			c := f.clock()
			f.tick(c, test.others...)
			if got := f.off(c); got != test.want.String() {
				t.Errorf("the time is %s off, want %s", got, test.want)
			}
			select {
			case <-c.settled:
			default:
				t.Error("the clock is not settled")
			}
		})
	}
}

// TestClockNoMajority: a node that hears no majority can't lead, and its time goes on as it was.
func TestClockNoMajority(t *testing.T) {
	f := new(fakeTimes)
	c := f.clock()
	f.tick(c, nil, nil)
	select {
	case <-c.settled:
		t.Error("one clock of three settles the time")
	default:
	}
	f.tick(c, time.Duration(0), time.Duration(0))
	f.error = hour
	for range 300 {
		f.tick(c, nil, nil)
	}
	if got := f.off(c); got != "0s" {
		t.Errorf("the time is %s off", got)
	}
}

// TestClockJumps: a clock that is right jumps, and the cluster's time does not follow.
func TestClockJumps(t *testing.T) {
	zero := time.Duration(0)
	for name, others := range map[string][]any{
		"three nodes": {zero, zero}, "three, one down": {zero, nil}, "two": {zero}, "five": {zero, zero, zero, zero},
	} {
		for _, jump := range []time.Duration{24 * hour, -24 * hour, 30 * time.Second} {
			t.Run(fmt.Sprint(name, jump), func(t *testing.T) {
				f := new(fakeTimes)
				c := f.clock()
				f.tick(c, others...)
				f.error = jump
				for range 300 {
					f.tick(c, others...)
					if got := f.off(c); got != "0s" {
						t.Fatalf("the time is %s off after our clock jumped", got)
					}
				}
				if c.ahead() != jump {
					t.Errorf("our clock is %s ahead, want %s", c.ahead(), jump)
				}
				f.error = 0
				wrong := append([]any{jump}, others[1:]...)
				for range 300 {
					f.tick(c, wrong...)
					if got := f.off(c); got != "0s" {
						t.Fatalf("the time is %s off after the clock of another jumped", got)
					}
				}
			})
		}
	}
}

// TestClockAlone: the only clock is not believed when it jumps for a moment, but in the end it is.
func TestClockAlone(t *testing.T) {
	for _, jump := range []time.Duration{24 * hour, -24 * hour} {
		f := new(fakeTimes)
		c := f.clock()
		f.tick(c)
		f.error = jump
		for range 50 {
			f.tick(c)
		}
		if got := f.off(c); got != "0s" {
			t.Errorf("a jump by %s was believed at once: %s", jump, got)
		}
		f.error = 0
		f.tick(c)
		f.error = jump
		for range 50 {
			f.tick(c)
		}
		if got := f.off(c); got != "0s" {
			t.Errorf("a second jump was believed before a minute had passed: %s", got)
		}
		for range 20 {
			f.tick(c)
		}
		if got := f.off(c); got != jump.String() {
			t.Errorf("the time is %s off, want that of the only clock", got)
		}
	}
}

// TestClockDrifts: small corrections are followed at once.
func TestClockDrifts(t *testing.T) {
	f := new(fakeTimes)
	c := f.clock()
	f.tick(c)
	f.error = time.Second
	f.tick(c)
	if got := f.off(c); got != "1s" {
		t.Errorf("the time is %s off", got)
	}
}

// TestClockIgnoresSlowResponses: a response that was long on its way says nothing of the time.
func TestClockIgnoresSlowResponses(t *testing.T) {
	f := new(fakeTimes)
	c := f.clock()
	f.passed = time.Second
	c.heard("n0", f.truth().Add(hour), 0)
	if len(c.samples) != 0 {
		t.Error("an answer that took a second was taken for the time")
	}
}
